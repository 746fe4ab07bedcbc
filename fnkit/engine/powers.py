"""What a step can ask of the engine beyond `body in, body out`. `DESIGN.md` describes the whole protocol."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable


class Drop:
    """The class of `DROP`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "DROP"

    def __bool__(self) -> bool:
        return False


DROP = Drop()
"""Returned by a step: this event goes no further. A client that waits for it is answered 204."""


class Many:
    """Returned by a step: each of *bodies* goes on as an event of its own, one after the other."""

    __slots__ = ("bodies",)

    def __init__(self, bodies: Iterable[object]) -> None:
        self.bodies = bodies


async def _coroutine() -> None: ...


async def _async_generator() -> AsyncIterator[object]:
    yield None


_sample = _coroutine()
COROUTINE: type[Coroutine[object, object, object]] = type(_sample)
_sample.close()
GENERATOR: type[object] = type(_ for _ in ())
ASYNC_GENERATOR: type[object] = type(_async_generator())


class RemoteStream:
    """A stream that runs in another function: *chunks* yields (chunk, outlets)."""

    __slots__ = ("chunks",)

    def __init__(self, chunks: object) -> None:
        self.chunks = chunks

    async def aclose(self) -> None:
        """Leave the stream, if it can be left."""
        close = getattr(self.chunks, "aclose", None)
        if close is not None:
            await close()


class OpenedStream:
    """A stream of a step that runs here and whose first chunk has been pulled already: *pull* returns each chunk, *close* ends it."""

    __slots__ = ("_close", "_pull")

    def __init__(self, pull: Callable[[], Awaitable[object]], close: Callable[[], Awaitable[None]]) -> None:
        self._pull = pull
        self._close = close

    async def __anext__(self) -> object:
        """Return the next chunk."""
        return await self._pull()

    async def aclose(self) -> None:
        """Close the generator behind it."""
        await self._close()


STREAMS = frozenset((GENERATOR, ASYNC_GENERATOR, RemoteStream, OpenedStream))
SPECIAL = STREAMS | {COROUTINE, Drop, Many}
"""The classes of results that are not simply the next body."""
