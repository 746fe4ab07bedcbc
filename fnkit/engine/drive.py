"""Run coroutines that never wait for an event loop."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator


def drive(awaitable: Awaitable[object]) -> object:
    """Run *awaitable* to its end without an event loop and return its result.

    RuntimeError if it waits for something after all: then its topology said `needs_loop = False` wrongly, because a step that
    is not declared `async` returned something that waits.
    """
    coroutine = awaitable.__await__()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    close = getattr(coroutine, "close", None)
    if close is not None:
        close()
    raise RuntimeError(
        "a step waits for an event loop, but no step of the graph is declared 'async def'; declare the step's method so"
    )


def drive_iterator(stream: AsyncIterator[object]) -> Iterator[object]:
    """Yield the items of a stream that never waits for an event loop; closing this iterator closes *stream*."""
    try:
        while True:
            try:
                item = drive(stream.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            drive(close())
