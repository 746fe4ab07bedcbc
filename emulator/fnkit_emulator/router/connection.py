"""One client: requests are read one after the other, each is answered before the next is looked at.

Three limits of time, as Go's server has them: a request must have come whole within `read_s` of its beginning, its answer must have
gone within `write_s` of the end of its head, and an idle connection is closed after `idle_s`. One timer looks at all of them: it is
moved when it fires, not at every request.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from http import HTTPStatus
from time import gmtime, monotonic, time
from typing import TYPE_CHECKING

from fnkit.net.http1 import LAST_CHUNK, render_chunk
from fnkit_emulator.router.requests import Refused, Request, RequestReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[Request], Awaitable["ServerAnswer | None"]]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Go's words, which are not those of every Python.
_REASONS = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Request Entity Too Large",
    414: "Request URI Too Long",
    416: "Requested Range Not Satisfiable",
    418: "I'm a teapot",
    422: "Unprocessable Entity",
}
_SMALL = 2048  # Go's server announces the length of answers up to here, and sends larger ones in chunks
_HIGH = 256 * 1024
_LARGE = 4 * _HIGH


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """What goes to the client. An iterator as *body* is sent as it comes."""

    status: int
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of time in seconds; None: no limit."""

    read_s: float | None = 60
    write_s: float | None = 60
    idle_s: float | None = 180


class Hub:
    """What the connections of one server share. *handle* answers None to break a connection without an answer."""

    __slots__ = ("_date", "_date_second", "connections", "draining", "handle", "idle", "limits", "tasks")

    def __init__(self, handle: Handler, limits: Limits) -> None:
        self.handle = handle
        self.limits = limits
        self.draining = False
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self._date = ""
        self._date_second = -1

    def date(self) -> str:
        """Return the value of `Date`, made once a second."""
        second = int(time())
        if second != self._date_second:
            now = gmtime(second)
            day, month = _DAYS[now.tm_wday], _MONTHS[now.tm_mon - 1]
            self._date = f"{day}, {now.tm_mday:02} {month} {now.tm_year} {now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02} GMT"
            self._date_second = second
        return self._date

    def protocol(self) -> Connection:
        return Connection(self, asyncio.get_running_loop())

    def opened(self, connection: Connection) -> None:
        self.connections.add(connection)
        self.idle.clear()

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections and not self.tasks:
            self.idle.set()

    def start(self, task: asyncio.Task[None]) -> None:
        self.tasks.add(task)
        self.idle.clear()
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not self.connections and not self.tasks:
            self.idle.set()

    def drain(self) -> None:
        """Close the idle connections; the others close after their answers."""
        self.draining = True
        for connection in list(self.connections):
            connection.close_if_idle()


