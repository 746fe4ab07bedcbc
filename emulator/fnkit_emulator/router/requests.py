"""What a client's bytes mean: requests of HTTP/1.1, read without any I/O.

Bytes go in through `feed`; `next_request` gives a request when it is complete. A body is kept whole, as KServe's router keeps it.
`truncated` gives what has come of a body when the client stops: Go's router runs its graph on that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fnkit.net.errors import NetError
from fnkit.net.http1 import ChunkedBody, LengthBody, find_head, is_token, parse_headers

Headers = tuple[tuple[str, str], ...]

HEAD_LIMIT = 1024 * 1024  # http.DefaultMaxHeaderBytes
_VERSION = re.compile(r"HTTP/([0-9])\.[0-9]")
_HOST = re.compile(r"[A-Za-z0-9!$%&()*+,\-.:;=\[\]'_~]*")


class Refused(Exception):
    """A request that is answered by the server itself; the connection is closed then."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Request:
    """A request with its whole body. Header names are as the client wrote them."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    keeps_open: bool
    is_http_1_0: bool


@dataclass(slots=True)
class _Pending:
    """A request whose body is still on its way."""

    method: str
    target: str
    version: str
    headers: Headers
    decoder: LengthBody | ChunkedBody
    parts: list[bytes]
    expects: bool


class RequestReader:
    """Cuts the bytes of one connection into requests."""

    __slots__ = ("_buffer", "_pending")

    def __init__(self) -> None:
        self._buffer = b""
        self._pending: _Pending | None = None

    @property
    def buffered(self) -> int:
        """How many bytes wait for their turn."""
        return len(self._buffer)

    @property
    def begun(self) -> bool:
        """Whether a request has begun to arrive."""
        return self._pending is not None or bool(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data

    def next_request(self) -> Request | None:
        """Return the next request, None until it is complete. Raises `Refused`."""
        pending = self._pending
        if pending is None:
            pending = self._read_head()
            if pending is None:
                return None
            self._pending = pending
        if self._buffer and not pending.decoder.done:
            try:
                piece = pending.decoder.feed(self._buffer)
            except NetError:
                self._buffer = b""
                return self.truncated()  # Go ignores that a body cannot be read further
            self._buffer = b""
            if piece:
                pending.parts.append(piece)
        if not pending.decoder.done:
            return None
        if pending.decoder.rest:
            self._buffer = pending.decoder.rest
        return self._complete(pending)

    def wants_continue(self) -> bool:
        """Tell, once, whether the client waits for leave to send the body."""
        pending = self._pending
        if pending is None or not pending.expects:
            return False
        pending.expects = False
        return not pending.parts

    def truncated(self) -> Request | None:
        """Return the request whose body will never be complete, with what has come of it."""
        pending = self._pending
        if pending is None:
            return None
        request = self._complete(pending)
        return Request(request.method, request.path, request.query, request.headers, request.body, False, request.is_http_1_0)

    def _complete(self, pending: _Pending) -> Request:
        self._pending = None
        path, _, query = pending.target.partition("?")
        parts = pending.parts
        return Request(
            pending.method,
            path,
            query,
            pending.headers,
            parts[0] if len(parts) == 1 else b"".join(parts),
            _keeps_open(pending.version, pending.headers),
            pending.version == "HTTP/1.0",
        )

    def _read_head(self) -> _Pending | None:
        if self._buffer.startswith((b"\r", b"\n")):
            self._buffer = self._buffer.lstrip(b"\r\n")  # RFC 9112, section 2.2
        end, after = find_head(self._buffer)
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise Refused(431)
            return None
        start, *lines = self._buffer[:end].decode("latin-1").split("\n")
        method, version, target = _request_line(start.rstrip("\r"))
        try:
            headers = _headers(lines)
        except NetError as error:
            raise Refused(400) from error
        self._buffer = self._buffer[after:]
        decoder = _decoder(headers)
        values = {name.lower(): value for name, value in headers}
        _check_host(headers, version)
        expected = values.get("expect", "").lower()
        if expected and expected != "100-continue":
            raise Refused(417)
        return _Pending(method, target, version, headers, decoder, [], bool(expected) and version != "HTTP/1.0")


def _check_host(headers: Headers, version: str) -> None:
    hosts = [value for name, value in headers if name.lower() == "host"]
    if len(hosts) > 1:
        raise Refused(400)
    if not hosts and version != "HTTP/1.0":
        raise Refused(400, "missing required Host header")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise Refused(400, "malformed Host header")


def _request_line(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or not is_token(parts[0]) or not parts[1]:
        raise Refused(400)
    method, target, version = parts
    found = _VERSION.fullmatch(version)
    if found is None:
        raise Refused(400)
    if found[1] != "1":
        raise Refused(505, "unsupported protocol version")
    if target.startswith(("http://", "https://")):
        target = "/" + target.partition("://")[2].partition("/")[2]
    if not target.startswith("/") and not (target == "*" and method == "OPTIONS"):
        raise Refused(400)
    return method, version, target


def _headers(lines: list[str]) -> Headers:
    """Return the headers with their names as written; `parse_headers` checks them."""
    lower = parse_headers(lines)
    return tuple((line[: len(name)], value) for line, (name, value) in zip(lines, lower, strict=True))


def _decoder(headers: Headers) -> LengthBody | ChunkedBody:
    lengths = set()
    codings = []
    for name, value in headers:
        key = name.lower()
        if key == "content-length":
            lengths.add(value)
        elif key == "transfer-encoding":
            codings.append(value.lower())
    if codings:
        if codings != ["chunked"]:
            raise Refused(501, "Unsupported transfer encoding")
        return ChunkedBody()
    if not lengths:
        return LengthBody(0)
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise Refused(400)
    return LengthBody(int(length))


def _keeps_open(version: str, headers: Headers) -> bool:
    options = ",".join(value for name, value in headers if name.lower() == "connection").lower()
    return "keep-alive" in options if version == "HTTP/1.0" else "close" not in options
