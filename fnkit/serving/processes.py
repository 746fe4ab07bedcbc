"""Models in processes of their own.

A process is started when the graph is compiled, by fork where the system has it: the model is there at once, without being pickled, and
shares the memory of what is loaded already. Parent and child speak over a pipe, one call at a time, and a stream is pulled: the child
runs its generator up to the next `yield` only when it is asked to. A process that dies fails the call that it was at, and the next call
starts another. A call that is cancelled costs its process too: nobody knows what it would say next. A child whose parent is gone sees
the end of its pipe and ends.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sys
import warnings
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping
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

_END = object()
_STOP_S = 2.0  # how long a process may take to end by itself


class Crew:
    """Some processes that can all run the same models: a call takes the one that is free."""

    def __init__(self, models: Mapping[str, Model], number: int) -> None:
        self._workers = tuple(Worker(models) for _ in range(number))
        self._free = list(self._workers)
        self._waiting: list[asyncio.Future[None]] = []

    def wait_until_loaded(self) -> None:
        """Wait for the models to be loaded in all processes; raise what loading raised."""
        for worker in self._workers:
            worker.wait_until_loaded()

    def stop(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.stop()

    def caller(self, key: str) -> Call:
        """Return the call of the model *key*."""

        async def call(body: object, path: str, endpoint: str) -> object:
            return await self.call(key, body, path, endpoint)

        return call

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