class Connection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_busy", "_deadline", "_eof", "_hub", "_loop", "_phase", "_reader", "_reading", "_timer", "_transport", "_writable",
        "_writer",
    )  # fmt: skip

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        self._hub = hub
        self._loop = loop
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._busy = False
        self._eof = False
        self._reading = True
        self._writable = True
        self._writer: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._phase = "read"
        self._deadline: float | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport, whatever the loop calls it
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._hub.opened(self)
        self._enter("read", self._hub.limits.read_s)

    def data_received(self, data: bytes) -> None:
        begun = self._reader.begun
        self._reader.feed(data)
        if self._busy:
            if self._reader.buffered > _HIGH and self._reading and self._transport is not None:
                self._reading = False
                self._transport.pause_reading()
            return
        if not begun:
            self._enter("read", self._hub.limits.read_s)
        self._advance()

    def eof_received(self) -> bool:
        self._eof = True
        if self._busy:
            return True
        request = self._reader.truncated()
        if request is None:
            return False
        self._begin(request)
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # the face of a protocol
        self._transport = None
        self._stop_timer()
        writer = self._writer
        if writer is not None and not writer.done():
            writer.set_exception(ConnectionResetError("the client is gone"))
        if not self._busy and (request := self._reader.truncated()) is not None:
            self._begin(request)  # nobody will see the answer, and the graph runs, as in Go
        self._hub.closed(self)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    # Requests.

    def close_if_idle(self) -> None:
        if not self._busy and not self._reader.begun and self._transport is not None:
            self._transport.close()

    def _advance(self) -> None:
        try:
            request = self._reader.next_request()
        except Refused as refused:
            self._refuse(refused)
            return
        if request is not None:
            self._begin(request)
        elif self._reader.wants_continue() and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin(self, request: Request) -> None:
        self._busy = True
        self._enter("write", self._hub.limits.write_s)
        self._hub.start(self._loop.create_task(self._serve(request)))

    async def _serve(self, request: Request) -> None:
        try:
            answer = await self._hub.handle(request)
            if answer is None:
                self._abort()
                return
            await self._send(request, answer)
        except ConnectionError:
            self._abort()
        except BaseException:
            self._abort()
            raise
        finally:
            self._busy = False
        self._after(request)

    def _after(self, request: Request) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not request.keeps_open or self._eof or self._hub.draining:
            transport.close()
            return
        if not self._reading:
            self._reading = True
            transport.resume_reading()
        if self._reader.begun:
            self._enter("read", self._hub.limits.read_s)
            self._advance()
        else:
            self._enter("idle", self._hub.limits.idle_s)

    def _refuse(self, refused: Refused) -> None:
        line = text = f"{refused.status} {_REASONS[refused.status]}"
        if refused.status == 501:
            text = refused.text
        elif refused.text:
            line = text = f"{line}: {refused.text}"
        kind = "Content-Type: text/plain; charset=utf-8"
        if refused.status == 417:
            kind, text = "Content-Length: 0", ""
        if self._transport is not None:
            self._transport.write(f"HTTP/1.1 {line}\r\n{kind}\r\nConnection: close\r\n\r\n{text}".encode())
            self._transport.close()

    # Answers.

    async def _send(self, request: Request, answer: ServerAnswer) -> None:
        if isinstance(answer.body, bytes):
            if self._transport is None or self._transport.is_closing():
                return
            if len(answer.body) < _LARGE or answer.status in (204, 304) or request.method == "HEAD":
                self._transport.write(self._whole(request, answer, answer.body))
            else:
                await self._in_pieces(request, answer, answer.body)
            return
        try:
            await self._stream(request, answer, answer.body)
        finally:
            await answer.body.aclose()  # type: ignore[attr-defined]  # bodies are async generators

    def _whole(self, request: Request, answer: ServerAnswer, body: bytes) -> bytes:
        if answer.status in (204, 304):
            return self._head(request, answer, ())
        if len(body) <= _SMALL or request.is_http_1_0:
            head = self._head(request, answer, (("Content-Length", str(len(body))),))
            return head if request.method == "HEAD" else head + body
        head = self._head(request, answer, (("Transfer-Encoding", "chunked"),))
        return head if request.method == "HEAD" else b"%b%b%b" % (head, render_chunk(body), LAST_CHUNK)

    async def _in_pieces(self, request: Request, answer: ServerAnswer, body: bytes) -> None:
        """Write a large answer piece by piece, as the client takes it, instead of copying it whole for each of its ends."""
        chunked = not request.is_http_1_0
        length = str(len(body))
        head = self._head(request, answer, (("Transfer-Encoding", "chunked") if chunked else ("Content-Length", length),))
        await self._write(head + (b"%x\r\n" % len(body) if chunked else b""))
        rest = memoryview(body)
        while rest:
            await self._write(rest[:_HIGH])
            rest = rest[_HIGH:]
        if chunked:
            await self._write(b"\r\n" + LAST_CHUNK)

    async def _stream(self, request: Request, answer: ServerAnswer, body: AsyncIterator[bytes]) -> None:
        chunked = not request.is_http_1_0
        framing = (("Transfer-Encoding", "chunked"),) if chunked else (("Connection", "close"),)
        await self._write_in_time(self._head(request, answer, framing))
        if request.method != "HEAD":
            async for data in body:
                await self._write_in_time(render_chunk(data) if chunked else data)
            if chunked:
                await self._write_in_time(LAST_CHUNK)
        if not chunked and self._transport is not None:
            self._transport.close()

    async def _write_in_time(self, data: bytes) -> None:
        """Write a chunk of a stream, which may last as long as the client takes it."""
        self._enter("write", self._hub.limits.write_s)
        await self._write(data)

    async def _write(self, data: bytes | memoryview) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport.write(data)
        if not self._writable:
            self._writer = self._loop.create_future()
            try:
                await self._writer
            finally:
                self._writer = None

    def _head(self, request: Request, answer: ServerAnswer, framing: tuple[tuple[str, str], ...]) -> bytes:
        reason = _REASONS.get(answer.status, f"status code {answer.status}")
        version = "HTTP/1.0" if request.is_http_1_0 else "HTTP/1.1"
        lines = [f"{version} {answer.status} {reason}", f"Date: {self._hub.date()}"]
        if answer.content_type:
            lines.append(f"Content-Type: {answer.content_type}")
        lines += [f"{name}: {value}" for name, value in (*answer.headers, *framing)]
        closes = not request.keeps_open or self._hub.draining
        if closes is not request.is_http_1_0:  # what the version means without a word is not said
            lines.append("Connection: close" if closes else "Connection: keep-alive")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # Time.

    def _enter(self, phase: str, seconds: float | None) -> None:
        self._phase = phase
        if seconds is None:
            self._deadline = None
            return
        self._deadline = monotonic() + seconds
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._look_at_clock)
        elif self._timer.when() > self._loop.time() + seconds:
            self._timer.cancel()
            self._timer = self._loop.call_later(seconds, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._timer = None
        if self._deadline is None or self._transport is None:
            return
        left = self._deadline - monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look_at_clock)
        elif self._phase == "read" and (request := self._reader.truncated()) is not None:
            self._begin(request)  # the body did not come in time: Go runs its graph on what has come
        else:
            self._abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
