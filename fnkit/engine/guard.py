"""The limits and retries of a step's call options, where the step runs in this process. Imported only where a step has some.

Theory. The method of the step is replaced by a `Guard` that calls it, so a step without options is compiled as if this module did not
exist. What is `async` is cancelled when its time is up, and so its generator is closed. What is not `async` cannot be stopped from
outside without harm: it runs to its end, and its result is then refused. Either way a late answer is the same error, on every host.

An attempt gets a copy of the body as long as another one may follow it: a step that has changed its body before it failed must find it
unchanged. The first chunk of a stream belongs to the attempt; once it has been passed on there is no other attempt.
"""

from __future__ import annotations

from time import monotonic, sleep

from fnkit.engine.attempts import RetryRules, late_answer, late_chunk
from fnkit.engine.construct import Built
from fnkit.engine.event import Event
from fnkit.engine.isolation import isolate
from fnkit.engine.powers import ASYNC_GENERATOR, COROUTINE, DROP, GENERATOR, OpenedStream
from fnkit.engine.response import Response
from fnkit.engine.stream import SyncSource, close_source
from fnkit.lean import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any

    from fnkit.errors import StepTimeoutError
    from fnkit.manifest.model import CallOptions

_GENERATORS = (GENERATOR, ASYNC_GENERATOR)


def is_guarded(call: CallOptions) -> bool:
    """Tell whether *call* says anything that matters within one process."""
    return call.timeout_s is not None or call.idle_timeout_s is not None or bool(call.retry_on)


class Guard:
    """The method of one step, with limits and retries."""

    __slots__ = ("_asyncio", "_call", "_idle_s", "_rules", "_step", "_timeout_s")

    def __init__(self, step: str, method: Callable[..., object], call: CallOptions) -> None:
        self._step = step
        self._call = method
        self._timeout_s = call.timeout_s
        self._idle_s = call.timeout_s if call.idle_timeout_s is None else call.idle_timeout_s
        self._rules = RetryRules(call)
        self._asyncio: Any = None

    def use_loop(self) -> None:
        """Wait on the running event loop from now on, and cancel on it what is late."""
        self._asyncio = import_module("asyncio")

    def _on_loop(self) -> bool:
        """Tell whether this attempt runs on an event loop; a router may run it in a thread that has none."""
        return self._asyncio is not None and self._asyncio._get_running_loop() is not None

    async def __call__(self, given: object) -> object:
        """Call the method with *given*, a body or an event, until an attempt counts."""
        rules = self._rules
        attempt = 1
        while True:
            last = not rules.repeats_steps or attempt > rules.retries
            try:
                return await self._attempt(given if last else _copy(given))
            except Exception as error:
                if last or not rules.names(error):
                    raise
            pause = rules.pause_s(attempt)
            if self._on_loop():
                await self._asyncio.sleep(pause)
            else:
                sleep(pause)  # noqa: ASYNC251  # there is no event loop here that could do something else
            attempt += 1

    async def _attempt(self, given: object) -> object:
        limit, began = self._timeout_s, monotonic()
        result = self._call(given)
        if isinstance(result, COROUTINE):
            result = await self.within(result, limit, late_answer)
        if result.__class__ in _GENERATORS:
            stream = LimitedStream(self, result, self._idle_s)
            await stream.open(None if limit is None else limit - (monotonic() - began), limit)
            return OpenedStream(stream.pull, stream.close)
        if limit is not None and monotonic() - began > limit:
            raise late_answer(self._step, limit)
        if isinstance(result, Response) and result.body.__class__ in _GENERATORS:
            result.body = _chunks(LimitedStream(self, result.body, self._idle_s))
        return result

    async def within(
        self,
        work: Awaitable[object],
        seconds: float | None,
        late: Callable[[str, float], StepTimeoutError],
        said: float | None = None,
    ) -> object:
        """Await *work* for *seconds* at most; then it is cancelled, where there is a loop, and *late* tells of the *said* seconds."""
        if seconds is None:
            return await work
        said = seconds if said is None else said
        began = monotonic()
        if not self._on_loop():
            value = await work
        else:
            clock = self._asyncio.timeout(seconds)
            try:
                async with clock:
                    value = await work
            except Exception as error:
                if clock.expired():
                    raise late(self._step, said) from error
                raise
        if monotonic() - began > seconds:
            raise late(self._step, said)
        return value


class LimitedStream:
    """The chunks of a user's generator, each pulled within a limit."""

    __slots__ = ("_first", "_guard", "_idle_s", "_over", "_source")

    def __init__(self, guard: Guard, source: Any, idle_s: float | None) -> None:
        self._guard = guard
        self._source = source if hasattr(source, "__anext__") else SyncSource(source)
        self._idle_s = idle_s
        self._first: object = DROP
        self._over = False

    async def open(self, seconds: float | None, said: float | None) -> None:
        """Pull the first chunk and keep it; whatever is raised, the generator is closed."""
        try:
            self._first = await self._guard.within(self._source.__anext__(), seconds, late_answer, said)
        except StopAsyncIteration:
            self._over = True
        except BaseException:
            await self.close()
            raise

    async def pull(self) -> object:
        """Return the next chunk."""
        first, self._first = self._first, DROP
        if first is not DROP:
            return first
        if self._over:
            raise StopAsyncIteration
        try:
            return await self._guard.within(self._source.__anext__(), self._idle_s, late_chunk)
        except BaseException:
            self._over = True
            await self.close()
            raise

    async def close(self) -> None:
        """Close the generator."""
        await close_source(self._source)


async def _chunks(stream: LimitedStream) -> AsyncIterator[object]:
    """Yield the chunks of a stream that has not been opened."""
    try:
        while True:
            try:
                chunk = await stream.pull()
            except StopAsyncIteration:
                return
            yield chunk
    finally:
        await stream.close()


def _copy(given: object) -> object:
    """Return *given* for an attempt that must leave no traces in it."""
    if not isinstance(given, Event):
        return isolate(given)
    one = given.copy(isolate(given.body))
    one.visit = given.visit
    return one


def guarded(step: str, built: Built, call: CallOptions) -> tuple[Built, Guard]:
    """Return *built* with its method under guard, and the guard."""
    assert built.call is not None, "a step without a method is not called"
    guard = Guard(step, built.call, call)
    return Built(built.object, guard, built.select, built.takes_event), guard
