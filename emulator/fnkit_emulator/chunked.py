"""Decode a chunked HTTP body as its bytes come in, without doing any I/O.

A chunked body is a sequence of chunks (size in hexadecimal, CRLF, data, CRLF), a chunk of size zero, and then trailers, which look like
headers and end with an empty line. The decoder gives back all data of one read joined: the borders of chunks mean nothing here.
"""

from __future__ import annotations

_LONGEST_LINE = 64 * 1024
_MOST_TRAILERS = 64


class BadChunk(ValueError):
    """The bytes are no chunked body."""


class ChunkedBody:
    """A chunked body that is being read. `done` is true after its end; then `trailers` (lower-case names) and `rest` are valid."""

    __slots__ = ("_in_trailers", "_left", "_pending", "done", "rest", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers: dict[str, str] = {}
        self.rest = b""
        self._pending = b""
        self._left = 0  # bytes of the open chunk that are still to come, its CRLF included
        self._in_trailers = False

    def feed(self, data: bytes) -> bytes:
        """Take *data* off the wire and return the body's bytes in it, b"" if there are none; BadChunk for anything else."""
        if self._pending:
            data, self._pending = self._pending + data, b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                at = self._take(data, at, pieces)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._keep(data[at:])
                at = len(data)
            else:
                self._line(data[at:end])
                at = end + 2
        if self.done:
            self.rest = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        end = min(len(data), at + self._left)
        self._left -= end - at
        # The last two bytes of the span are the CRLF that ends the chunk; they may be split between reads.
        missing = max(0, 2 - self._left)
        body_end = end - missing
        if body_end > at:
            pieces.append(data[at:body_end])
        tail = data[max(at, body_end) : end]
        expected = b"\r\n"[2 - self._left - len(tail) : 2 - self._left] if self._left < 2 else b""
        if tail != expected:
            raise BadChunk("a chunk is not followed by CRLF")
        return end

    def _line(self, line: bytes) -> None:
        if self._in_trailers:
            self._trailer(line)
            return
        digits = line.split(b";", 1)[0].strip()
        if not digits or len(digits) > 16 or not all(byte in b"0123456789abcdefABCDEF" for byte in digits):
            raise BadChunk(f"not a chunk size: {line[:40]!r}")
        size = int(digits, 16)
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        name, colon, value = line.partition(b":")
        if not colon or len(self.trailers) >= _MOST_TRAILERS:
            raise BadChunk("not a trailer")
        self.trailers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")

    def _keep(self, data: bytes) -> None:
        # A trailer carries an error with its stack in base64; a line longer than this is no line of ours.
        if len(data) > (16 * _LONGEST_LINE if self._in_trailers else _LONGEST_LINE):
            raise BadChunk("a line is too long")
        self._pending = data
