"""uvicorn's protocol with the head of an answer held back until its first bytes follow, so that both leave in one packet.

ASGI sends head and body as two messages, and uvicorn writes each to the socket: two system calls, and the client wakes up twice. A head
without a body, of a stream whose first piece is not there yet, leaves in the same turn of the event loop all the same.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class CorkedProtocol(HttpToolsProtocol):
    """HTTP/1.1 on httptools, over a corked transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        corked = Cork(cast(asyncio.Transport, transport))
        super().connection_made(cast(asyncio.Transport, corked))


class Cork:
    """The *transport*, except that a write which is the head of an answer waits for the next one, or for the end of this turn."""

    __slots__ = ("_held", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""

    def write(self, data: bytes) -> None:
        """Write *data*, together with a head that is held."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100 "):
            self._held = data
            asyncio.get_running_loop().call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Write what is held, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            data, self._held = self._held, b""
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
