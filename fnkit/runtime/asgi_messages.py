"""The few words of ASGI that a function speaks as a server: requests become events, answers become messages."""

from __future__ import annotations

import asyncio
from secrets import token_hex
from time import time
from urllib.parse import parse_qsl
from uuid import uuid4

from fnkit.engine.event import Event
from fnkit.engine.response import WireResponse
from fnkit.runtime.http_events import Failures, pieces
from fnkit.runtime.invocation import Failure, Invocation
from fnkit.runtime.trigger import Trigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping
    from types import TracebackType
    from typing import Any

    Scope = MutableMapping[str, Any]  # what ASGI says: keys and types depend on the scope's type
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_CONNECTION = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"))
_WITHOUT_BODY = (204, 304)  # a client would take a body for the next answer
_HTTP = Trigger("http")


class TooLarge(Exception):
    """The body of a request is larger than it may be."""


class ClientGone(Exception):
    """The client left before its request was complete."""


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the body of the request. Raises `TooLarge` beyond *limit* bytes, and `ClientGone`."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLarge
        if not message.get("more_body"):
            return part if not parts else b"".join((*parts, part))
        parts.append(part)


def read_event(scope: Scope, body: bytes, invocation: Invocation) -> Event:
    """Return the event of a request, as `http_events.read_request` returns that of a function URL."""
    headers = _headers(scope["headers"])
    headers["x-amzn-trace-id"] = invocation.trace_id
    event = Event(
        body,
        id=invocation.request_id,
        headers=headers,
        method=scope["method"],
        path=raw_path(scope),
        content_type=headers.get("content-type", ""),
        trigger=_HTTP,
    )
    query = scope["query_string"].decode("latin-1")
    event.query = _parameters(query) if query else {}  # type: ignore[attr-defined]  # an event takes attributes of its host
    event.query_string = query  # type: ignore[attr-defined]
    return event


def raw_path(scope: Scope) -> str:
    """Return the path as it was sent, percent escapes and all."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1") or "/"


def header(scope: Scope, name: bytes) -> str:
    """Return the value of the request's header *name* (lower-case), "" if it has none."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


def new_invocation(scope: Scope, payload: bytes, timeout_s: float) -> Invocation:
    """Return the invocation that a request is: an id of its own, the trace of its caller or a new one."""
    now = time()
    trace = header(scope, b"x-amzn-trace-id") or _trace(header(scope, b"traceparent"), now)
    return Invocation(str(uuid4()), payload, deadline_ms=int((now + timeout_s) * 1000), trace_id=trace)


def _trace(traceparent: str, now: float) -> str:
    """Return an X-Ray trace header: for the trace of a W3C *traceparent*, or for a new one."""
    fields = traceparent.split("-")
    if len(fields) >= 4 and len(fields[1]) == 32:
        return f"Root=1-{fields[1][:8]}-{fields[1][8:]};Parent={fields[2]};Sampled={int(fields[3][-1:] in tuple('13579bdf'))}"
    return f"Root=1-{int(now):08x}-{token_hex(12)}"


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw:
        if name in _CONNECTION:
            continue
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key in headers:
            text = f"{headers[key]}{'; ' if key == 'cookie' else ','}{text}"
        headers[key] = text
    return headers


def _parameters(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


async def respond(send: Send, status: int, text: str, content_type: str = "text/plain; charset=utf-8") -> None:
    """Send a short answer of the host's own."""
    await deliver(send, WireResponse(status, (("content-type", content_type),), text.encode()), "GET", None)


async def deliver(send: Send, response: WireResponse, method: str, failures: Failures | None) -> bool:
    """Send *response*; a stream in chunks, each when the one before has been taken. A request of *method* HEAD gets the head alone.

    Returns False where the stream broke off, which *failures* has been told: the connection is to be cut.
    """
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in response.cookies]
    body = response.body
    silent = method == "HEAD" or response.status in _WITHOUT_BODY
    if isinstance(body, bytes):
        if response.status not in _WITHOUT_BODY:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if silent else body})
        return True
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if not silent:
        assert failures is not None, "only answers of the graph stream"
        stream = pieces(response, failures)
        try:
            async for data in stream:
                await send({"type": "http.response.body", "body": data, "more_body": True})
        except Failure:
            return False
        finally:
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    await send({"type": "http.response.body", "body": b""})
    return True


class Watch:
    """The context during which the current task is cancelled when the client leaves, or when *timeout_s* is over.

    What it has cancelled ends with the context; *left* and *late* tell which it was.
    """

    def __init__(self, receive: Receive, timeout_s: float) -> None:
        self.left = False
        self.late = False
        self._receive = receive
        self._timeout_s = timeout_s

    def __enter__(self) -> Watch:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watcher = loop.create_task(self._wait())
        self._alarm = loop.call_later(self._timeout_s, self._ring)
        return self

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.late:
            self.left = True
            self._task.cancel()

    def _ring(self) -> None:
        if not self.left:
            self.late = True
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self._watcher.cancel()
        self._alarm.cancel()
        mine = self.left or self.late
        return mine and self._task.uncancel() == 0 and isinstance(error, asyncio.CancelledError)
