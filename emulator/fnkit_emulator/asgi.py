"""The few words of ASGI that the emulator's front speaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]  # what ASGI says: keys and types depend on the scope's type
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


class TooLarge(Exception):
    """A request's body is larger than it may be; it has been read and thrown away. Its text may say how the limit is counted."""


class ClientGone(Exception):
    """The client left before its request was complete."""


async def read_body(receive: Receive, *, limit: int, discard: int) -> bytes:
    """Return the request's body; TooLarge if it has more than *limit* bytes, of which at most *discard* are read."""
    message = await receive()
    body = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body") and len(body) <= limit:
        return body  # type: ignore[no-any-return]  # ASGI says bytes
    parts, size = [body], len(body)
    while message.get("more_body") and size <= discard:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
    if message["type"] == "http.disconnect":
        raise ClientGone
    if size > limit:
        raise TooLarge
    return b"".join(parts)


async def respond(send: Send, status: int, body: bytes, headers: Headers = ()) -> None:
    """Send a whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def respond_json(send: Send, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
    """Send *value* as JSON."""
    more = [(name.lower().encode(), text.encode("latin-1", "replace")) for name, text in (headers or {}).items()]
    body = json.dumps(value).encode()
    await respond(send, status, body, [(b"content-type", b"application/json"), *more])


async def start_stream(send: Send, status: int, headers: Headers) -> None:
    """Send the head of an answer whose length is not known: it is sent in chunks."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def send_part(send: Send, data: bytes) -> None:
    """Send *data* as one chunk; waits while the client does not read."""
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def end_stream(send: Send) -> None:
    """Send the last chunk."""
    await send({"type": "http.response.body", "body": b""})


class Departure:
    """Watches for the client's leaving while its answer is sent: calls *on_leave* then. Use as a context manager."""

    def __init__(self, receive: Receive, on_leave: Callable[[], None]) -> None:
        self.left = False
        self._receive, self._on_leave = receive, on_leave
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Departure:
        self._task = asyncio.get_running_loop().create_task(self._watch())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self._on_leave()


def header(scope: Scope, name: bytes) -> str:
    """Return the value of the request's header *name* (lower-case), "" if it has none."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")  # type: ignore[no-any-return]  # ASGI says bytes
    return ""
