"""Connections of an asyncio loop, for functions whose steps wait for one, and how their owner learns that the peer has gone."""

from __future__ import annotations

import asyncio
import socket

from fnkit.runtime.invocation import PeerGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from fnkit.runtime.client import Transport

_HIGH = 512 * 1024


class LoopTransport(asyncio.Protocol):
    """A connection of the running loop. *on_gone* is called once when the peer closes it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._kept: list[bytes] = []
        self._size = 0
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._writable = True
        self._error: OSError | None = None
        self.gone = False
        self.on_gone: Callable[[], object] | None = None

    async def read(self) -> bytes:
        if not self._kept:
            if self.gone:
                if self._error is not None:
                    raise self._error
                return b""
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = b"".join(self._kept)
        self._kept.clear()
        if self._size > _HIGH and self._transport is not None:
            self._transport.resume_reading()
        self._size = 0
        return data

    async def write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or self.gone:
            raise self._error or ConnectionResetError("the connection is closed")
        transport.write(data)
        if not self._writable:
            self._writer = self._loop.create_future()
            try:
                await self._writer
            finally:
                self._writer = None

    def close(self) -> None:
        self.on_gone = None
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream protocol is given a stream transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._kept.append(data)
        self._size += len(data)
        if self._size > _HIGH and self._transport is not None:
            self._transport.pause_reading()
        self._wake(self._reader)

    def eof_received(self) -> bool:
        self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._error = exc if isinstance(exc, OSError) else None
        self._writable = True
        self._leave()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake(self._writer)

    def _leave(self) -> None:
        self.gone = True
        self._wake(self._reader)
        writer = self._writer
        if writer is not None and not writer.done():
            writer.set_exception(self._error or ConnectionResetError("the connection is closed"))
        on_gone, self.on_gone = self.on_gone, None
        if on_gone is not None:
            on_gone()

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def connector(host: str) -> Callable[[], Awaitable[LoopTransport]]:
    """Return what opens connections to *host* (`"127.0.0.1:9001"`)."""
    name, _, port = host.rpartition(":")

    async def connect() -> LoopTransport:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: LoopTransport(loop), name, int(port))
        return protocol

    return connect


class LoopWatch:
    """The context during which the current task is cancelled when the peer of *transport* goes; it turns that into `PeerGone`."""

    def __init__(self, transport: Transport) -> None:
        assert isinstance(transport, LoopTransport)
        self._transport = transport
        self._task: asyncio.Task[object] | None = None
        self._cancelled = False

    def __enter__(self) -> None:
        if self._transport.gone:
            raise PeerGone
        self._task = asyncio.current_task()
        self._transport.on_gone = self._cancel

    def _cancel(self) -> None:
        if self._task is not None:
            self._cancelled = True
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._transport.on_gone = None
        if self._cancelled and self._task is not None and self._task.uncancel() == 0:
            raise PeerGone from error
