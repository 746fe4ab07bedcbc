"""What the bytes of HTTP/1.1 mean, without any I/O.

A head is a start line and headers up to an empty line. What follows it is decided by RFC 9112, section 6.3: nothing (HEAD, 204,
304), chunks when `Transfer-Encoding` says so, as many bytes as `Content-Length` announces, or everything until the connection
closes. Each of these is a decoder: it is fed what arrives and returns the content in it; `done` says that the message is complete
and `rest` holds what came after it. `end()` tells it that nothing more will come.
"""

from __future__ import annotations

from functools import lru_cache

from fnkit.net.errors import ConnectionClosed, InvalidRequest, ProtocolError
from fnkit.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Headers = tuple[tuple[str, str], ...]

HEAD_LIMIT = 64 * 1024
_CHUNK_LINE_LIMIT = 4096
_SMALL_HEAD = 1024
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_BODILESS = frozenset(("GET", "HEAD", "DELETE", "OPTIONS", "TRACE"))
_FRAMING = frozenset(("content-length", "transfer-encoding"))


@record(frozen=True, slots=True)
class Head:
    """The head of an answer; header names are lower case."""

    version: str
    status: int
    reason: str
    headers: Headers

    def values(self, name: str) -> list[str]:
        """Return the values of all headers called *name* (lower case), in order."""
        return [value for key, value in self.headers if key == name]

    def keeps_open(self) -> bool:
        """Tell whether the connection may carry another request, as far as the head goes."""
        values = self.values("connection")
        if not values:
            return self.version == "HTTP/1.1"
        options = ",".join(values).lower()
        if self.version == "HTTP/1.0":
            return "keep-alive" in options
        return "close" not in options


@lru_cache(maxsize=1024)
def is_token(name: str) -> bool:
    """Tell whether *name* can be a method or a header name."""
    return bool(name) and _TOKEN.issuperset(name)


def render_request(method: str, resource: str, authority: str, headers: Iterable[tuple[str, str]], length: int | None) -> bytes:
    """Return the bytes of a request's head.

    *length* is the size of the body in bytes, None for a body of unknown size, which is announced as chunked. Headers that
    describe the framing are ours: the caller's are dropped. Raises `InvalidRequest` for what cannot be sent.
    """
    lines: list[str] = []
    host = authority
    for name, value in headers:
        key = name.lower()
        if key == "host":
            host = value
        elif key not in _FRAMING:
            if not is_token(name):
                raise InvalidRequest(f"bad header name {name!r}")
            lines.append(f"{name}: {value}")
    lines[:0] = (f"{method} {resource} HTTP/1.1", f"Host: {host}")
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    elif length or method not in _BODILESS:
        lines.append(f"Content-Length: {length}")
    text = "\r\n".join(lines) + "\r\n\r\n"
    if not is_token(method) or text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1 or "\0" in text:
        raise InvalidRequest("a header or the method contains a line break or a NUL")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidRequest("a header contains characters outside ISO-8859-1") from error


