"""Connections of an asyncio loop.

A connection is an asyncio protocol: what arrives is handed straight to the reader that waits for it, or kept until one asks; when
too much is kept the transport stops reading, so a slow reader slows the sender down. Writing waits while the transport's own
buffer is too full.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

from fnkit.net.errors import ConnectError, TimeoutReached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.net.stream import Connector

_HIGH = 256 * 1024


class LoopStream(asyncio.Protocol):
    """A `Stream` on one connection of the running loop."""

    __slots__ = (
        "_error", "_expired", "_finished", "_gone", "_kept", "_kept_size", "_loop", "_reader", "_reading", "_timer",
        "_transport", "_writable", "_writer",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._kept: list[bytes] = []
        self._kept_size = 0
        self._reading = True
        self._reader: asyncio.Future[bytes] | None = None
        self._writable = True
        self._writer: asyncio.Future[None] | None = None
        self._finished = False  # the peer has finished sending
        self._expired = False
        self._error: OSError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] = loop.create_future()

    # What callers use.

    def limit(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._expired = False
        if seconds is not None:
            self._timer = self._loop.call_later(max(seconds, 0), self._expire)

    async def read(self) -> bytes:
        if self._kept:
            return self._take_kept()
        self._check()
        if self._finished:
            return b""
        self._reader = self._loop.create_future()
        try:
            return await self._reader
        finally:
            self._reader = None

    async def write(self, data: bytes) -> None:
        self._check()
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        transport.write(data)
        if not self._writable:
            self._writer = self._loop.create_future()
            try:
                await self._writer
            finally:
                self._writer = None

    def reusable(self) -> bool:
        transport = self._transport
        return transport is not None and not transport.is_closing() and not self._finished and not self._kept

    def close(self) -> None:
        self.limit(None)
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        await asyncio.shield(self._gone)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport, whatever the loop calls it
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(data)
            return
        self._kept.append(data)
        self._kept_size += len(data)
        if self._kept_size > _HIGH and self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._finished = True
        self._wake(b"")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._finished = True
        if exc is not None:
            self._error = exc if isinstance(exc, OSError) else ConnectionResetError(str(exc))
        if not self._gone.done():
            self._gone.set_result(None)
        self.limit(None)
        self._wake(self._error or b"")
        writer = self._writer
        if writer is not None and not writer.done():
            writer.set_exception(self._error or ConnectionResetError("the connection was closed"))

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    # How it works.

    def _take_kept(self) -> bytes:
        kept = self._kept
        data = kept[0] if len(kept) == 1 else b"".join(kept)
        kept.clear()
        self._kept_size = 0
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()
        return data

    def _check(self) -> None:
        if self._expired:
            raise TimeoutReached
        if self._error is not None:
            raise self._error

    def _wake(self, outcome: bytes | BaseException) -> None:
        reader = self._reader
        if reader is None or reader.done():
            return
        if isinstance(outcome, BaseException):
            reader.set_exception(outcome)
        else:
            reader.set_result(outcome)

    def _expire(self) -> None:
        self._expired = True
        self._wake(TimeoutReached())
        if self._writer is not None and not self._writer.done():
            self._writer.set_exception(TimeoutReached())


def connector(*, ssl_context: ssl.SSLContext | None = None) -> Connector:
    """Return what opens connections of the running loop; *ssl_context* replaces the system's certificates."""
    contexts: list[ssl.SSLContext] = [] if ssl_context is None else [ssl_context]

    async def connect(host: str, port: int, *, tls: bool, timeout_s: float) -> LoopStream:
        if tls and not contexts:
            contexts.append(ssl.create_default_context())  # made once: reading the system's certificates takes ~20 ms
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, stream = await loop.create_connection(lambda: LoopStream(loop), host, port, ssl=contexts[0] if tls else None)
        except TimeoutError as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise ConnectError(f"cannot connect to {host}:{port}: {error}") from error
            raise TimeoutReached(f"no connection to {host}:{port} in {timeout_s:g} s", phase="connect") from None
        except (OSError, UnicodeError) as error:
            raise ConnectError(f"cannot connect to {host}:{port}: {error}") from error
        return stream

    return connect
