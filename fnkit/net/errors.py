"""What can go wrong with a request that fnkit sends.

::

    NetError
    ├── InvalidRequest      the URL, a header or the method cannot be sent
    ├── ConnectError        no connection: refused, unknown host, TLS not accepted, out of time
    ├── TimeoutReached      the time of the whole exchange is up
    ├── ProtocolError       what came is not HTTP/1.1
    │   └── ConnectionClosed    the connection ended before the answer did
    └── BodyTooLarge        the body exceeds the limit that the reader gave
"""

from __future__ import annotations

from fnkit.errors import FnkitError


class NetError(FnkitError):
    """A request that could not be completed; `where` is the URL if it is known."""


class InvalidRequest(NetError):
    """The URL, a header or the method cannot be sent."""


class ConnectError(NetError):
    """No connection could be made; the `OSError` is the `__cause__` where there was one."""


class TimeoutReached(NetError):
    """The time for the whole exchange is up. *phase* is `connect`, `head` (until the status line) or `body`."""

    def __init__(self, message: str = "timeout", *, phase: str = "head", where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.phase = phase


class ProtocolError(NetError):
    """What came is not HTTP/1.1, or more than is accepted."""


class ConnectionClosed(ProtocolError):
    """The connection ended early. *started*: some bytes of the answer had arrived; *reset*: it was torn down."""

    def __init__(self, message: str, *, started: bool, reset: bool = False, where: str = "") -> None:
        super().__init__(message, where=where)
        self.started = started
        self.reset = reset


class BodyTooLarge(NetError):
    """The body exceeds the limit that the reader gave; the connection was closed."""