def render_chunk(data: bytes) -> bytes:
    """Return *data*, at least one byte, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def find_head(data: bytes | bytearray) -> tuple[int, int]:
    """Return where the head ends and where what follows it begins; (-1, -1) while the head is incomplete."""
    strict = data.find(b"\r\n\r\n")
    loose = data.find(b"\n\n", 0, strict if strict >= 0 else len(data))
    if loose >= 0:
        return loose, loose + 2
    return (strict, strict + 4) if strict >= 0 else (-1, -1)


def parse_head(raw: bytes) -> Head:
    """Parse the head of an answer, given without its empty line. Raises `ProtocolError`.

    A server says much the same in all its heads, so the last few hundred small ones are remembered.
    """
    return _known_head(raw) if len(raw) <= _SMALL_HEAD else _parse_head(raw)


def _parse_head(raw: bytes) -> Head:
    start, *lines = raw.decode("latin-1").split("\n")
    version, _, tail = start.rstrip("\r").partition(" ")
    code, _, reason = tail.partition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0") or len(code) != 3 or not (code.isascii() and code.isdigit()):
        raise ProtocolError(f"malformed HTTP status line {start[:80]!r}")
    return Head(version, int(code), reason.strip(), parse_headers(lines))


_known_head = lru_cache(maxsize=512)(_parse_head)


def parse_headers(lines: list[str]) -> Headers:
    """Parse header lines; names become lower case. Raises `ProtocolError`."""
    headers = []
    for line in lines:
        name, separator, value = line.partition(":")
        if not separator or not is_token(name):
            raise ProtocolError(f"malformed HTTP header {line[:80]!r}")
        value = value.strip(" \t\r")
        if "\r" in value or "\0" in value:
            raise ProtocolError(f"malformed HTTP header {line[:80]!r}")
        headers.append((name.lower(), value))
    return tuple(headers)


class LengthBody:
    """A body of known size, possibly of none."""

    __slots__ = ("left", "rest")
    trailers: Headers = ()

    def __init__(self, length: int) -> None:
        self.left = length
        self.rest = b""

    @property
    def done(self) -> bool:
        return self.left == 0

    def feed(self, data: bytes) -> bytes:
        if len(data) > self.left:
            data, self.rest = data[: self.left], data[self.left :]
        self.left -= len(data)
        return data

    def end(self) -> None:
        raise ConnectionClosed(f"connection closed with {self.left} bytes of the body missing", started=True)


class UntilCloseBody:
    """A body that ends where the connection does."""

    __slots__ = ("done",)
    trailers: Headers = ()
    rest = b""
    left = 0

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        self.done = True


class ChunkedBody:
    """A body in chunks, perhaps followed by trailers (RFC 9112, section 7.1)."""

    __slots__ = ("_buffer", "_left", "_step", "done", "rest", "trailers")
    left = 0

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._step: Callable[[bytes, int, list[bytes]], int] = self._size_line
        self.done = False
        self.rest = b""
        self.trailers: Headers = ()

    def feed(self, data: bytes) -> bytes:
        """Return the content of all chunks in *data*, joined."""
        content: list[bytes] = []
        self._buffer = data = self._buffer + data if self._buffer else data
        at = 0
        while not self.done and (reached := self._step(data, at, content)) >= 0:
            at = reached
        if self.done:
            self.rest, self._buffer = data[at:], b""
        elif at:
            self._buffer = data[at:]
        return content[0] if len(content) == 1 else b"".join(content)

    def end(self) -> None:
        raise ConnectionClosed("connection closed within a chunked body", started=True)

    # Each step handles what begins at *at* and returns where it ended, or -1 if more bytes are needed.

    def _size_line(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = data.find(b"\r\n", at)
        if end < 0 or end - at > _CHUNK_LINE_LIMIT:
            if len(data) - at > _CHUNK_LINE_LIMIT:
                raise ProtocolError("chunk header too long")
            return -1
        digits = data[at:end].partition(b";")[0].strip(b" \t")
        if not digits or len(digits) > 15 or not _HEX.issuperset(digits):
            raise ProtocolError(f"malformed chunk size {digits[:20]!r}")
        self._left = int(digits, 16)
        self._step = self._content if self._left else self._trailer_lines
        return end + 2

    def _content(self, data: bytes, at: int, content: list[bytes]) -> int:
        piece = data[at : at + self._left]
        if not piece:
            return -1
        content.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._step = self._content_end
        return at + len(piece)

    def _content_end(self, data: bytes, at: int, _: list[bytes]) -> int:
        mark = data[at : at + 2]
        if mark != b"\r\n"[: len(mark)]:
            raise ProtocolError("chunk is longer than its size says")
        if len(mark) < 2:
            return -1
        self._step = self._size_line
        return at + 2

    def _trailer_lines(self, data: bytes, at: int, _: list[bytes]) -> int:
        if data.startswith(b"\r\n", at):
            self.done = True
            return at + 2
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            if len(data) - at > HEAD_LIMIT:
                raise ProtocolError("trailers too long")
            return -1
        self.trailers = parse_headers(data[at:end].decode("latin-1").split("\n"))
        self.done = True
        return end + 4


Body = LengthBody | UntilCloseBody | ChunkedBody


def body_of(head: Head, method: str) -> Body:
    """Return the decoder for the body that follows *head*. Raises `ProtocolError`."""
    if method == "HEAD" or head.status in (204, 304):
        return LengthBody(0)
    codings: list[str] = []
    lengths: set[str] = set()
    for name, value in head.headers:
        if name == "content-length":
            lengths.update(part.strip() for part in value.split(","))
        elif name == "transfer-encoding":
            codings.append(value.lower())
    if codings:
        if codings != ["chunked"]:
            raise ProtocolError(f"unsupported transfer encoding {', '.join(codings)!r}")
        return ChunkedBody()
    if not lengths:
        return UntilCloseBody()
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise ProtocolError(f"malformed content length {length[:40]!r}")
    return LengthBody(int(length))
