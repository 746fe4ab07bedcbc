"""Where models run: on the event loop, in threads, or in processes (`processes`, which is loaded only then)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, cast

from fnkit.engine.powers import COROUTINE, STREAMS

if TYPE_CHECKING:
    from fnkit.serving.models import Model
    from fnkit.serving.processes import Crew
    from fnkit.serving.runner import Call

_MAX_THREADS = 32
_END = object()


class Pools:
    """The threads and processes of one model runner, and the calls of its models by key. Creating it loads the models."""

    def __init__(
        self,
        models: Mapping[str, tuple[Model, str]],
        max_processes: int | None = None,
        max_threads: int | None = None,
        pool_factor: float | None = None,
    ) -> None:
        self.calls: dict[str, Call] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._crews: list[Crew] = []
        by_mechanism: dict[str, dict[str, Model]] = {}
        for key, (model, mechanism) in models.items():
            by_mechanism.setdefault(mechanism, {})[key] = model
        factor = pool_factor or 1
        try:
            self._start_processes(by_mechanism, max_processes or os.cpu_count() or 1, factor)
            self._load_here(by_mechanism, max_threads or _MAX_THREADS, factor)
        except BaseException:
            self._kill()
            raise

    async def gather(self, calls: Sequence[Awaitable[object]]) -> list[object]:
        """Await all calls at the same time."""
        return list(await asyncio.gather(*calls))

    async def close(self) -> None:
        """Stop all threads and processes."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._kill()

    def _start_processes(self, models: Mapping[str, Mapping[str, Model]], most: int, factor: float) -> None:
        for key, model in models.get("dedicated_process", {}).items():
            self._hire({key: model}, 1)
        pooled = models.get("process_pool", {})
        if pooled:
            self._hire(pooled, max(1, min(int(len(pooled) * factor), most)))
        for crew in self._crews:
            crew.wait_until_loaded()

    def _hire(self, models: Mapping[str, Model], number: int) -> None:
        crew: Crew = import_module("fnkit.serving.processes").Crew(models, number)
        self._crews.append(crew)
        self.calls.update({key: crew.caller(key) for key in models})

    def _load_here(self, models: Mapping[str, Mapping[str, Model]], most: int, factor: float) -> None:
        for key, model in models.get("asyncio", {}).items():
            model.init()
            self.calls[key] = _loop_call(model)
        threaded = models.get("thread_pool", {})
        if threaded:
            size = max(1, min(int(len(threaded) * factor), most))
            self._threads = ThreadPoolExecutor(size, "fnkit-model")
        for key, model in threaded.items():
            model.init()
            self.calls[key] = _thread_call(model, cast(ThreadPoolExecutor, self._threads))

    def _kill(self) -> None:
        for crew in self._crews:
            crew.stop()


def _loop_call(model: Model) -> Call:
    async def call(body: object, path: str, endpoint: str) -> object:
        result = model.run_async(body, path, endpoint)
        return await result if result.__class__ is COROUTINE else result

    return call


def _thread_call(model: Model, threads: ThreadPoolExecutor) -> Call:
    async def call(body: object, path: str, endpoint: str) -> object:
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(threads, model.run, body, path, endpoint)
        return _pulled(cast("Iterator[object]", result), threads) if result.__class__ in STREAMS else result

    return call


async def _pulled(generator: Iterator[object], threads: ThreadPoolExecutor) -> AsyncGenerator[object, None]:
    """Yield what *generator* yields, running it in a thread."""
    loop = asyncio.get_running_loop()
    try:
        while (chunk := await loop.run_in_executor(threads, next, generator, _END)) is not _END:
            yield chunk
    finally:
        close = getattr(generator, "close", None)
        if close is not None:
            await asyncio.shield(loop.run_in_executor(threads, close))
