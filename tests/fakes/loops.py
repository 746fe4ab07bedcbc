"""Event loops that end tidily.

When a test ends, the other end of a connection may have closed without its loop having seen it. Such a transport is complained of when it
is collected, which is in whichever test comes later; so a loop looks once more before it is closed. What nobody closes is still
complained of.
"""

from __future__ import annotations

import asyncio
import selectors

_GRACE_S = 1.0


class TidyLoop(asyncio.SelectorEventLoop):
    """A loop that gives what is being closed a moment to close."""

    def __init__(self) -> None:
        self._watched = selectors.DefaultSelector()
        super().__init__(self._watched)

    def close(self) -> None:
        # A loop that is closed inside another one's time cannot look once more; neither can one that is closed already.
        if not self.is_closed() and not self.is_running() and asyncio._get_running_loop() is None:
            self.run_until_complete(self._settle())
        super().close()

    async def _settle(self) -> None:
        until = self.time() + _GRACE_S
        await asyncio.sleep(0)
        while len(self._watched.get_map()) > 1 and self.time() < until:  # noqa: ASYNC110 - the one left is the loop's own
            await asyncio.sleep(0.005)


class TidyLoops(asyncio.DefaultEventLoopPolicy):
    """Makes tidy loops."""

    _loop_factory = TidyLoop
