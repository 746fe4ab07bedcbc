"""Where models run: on the event loop, in threads, in processes of their own.

A process is started when the graph is compiled, by fork where the system has it: the model is there at once, without being pickled, and
shares the memory of what is loaded already. Parent and child speak over a pipe, one call at a time, and a stream is pulled: the child
runs its generator up to the next `yield` only when it is asked to. A process that dies fails the call that it was at, and the next call
starts another. A call that is cancelled costs its process too: nobody knows what it would say next.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, cast

from fnkit.engine.drive import drive
from fnkit.engine.powers import COROUTINE, STREAMS
from fnkit.errors import ModelRunnerError

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from fnkit.serving.models import Model
    from fnkit.serving.runner import Call

_MAX_THREADS = 32
_END = object()
_STOP_S = 2.0  # how long a process may take to end by itself


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
        self._workers: list[Worker] = []
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
        for worker in self._workers:
            worker.wait_until_loaded()

    def _hire(self, models: Mapping[str, Model], number: int) -> None:
        crew = Crew([Worker(models) for _ in range(number)])
        self._crews.append(crew)
        self._workers += crew.workers
        self.calls.update({key: _process_call(crew, key) for key in models})

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
        for worker in self._workers:
            worker.stop()


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


def _process_call(crew: Crew, key: str) -> Call:
    async def call(body: object, path: str, endpoint: str) -> object:
        return await crew.call(key, body, path, endpoint)

    return call


class Crew:
    """Some processes that can all run the same models: a call takes the one that is free."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = tuple(workers)
        self._free = list(workers)
        self._waiting: list[asyncio.Future[None]] = []

    async def call(self, key: str, body: object, path: str, endpoint: str) -> object:
        """Return the result of the model *key*, or the stream of its chunks; the process is free again when the stream is over."""
        worker = await self._take()
        try:
            kind, value = await worker.ask((key, body, path, endpoint))
        except BaseException:
            self._give_back(worker)
            raise
        if kind == "stream":
            return self._stream(worker)
        self._give_back(worker)
        if kind == "error":
            raise cast(Exception, value)
        return value

    async def _stream(self, worker: Worker) -> AsyncGenerator[object, None]:
        over = False
        try:
            while True:
                kind, value = await worker.ask("next")
                if kind == "chunk":
                    yield value
                    continue
                over = True
                if kind == "error":
                    raise cast(Exception, value)
                return
        finally:
            if not over and worker.alive:
                await worker.ask("stop")
            self._give_back(worker)

    async def _take(self) -> Worker:
        while not self._free:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        return self._free.pop()

    def _give_back(self, worker: Worker) -> None:
        self._free.append(worker)
        while self._waiting:
            turn = self._waiting.pop(0)
            if not turn.done():
                turn.set_result(None)
                return


class Worker:
    """One process that runs models."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = dict(models)
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._start()

    @property
    def alive(self) -> bool:
        """Whether the process is there and can be asked."""
        return self._pipe is not None

    def wait_until_loaded(self) -> None:
        """Wait for the models to be loaded; raise what loading raised."""
        kind, value = self._receive()
        if kind == "error":
            self.stop()
            raise cast(Exception, value)

    async def ask(self, question: object) -> tuple[str, object]:
        """Send *question* and return the answer. ModelRunnerError if the process ends instead."""
        loop = asyncio.get_running_loop()
        if self._pipe is None:
            self._start()
            await self._readable(loop)
            self.wait_until_loaded()
        pipe = cast(Connection, self._pipe)
        try:
            pipe.send(question)
        except OSError:
            raise self._lost() from None
        await self._readable(loop)
        return self._receive()

    def stop(self) -> None:
        """End the process: it sees the end of its pipe; one that does not end by itself is killed."""
        pipe, self._pipe = self._pipe, None
        process, self._process = self._process, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.terminate()
            process.join(_STOP_S)
            if process.exitcode is None:
                process.kill()
                process.join()
            process.close()

    def _start(self) -> None:
        forks = sys.platform == "linux"
        context = multiprocessing.get_context("fork") if forks else multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, ours if forks else None, self._models), daemon=True)
        with warnings.catch_warnings():
            # Python 3.12 warns of a fork beside threads; the child only ever runs the model and exits.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        self._process, self._pipe = process, ours

    async def _readable(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the pipe to have something; a caller that goes away meanwhile takes the process along."""
        pipe = cast(Connection, self._pipe)
        ready = loop.create_future()
        loop.add_reader(pipe.fileno(), _wake, ready)
        try:
            await ready
        except BaseException:
            loop.remove_reader(pipe.fileno())
            self.stop()
            raise
        loop.remove_reader(pipe.fileno())

    def _receive(self) -> tuple[str, object]:
        try:
            answer: tuple[str, object] = cast(Connection, self._pipe).recv()
        except (EOFError, OSError):
            raise self._lost() from None
        return answer

    def _lost(self) -> ModelRunnerError:
        process = self._process
        if process is not None:
            process.join(_STOP_S)
        code = process.exitcode if process is not None else None
        self.stop()
        names = ", ".join(self._models)
        return ModelRunnerError(f"the process of {names} ended with exit code {code}", hint="the next event starts it again")


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _serve(pipe: Connection, inherited: Connection | None, models: Mapping[str, Model]) -> None:
    """Run models until the pipe ends: the child's side of `Worker`."""
    if inherited is not None:
        inherited.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    try:
        for model in models.values():
            model.init()
    except Exception as error:
        _tell(pipe, "error", error)
        return
    _tell(pipe, "ready", None)
    with suppress(EOFError, OSError):
        while True:
            _answer(pipe, models, pipe.recv())


def _answer(pipe: Connection, models: Mapping[str, Model], question: tuple[str, object, str, str]) -> None:
    key, body, path, endpoint = question
    try:
        result = models[key].run(body, path, endpoint)
        if result.__class__ is COROUTINE:
            result = drive(cast("Awaitable[object]", result))
    except Exception as error:
        _tell(pipe, "error", error)
        return
    if result.__class__ not in STREAMS:
        _tell(pipe, "value", result)
        return
    _tell(pipe, "stream", None)
    _stream(pipe, cast("Iterator[object]", result))


def _stream(pipe: Connection, generator: Iterator[object]) -> None:
    try:
        while pipe.recv() == "next":
            chunk = next(generator, _END)
            if chunk is _END:
                _tell(pipe, "end", None)
                return
            _tell(pipe, "chunk", chunk)
    except (EOFError, OSError):
        raise
    except Exception as error:
        _tell(pipe, "error", error)
        return
    close = getattr(generator, "close", None)
    if close is not None:
        close()
    _tell(pipe, "end", None)


def _tell(pipe: Connection, kind: str, value: object) -> None:
    """Send an answer; what cannot be pickled becomes an error that can."""
    try:
        pipe.send((kind, value))
    except (OSError, EOFError):
        raise
    except Exception as error:
        told = value if kind == "error" else error
        pipe.send(("error", ModelRunnerError(f"{type(told).__name__}: {told}")))
