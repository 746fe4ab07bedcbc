"""Send requests and read answers as they arrive.

One exchange: take an idle connection to the origin or open one, write the head and the body, read until the head of the answer is
complete, hand out a `Reply`. The reply reads the body and puts the connection back when the last byte has come. Whatever goes
wrong in between, a cancellation too, closes the connection: its state would be unknown.
"""

from __future__ import annotations

from time import monotonic

from fnkit.net.errors import (
    BodyTooLarge,
    ConnectionClosed,
    NetError,
    ProtocolError,
    TimeoutReached,
)
from fnkit.net.http1 import (
    HEAD_LIMIT,
    LAST_CHUNK,
    Head,
    UntilCloseBody,
    body_of,
    find_head,
    parse_head,
    render_chunk,
    render_request,
)
from fnkit.net.url import Target, parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from types import TracebackType

    from fnkit.net.http1 import Body, Headers
    from fnkit.net.stream import Connector, Stream

_JOIN_LIMIT = 64 * 1024  # up to here one write of head and body is cheaper than two
_IDLE_LIMIT_S = 90.0


class Reply:
    """An answer whose head has been read. Read its body, or close it: until then it owns its connection.

    `headers` holds names in lower case, in the order of arrival; `trailers` is filled when the body has been read.
    """

    __slots__ = ("_body", "_early", "_free", "_stream", "_where", "headers", "reason", "status")

    def __init__(self, head: Head, body: Body, early: bytes, *, stream: Stream, free: Callable[[], None], where: str) -> None:
        self.status = head.status
        self.reason = head.reason
        self.headers: Headers = head.headers
        self._body = body
        self._early = early
        self._stream: Stream | None = stream
        self._free: Callable[[], None] = free
        self._where = where
        if body.done:
            self._settle(early)

    @property
    def trailers(self) -> Headers:
        """The headers that followed a chunked body."""
        return self._body.trailers

    def header(self, name: str, default: str = "") -> str:
        """Return the first value of the header *name*, whatever its case."""
        name = name.lower()
        return next((value for key, value in self.headers if key == name), default)

    def limit(self, seconds: float | None) -> None:
        """Let the rest of the body take *seconds* from now on, whatever the request was given; None: any time."""
        if self._stream is not None:
            self._stream.limit(seconds)

    async def read(self, limit: int | None = None) -> bytes:
        """Return the (rest of the) body; raise `BodyTooLarge` as soon as it is known to exceed *limit* bytes."""
        if limit is not None and self._body.left > limit:
            await self.close()
            raise BodyTooLarge(f"the body has more than {limit} bytes", where=self._where)
        parts: list[bytes] = []
        size = 0
        while piece := await self._next():
            parts.append(piece)
            size += len(piece)
            if limit is not None and size > limit:
                await self.close()
                raise BodyTooLarge(f"the body has more than {limit} bytes", where=self._where)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, everything that one read brought at once. Leaving early closes the connection."""
        try:
            while piece := await self._next():
                yield piece
        finally:
            await self.close()

    async def close(self) -> None:
        """Abandon what has not been read of the body; closes the connection in that case only."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    async def __aenter__(self) -> Reply:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _next(self) -> bytes:
        """Return the next piece of the body, `b""` after the last."""
        stream = self._stream
        if stream is None:
            if not self._body.done:
                raise ProtocolError("the body has been closed before it was read", where=self._where)
            return b""
        try:
            return await self._piece(stream)
        except BaseException:
            await self.close()
            raise

    async def _piece(self, stream: Stream) -> bytes:
        body = self._body
        while not body.done:
            data = self._early or await _read(stream, "body", self._where)
            self._early = b""
            piece = b""
            if data:
                piece = body.feed(data)
            else:
                body.end()
            if body.done:
                self._settle(body.rest)
            if piece:
                return piece
        return b""

    def _settle(self, excess: bytes) -> None:
        """Give the connection back; one on which more came than was announced is closed."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if excess:
            stream.close()
        else:
            self._free()


class Client:
    """Sends requests over kept-alive connections. Belongs to one thread, or one asyncio loop.

    A request that found its idle connection closed by the server, before any byte of the answer, is sent once more on a new
    connection when its body is bytes. Pass `resend=False` where a server that acts and then closes must not be asked twice.
    """

    def __init__(
        self, connect: Connector, *, max_idle_per_host: int = 64, connect_timeout_s: float = 10.0, resend: bool = True
    ) -> None:
        self._connect = connect
        self._max_idle = max_idle_per_host
        self._connect_timeout_s = connect_timeout_s
        self._resend = resend
        self._idle: dict[tuple[str, str, int], list[tuple[Stream, float]]] = {}
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | AsyncIterator[bytes] = b"",
        timeout_s: float | None = None,
    ) -> Reply:
        """Send a request and return the answer once its head is there. Redirects are answers like any other.

        *timeout_s* bounds the whole exchange: connecting, sending, the head and the body. Raises the exceptions of
        `fnkit.net.errors`.
        """
        target = parse_url(url)
        if target.authorization:
            headers = tuple(headers)
            if all(name.lower() != "authorization" for name, _ in headers):
                headers = (("Authorization", target.authorization), *headers)
        length = len(body) if isinstance(body, bytes) else None
        head = render_request(method, target.resource, target.authority, headers, length)
        exchange = _Exchange(method, url, head, body)
        until = None if timeout_s is None else monotonic() + timeout_s
        stream = self._take(target.origin)
        if stream is not None:
            try:
                return await self._run(exchange, stream, target, until)
            except ConnectionClosed as error:
                if error.started or not self._resend or length is None:
                    raise
        stream = await self._open(target, url, until)
        return await self._run(exchange, stream, target, until)

    async def close(self) -> None:
        """Close the idle connections; the others close when their replies are done."""
        self._closed = True
        streams = [stream for entries in self._idle.values() for stream, _ in entries]
        self._idle.clear()
        for stream in streams:
            stream.close()
        for stream in streams:
            await stream.wait_closed()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def _take(self, origin: tuple[str, str, int]) -> Stream | None:
        entries = self._idle.get(origin)
        while entries:
            stream, since = entries.pop()
            if stream.reusable() and monotonic() - since < _IDLE_LIMIT_S:
                return stream
            stream.close()
        return None

    def _give(self, origin: tuple[str, str, int], stream: Stream) -> None:
        entries = self._idle.setdefault(origin, [])
        now = monotonic()
        while entries and now - entries[0][1] >= _IDLE_LIMIT_S:
            entries.pop(0)[0].close()
        if self._closed or len(entries) >= self._max_idle:
            stream.close()
        else:
            entries.append((stream, now))

    async def _open(self, target: Target, url: str, until: float | None) -> Stream:
        left = self._connect_timeout_s if until is None else min(self._connect_timeout_s, until - monotonic())
        if left <= 0:
            raise TimeoutReached(phase="connect", where=url)
        try:
            return await self._connect(target.host, target.port, tls=target.scheme == "https", timeout_s=left)
        except NetError as error:
            error.where = error.where or url
            raise

    async def _run(self, exchange: _Exchange, stream: Stream, target: Target, until: float | None) -> Reply:
        try:
            stream.limit(None if until is None else until - monotonic())
            head, body, early, complete = await exchange.run(stream)
        except BaseException:
            stream.close()
            raise

        def free() -> None:
            stream.limit(None)
            if complete and head.keeps_open() and not isinstance(body, UntilCloseBody):
                self._give(target.origin, stream)
            else:
                stream.close()

        return Reply(head, body, early, stream=stream, free=free, where=exchange.url)


class _Exchange:
    """One request, rendered, that can be run on a connection."""

    __slots__ = ("_body", "_head", "_method", "url")

    def __init__(self, method: str, url: str, head: bytes, body: bytes | AsyncIterator[bytes]) -> None:
        self.url = url
        self._method = method
        self._head = head
        self._body = body

    async def run(self, stream: Stream) -> tuple[Head, Body, bytes, bool]:
        """Send the request and read the head of its answer.

        Returns the head, the decoder of the body, what has come of the body, and whether the request was sent whole.
        """
        broken: OSError | None = None
        try:
            await self._send(stream)
        except TimeoutReached as error:
            error.where = self.url
            raise
        except OSError as error:
            # A server may answer (413, 401) and close without reading the body: its answer counts.
            broken = error
        try:
            head, early = await self._answer(stream)
        except ConnectionClosed as error:
            raise error from broken
        return head, body_of(head, self._method), early, broken is None

    async def _send(self, stream: Stream) -> None:
        body = self._body
        if isinstance(body, bytes):
            if len(body) <= _JOIN_LIMIT:
                await stream.write(self._head + body)
            else:
                await stream.write(self._head)
                await stream.write(body)
            return
        await stream.write(self._head)
        async for piece in body:
            if piece:
                await stream.write(render_chunk(piece))
        await stream.write(LAST_CHUNK)

    async def _answer(self, stream: Stream) -> tuple[Head, bytes]:
        data = b""
        while True:
            end, after = find_head(data)
            if end < 0:
                if len(data) > HEAD_LIMIT:
                    raise ProtocolError(f"the head of the answer has more than {HEAD_LIMIT} bytes", where=self.url)
                more = await _read(stream, "head", self.url, started=bool(data))
                if not more:
                    message = "connection closed within the head" if data else "connection closed without an answer"
                    raise ConnectionClosed(message, started=bool(data), where=self.url)
                data = data + more if data else more
                continue
            if end > HEAD_LIMIT:
                raise ProtocolError(f"the head of the answer has more than {HEAD_LIMIT} bytes", where=self.url)
            head = parse_head(data[:end])
            data = data[after:]
            if head.status >= 200:
                return head, data
            if head.status == 101:
                raise ProtocolError("the server switched protocols unasked", where=self.url)


async def _read(stream: Stream, phase: str, where: str, *, started: bool = True) -> bytes:
    """Read from *stream* and say of a failure where and when it happened."""
    try:
        return await stream.read()
    except TimeoutReached:
        raise TimeoutReached(f"no answer in time: waiting for the {phase}", phase=phase, where=where) from None
    except OSError as error:
        raise ConnectionClosed(f"connection broken: {error}", started=started, reset=True, where=where) from error
