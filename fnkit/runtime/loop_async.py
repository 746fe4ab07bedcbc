"""Our own loop on asyncio: as many connections to the Runtime API as the function handles events at a time."""

from __future__ import annotations

import asyncio

from fnkit.runtime import loop
from fnkit.runtime.client import RuntimeClient
from fnkit.runtime.looped import LoopWatch, connector
from fnkit.runtime.work import work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.runtime.application import Application


def run(application: Application, host: str, concurrency: int) -> int:
    """Serve *application* on *concurrency* connections until the Runtime API is gone; return the exit status."""
    return asyncio.run(_run(application, host, concurrency))


async def _run(application: Application, host: str, concurrency: int) -> int:
    connect = connector(host)
    begin = loop.enter if concurrency == 1 else _ignore
    clients = [RuntimeClient(connect, host) for _ in range(concurrency)]
    try:
        async with asyncio.TaskGroup() as tasks:
            workers = [tasks.create_task(work(client, application, LoopWatch, begin)) for client in clients]
    finally:
        for client in clients:
            client.drop()
        await application.close()
        await asyncio.sleep(0)  # lets the connections close
    return max(worker.result() for worker in workers)


def _ignore(_invocation: object) -> None:
    """Traces are per event here: the process belongs to none."""
