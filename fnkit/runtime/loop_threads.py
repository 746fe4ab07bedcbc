"""Our own loop on threads, for functions without an event loop that handle several events at a time.

Signals reach the main thread only, so a client that goes away is noticed when the next chunk is written.
"""

from __future__ import annotations

from contextlib import nullcontext
from threading import Thread

from fnkit.engine.drive import drive
from fnkit.runtime.client import RuntimeClient
from fnkit.runtime.plain import connector
from fnkit.runtime.work import work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.runtime.application import Application
    from fnkit.runtime.client import Transport


def run(application: Application, host: str, concurrency: int) -> int:
    """Serve *application* in *concurrency* threads until the Runtime API is gone; return the exit status."""
    statuses: list[int] = []
    threads = [Thread(target=_serve, args=(application, host, statuses), daemon=True) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drive(application.close())
    return max(statuses, default=1) if len(statuses) == concurrency else 1


def _serve(application: Application, host: str, statuses: list[int]) -> None:
    client = RuntimeClient(connector(host), host)
    status = drive(work(client, application, _unwatched, _ignore))
    statuses.append(status if isinstance(status, int) else 1)


def _unwatched(_transport: Transport) -> nullcontext[None]:
    return nullcontext()


def _ignore(_invocation: object) -> None:
    """Traces are per event here: the process belongs to none."""
