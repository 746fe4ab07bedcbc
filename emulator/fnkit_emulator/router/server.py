"""Run a router until it is told to stop.

On SIGTERM or SIGINT the readiness probe fails at once, requests are served for a while longer, so that whoever sends them has time to
notice, then the listener closes and every request under way is answered. A second signal cuts the wait short.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from fnkit.errors import EmulatorError
from fnkit.inference_graph.graph import CompiledGraph, Surroundings
from fnkit.inference_graph.headers import patterns_of, propagation, skipped_patterns
from fnkit.inference_graph.services import resolve_in_cluster, resolve_with
from fnkit.net import aio
from fnkit.net.client import Client
from fnkit_emulator.listening import finish_listening
from fnkit_emulator.router.connection import Hub, Limits
from fnkit_emulator.router.front import Front
from fnkit_emulator.router.mesh import IstioMesh
from fnkit_emulator.router.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fnkit.inference_graph.beside import Beside, Result
    from fnkit.inference_graph.flight import Observer
    from fnkit.inference_graph.graph import Resolve
    from fnkit.inference_graph.spec import InferenceGraph, Timeouts
    from fnkit_emulator.router.front import Log

_IDLE_PER_HOST = 256
_TURN_S = 0.0005  # a thread that works on a large body gives way to the loop after this, instead of 5 ms


@dataclass(frozen=True, slots=True)
class RouterOptions:
    """How a router is run.

    *propagate* is the value of `PROPAGATE_HEADERS`, None if it is not set. *services*: where service names lead. *log_steps*: a line of
    the log for every step. *in_cluster*: other service names are InferenceServices of the graph's namespace.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    propagate: str | None = None
    drain_s: float = 30.0
    services: Mapping[str, str] | None = None
    log_steps: bool = False
    in_cluster: bool = False


def log_line(level: str, message: str, **fields: object) -> None:
    """Write one JSON line to stderr, with the fields that the router's log has."""
    line = {"level": level, "ts": datetime.now(UTC).isoformat(), "logger": "InferenceGraphRouter", "msg": message, **fields}
    sys.stderr.write(json.dumps(line, default=str) + "\n")


class StepLog:
    """Logs every step with the fields that the router's log has."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def step_done(self, node: str, step: str, target: str, *, status: int, seconds: float, cause: str) -> None:
        self._log("info", "elapsed time", node=node, stepName=step, step=target, time=seconds, statusCode=status, cause=cause)


class Observers:
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def step_done(self, node: str, step: str, target: str, *, status: int, seconds: float, cause: str) -> None:
        for observer in self._observers:
            observer.step_done(node, step, target, status=status, seconds=seconds, cause=cause)


class Threads:
    """Two threads for work on large bodies: they share one interpreter, so more of them would only be in each other's way."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="large-bodies")

    async def __call__(self, work: Callable[..., Result], /, *args: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args))

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Router:
    """A graph behind a listening socket: `async with Router(...) as router` serves until the block ends."""

    def __init__(
        self,
        graph: InferenceGraph,
        options: RouterOptions,
        *,
        log: Log = log_line,
        draw: Callable[[], int] | None = None,
        beside: Beside | None = None,
    ) -> None:
        self._options = options
        self._log = log
        self._metrics = Metrics() if graph.extensions.metrics else None
        self._client = Client(aio.connector(), max_idle_per_host=_IDLE_PER_HOST, connect_timeout_s=30, resend=False)
        self._threads = Threads()
        beside = beside or self._threads
        around = Surroundings(
            client=self._client,
            resolve=self._resolver(graph),
            propagate=propagation(self._patterns(graph)),
            observer=self._observer(),
            mesh=IstioMesh(self._client),
            beside=beside,
        )
        self._graph = CompiledGraph(graph, replace(around, draw=draw) if draw else around)
        self._front = Front(self._graph, log=log, metrics=self._metrics, beside=beside)
        self._hub = Hub(self._front, limits_of(graph.timeouts))
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        host = self._options.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    async def __aenter__(self) -> Router:
        host, port = self._options.host, self._options.port
        try:
            self._server = await asyncio.get_running_loop().create_server(self._hub.protocol, host, port, backlog=2048)
        except (OSError, OverflowError) as error:
            raise EmulatorError(f"cannot listen on {host}:{port}: {error}", hint="choose another port with --port") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop listening, answer what is under way, close everything."""
        self._front.draining = True
        if self._server is not None:
            await finish_listening(self._server)
        self._hub.drain()
        await self._hub.idle.wait()
        await self._graph.close()
        await self._client.close()
        self._threads.close()

    async def run_until_signalled(self, ready: Callable[[str], None]) -> None:
        """Return when a signal has come and the time to drain is over; *ready* gets the URL as soon as signals are heeded."""
        loop = asyncio.get_running_loop()
        signals = asyncio.Semaphore(0)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signals.release)
        try:
            ready(self.url)
            await signals.acquire()
            self._front.draining = True
            self._log("info", "shutting down: the readiness probe fails now", drain_seconds=self._options.drain_s)
            try:
                async with asyncio.timeout(self._options.drain_s):
                    await signals.acquire()
            except TimeoutError:
                pass
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _observer(self) -> Observer | None:
        observers: list[Observer] = [self._metrics] if self._metrics is not None else []
        if self._options.log_steps:
            observers.append(StepLog(self._log))
        return observers[0] if len(observers) == 1 else Observers(observers) if observers else None

    def _patterns(self, graph: InferenceGraph) -> tuple[str, ...]:
        own = graph.extensions.propagate_headers
        patterns = patterns_of(self._options.propagate) if own is None else own
        for pattern in skipped_patterns(patterns):
            self._log("error", "a header pattern does not compile and is skipped", pattern=pattern)
        return patterns

    def _resolver(self, graph: InferenceGraph) -> Resolve:
        services = {**graph.extensions.urls, **(self._options.services or {})}
        return resolve_in_cluster(graph, services) if self._options.in_cluster else resolve_with(services)


def limits_of(timeouts: Timeouts) -> Limits:
    """Return the server's limits: 0 and less mean none, and an idle limit of 0 falls back to that of reading."""

    def seconds(value: int) -> float | None:
        return value if value > 0 else None

    return Limits(
        read_s=seconds(timeouts.server_read),
        write_s=seconds(timeouts.server_write),
        idle_s=seconds(timeouts.server_idle or timeouts.server_read),
    )


async def serve(graph: InferenceGraph, options: RouterOptions, *, ready: Callable[[str], None], log: Log = log_line) -> None:
    """Serve *graph* until SIGTERM or SIGINT; *ready* gets the URL once connections are accepted. Raises `EmulatorError`."""
    sys.setswitchinterval(_TURN_S)
    async with Router(graph, options, log=log) as router:
        await router.run_until_signalled(ready)


def environment_propagation() -> str | None:
    """Return `PROPAGATE_HEADERS`, None if it is not set."""
    return os.environ.get("PROPAGATE_HEADERS")
