"""The seam between HTTP and the transport: one connection, and how to get one."""

from __future__ import annotations

from fnkit.records import Protocol


class Stream(Protocol):
    """One connection. Operations raise `OSError` when it breaks and `TimeoutReached` when its time is up."""

    def limit(self, seconds: float | None) -> None:
        """Let everything from now on take *seconds* altogether; None takes the limit away."""

    async def read(self) -> bytes:
        """Return what has arrived, at least one byte; `b""` when the peer has finished sending."""

    async def write(self, data: bytes) -> None:
        """Hand over *data* and wait while the peer does not keep up."""

    def reusable(self) -> bool:
        """Tell whether this idle connection is still open and silent."""

    def close(self) -> None:
        """Close the connection at once, unsent bytes are dropped."""

    async def wait_closed(self) -> None:
        """Return when the socket of a closed connection is gone."""


class Connector(Protocol):
    """Opens connections."""

    async def __call__(self, host: str, port: int, *, tls: bool, timeout_s: float) -> Stream:
        """Return a connection to *host*; raise `ConnectError`."""
