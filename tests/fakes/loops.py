"""Event loops that end tidily.

When a test ends, the other end of a connection may have closed without its loop having seen it. Such a transport is complained of when it
is collected, which is in whichever test comes later; so a loop looks once more before it is closed. What nobody closes is still
complained of, except connections of `asyncio.start_server` and `open_connection`: only stand-ins of tests use those, and one whose
handler was ended before it began has had no time to close its own.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

_GRACE_S = 5.0


class TidyLoop(asyncio.SelectorEventLoop):
    """A loop that gives what is being closed a moment to close."""

    _transports: Any  # by file descriptor; of the loop's own class

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
        for transport in list(self._transports.values()):
            if isinstance(transport.get_protocol(), asyncio.StreamReaderProtocol):
                transport.abort()
        await asyncio.sleep(0)
        while len(self._watched.get_map()) > 1 and self.time() < until:  # noqa: ASYNC110 - the one left is the loop's own
            await asyncio.sleep(0.005)


class TidyLoops(asyncio.DefaultEventLoopPolicy):
    """Makes tidy loops."""

    _loop_factory = TidyLoop
