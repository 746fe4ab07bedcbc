"""The framing of `InvokeWithResponseStream` (`application/vnd.amazon.eventstream`), both ways.

A message is `[total u32][headers u32][crc32 of these eight][headers][payload][crc32 of all before]`, big-endian. A header is
`[name length u8][name][7][value length u16][value]`; 7 says that the value is a string. Other types of value are skipped over.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from zlib import crc32

from fnkit.errors import InvokeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PRELUDE = Struct(">III")
_SHORT = Struct(">H")
_WORD = Struct(">I")
_STRING = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # bytes of a value, by its type
MESSAGE_LIMIT = 24 * 1024 * 1024


class Message:
    """One message: its string headers, such as `:event-type`, and its payload."""

    __slots__ = ("headers", "payload")

    def __init__(self, headers: Mapping[str, str], payload: bytes) -> None:
        self.headers = headers
        self.payload = payload


class MessageReader:
    """Takes bytes as they come and gives whole messages. Raises `InvokeError` for a broken frame."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._kept)

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that *data* completes."""
        kept = self._kept
        kept += data
        while len(kept) >= 12:
            total, headers_size, crc = _PRELUDE.unpack_from(kept)
            if crc32(bytes(kept[:8])) != crc:
                raise InvokeError("a frame of the response stream is damaged: its prelude fails the checksum")
            if total > MESSAGE_LIMIT or total < 16 + headers_size:
                raise InvokeError(f"a frame of the response stream announces {total} bytes, which cannot be")
            if len(kept) < total:
                return
            frame = bytes(kept[:total])
            del kept[:total]
            if crc32(frame[:-4]) != _WORD.unpack_from(frame, total - 4)[0]:
                raise InvokeError("a frame of the response stream is damaged: it fails its checksum")
            yield Message(_read_headers(frame[12 : 12 + headers_size]), frame[12 + headers_size : -4])


def _read_headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind = data[at + 1 : name_end].decode(), data[name_end]
            at = name_end + 1
            if kind in _SIZES:
                at += _SIZES[kind]
                continue
            (size,) = _SHORT.unpack_from(data, at)
            if kind == _STRING:
                headers[name] = data[at + 2 : at + 2 + size].decode()
            at += 2 + size
    except (IndexError, UnicodeDecodeError, StructError) as error:
        raise InvokeError("a frame of the response stream has headers that cannot be read") from error
    return headers


def render_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one message with string *headers*."""
    fields = b"".join(_render_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = _PRELUDE.pack(16 + len(fields) + len(payload), len(fields), 0)[:8]
    body = prelude + _WORD.pack(crc32(prelude)) + fields + payload
    return body + _WORD.pack(crc32(body))


def _render_header(name: bytes, value: bytes) -> bytes:
    return b"%c%b%c%b%b" % (len(name), name, _STRING, _SHORT.pack(len(value)), value)


def render_chunk(payload: bytes) -> bytes:
    """Return the message that carries a piece of a function's answer."""
    return render_message(
        {":event-type": "PayloadChunk", ":content-type": "application/octet-stream", ":message-type": "event"}, payload
    )


def render_complete(report: bytes = b"{}") -> bytes:
    """Return the last message; *report* is a JSON object with `ErrorCode`, `ErrorDetails` and `LogResult`, where they apply."""
    return render_message(
        {":event-type": "InvokeComplete", ":content-type": "application/json", ":message-type": "event"}, report
    )
