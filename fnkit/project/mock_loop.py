"""Running coroutines for a caller who is not asynchronous: an event loop of its own that only runs while it is asked to."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import cast

from fnkit.engine import drive


class Stepper:
    """Runs awaitables to their end, on a private loop where they need one.

    It works inside a notebook too, where another loop is running already: that one is set aside meanwhile.
    """

    def __init__(self, *, needs_loop: bool) -> None:
        self._loop = asyncio.new_event_loop() if needs_loop else None

    def run(self, work: Awaitable[object]) -> object:
        """Return the result of *work*."""
        if self._loop is None:
            return drive(work)
        if self._loop.is_closed():
            cast("Coroutine[object, object, object]", work).close()
            raise ValueError("Cannot emit to a terminated flow")
        outer = events._get_running_loop()
        events._set_running_loop(None)
        try:
            return self._loop.run_until_complete(work)
        finally:
            events._set_running_loop(outer)

    def shut(self, close: Callable[[], Awaitable[object]]) -> None:
        """Await *close*, end whatever is left on the loop, and close the loop."""
        loop = self._loop
        if loop is not None and (loop.is_closed() or loop.is_running()):
            return
        try:
            self.run(close())
            if loop is not None:
                self.run(_end_tasks())
                self.run(loop.shutdown_asyncgens())
                self.run(loop.shutdown_default_executor())
        finally:
            if loop is not None:
                loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {cast("asyncio.Task[object]", asyncio.current_task())}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class MockStream(Generator[object, None, None]):
    """The chunks of a stream as an ordinary generator; closing it closes the user's generator at once."""

    def __init__(self, source: object, stepper: Stepper) -> None:
        self._source = source
        self._stepper = stepper
        self._over = False

    def send(self, value: None = None) -> object:
        """Return the next chunk."""
        if self._over:
            raise StopIteration
        try:
            return self._next()
        except (StopAsyncIteration, StopIteration):
            self._over = True
            raise StopIteration from None
        except BaseException:
            self._over = True
            raise

    def _next(self) -> object:
        if not hasattr(self._source, "__anext__"):
            return next(cast("Generator[object, None, None]", self._source))
        return self._stepper.run(_next_of(cast("AsyncIterator[object]", self._source)))

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> object:
        """Close the stream and raise the exception."""
        self._end()
        raise kind

    def close(self) -> None:
        """End the stream: the user's generator sees GeneratorExit."""
        self._end()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        close = getattr(self._source, "aclose", None)
        if close is not None:
            self._stepper.run(close())
        elif hasattr(self._source, "close"):
            self._source.close()

    def __del__(self) -> None:
        loop = self._stepper._loop
        if loop is None or not (loop.is_closed() or loop.is_running()):
            self._end()


async def _next_of(stream: AsyncIterator[object]) -> object:
    return await stream.__anext__()
