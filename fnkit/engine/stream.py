"""Streams inside the engine: pull a generator, whatever its kind, and hand on what comes out of the graph."""

from __future__ import annotations

from fnkit.engine.powers import DROP
from fnkit.errors import StreamingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator


class SyncSource:
    """A generator or iterator of the user, pulled without waiting."""

    __slots__ = ("_generator",)

    def __init__(self, generator: Generator[object, None, None]) -> None:
        self._generator = generator

    async def __anext__(self) -> object:
        """Return the next chunk."""
        try:
            return next(self._generator)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Close the generator: it sees GeneratorExit where it stands."""
        self._generator.close()


async def close_source(source: object) -> None:
    """Close a generator of the user, of whichever kind, or a stream of another function."""
    for name in ("aclose", "close"):
        close = getattr(source, name, None)
        if close is not None:
            waiting = close()
            if waiting is not None:
                await waiting
            return


class Stream:
    """The chunks that a graph answers with: an async iterator that is pulled.

    `aclose()` closes the generators behind it at once and cancels what else the event has running. The first chunk has been made
    already when the stream is handed out, so that an error of a step behind the generator is not hidden in a stream.
    """

    __slots__ = ("_ended", "_failure", "_first", "_flow", "_on_end", "_stop")

    def __init__(self, flow: AsyncGenerator[object, None], stop: Callable[[], None]) -> None:
        self._flow = flow
        self._stop = stop
        self._first: object = DROP
        self._failure: BaseException | None = None
        self._ended = False
        self._on_end: Callable[[], None] | None = None

    @classmethod
    async def open(cls, flow: AsyncGenerator[object, None], stop: Callable[[], None]) -> Stream:
        """Return the stream of *flow* once its first chunk is there, or its end, or the error of its generator."""
        stream = cls(flow, stop)
        try:
            stream._first = await flow.__anext__()
        except StopAsyncIteration:
            stream._ended = True
        except StreamingError as error:
            if error.__cause__ is None:  # no generator failed: a step refused the stream
                raise
            stream._failure = error
        return stream

    def when_over(self, call: Callable[[], None]) -> None:
        """Let *call* be called once the stream has ended, broken or been closed."""
        if self._ended and self._failure is None:
            call()
        else:
            self._on_end = call

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    async def __anext__(self) -> object:
        """Return the next chunk; StreamingError where the generator failed, and whatever a step behind it raises."""
        first = self._first
        if first is not DROP:
            self._first = DROP
            return first
        if self._ended:
            raise StopAsyncIteration
        try:
            if self._failure is not None:
                raise self._failure
            return await self._flow.__anext__()
        except BaseException:
            self._over()
            raise

    async def aclose(self) -> None:
        """End the stream now."""
        try:
            await self.leave()
        finally:
            self._stop()

    async def leave(self) -> None:
        """Close the generators behind the stream, and nothing else of the event."""
        self._first = DROP
        try:
            await self._flow.aclose()
        finally:
            self._over()

    def _over(self) -> None:
        self._ended = True
        self._failure = None
        call, self._on_end = self._on_end, None
        if call is not None:
            call()


async def drain(value: object) -> None:
    """Run a stream that nobody listens to, up to its end; any other value is left alone."""
    if isinstance(value, Stream):
        try:
            async for _ in value:
                pass
        finally:
            await value.leave()
