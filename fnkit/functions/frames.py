"""The answer of a step in another function, as a stream of frames.

AWS does not keep the borders of chunks, so each frame carries its length: `[kind u8][length u32][content]`, big-endian.

::

    H  head    JSON: {"streaming": bool, "many": bool, "response": ...}; always the first
    C  chunk   [outlets length u16][outlets, JSON][body as in `codec`]; length 65535 and no outlets means: to all next steps
    E  end     nothing; always the last where all went well
    F  fault   JSON: {"type", "message", "stack"}; always the last where it did not

A plain answer is a head, one chunk and an end, or a head and a fault; where it is *many*, it has a chunk for each body. A stream
that stops before `E` or `F` was cut off.
Where a function can answer only with JSON, the frames travel as `{"fnkit": "<base64>"}`; the first byte tells which it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from json import dumps, loads
from struct import Struct
from typing import TYPE_CHECKING

from fnkit.errors import InvokeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = Struct(">cI")
_OUTLETS = Struct(">H")
_ALL = 0xFFFF
FRAME_LIMIT = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StepHead:
    """The beginning of an answer. *response*: the status, content type and headers of a `Response` whose body is streamed."""

    streaming: bool
    many: bool = False
    response: object = None


@dataclass(frozen=True, slots=True)
class StepChunk:
    """A value, as bytes of the codec, for the steps in *outlets*; None means all next steps, `()` none."""

    body: bytes
    outlets: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class StepEnd:
    """The step is done."""


@dataclass(frozen=True, slots=True)
class StepFault:
    """The step failed with an exception of the type *type*, such as `ValueError`."""

    type: str
    message: str
    stack: tuple[str, ...] = ()


StepFrame = StepHead | StepChunk | StepEnd | StepFault


def render_frame(frame: StepFrame) -> bytes:
    """Return *frame* as bytes."""
    match frame:
        case StepChunk(body, None):
            return _HEAD.pack(b"C", 2 + len(body)) + b"\xff\xff" + body
        case StepChunk(body, outlets):
            names = dumps(outlets, separators=(",", ":")).encode()
            return _HEAD.pack(b"C", 2 + len(names) + len(body)) + _OUTLETS.pack(len(names)) + names + body
        case StepHead(streaming, many, response):
            return _render(b"H", dumps({"streaming": streaming, "many": many, "response": response}).encode())
        case StepEnd():
            return _render(b"E", b"")
        case StepFault(kind, message, stack):
            return _render(b"F", dumps({"type": kind, "message": message, "stack": stack}).encode())


def _render(kind: bytes, content: bytes) -> bytes:
    return _HEAD.pack(kind, len(content)) + content


class FrameReader:
    """Takes bytes as they come and gives whole frames. Raises `InvokeError` for what is no frame."""

    __slots__ = ("_kept", "finished")

    def __init__(self) -> None:
        self._kept = bytearray()
        self.finished = False  # an end or a fault has been read

    def feed(self, data: bytes) -> Iterator[StepFrame]:
        """Yield the frames that *data* completes."""
        kept = self._kept
        kept += data
        while len(kept) >= 5:
            kind, size = _HEAD.unpack_from(kept)
            if self.finished or kind not in b"HCEF" or size > FRAME_LIMIT:
                raise InvokeError("the answer of the step is not a stream of frames")
            if len(kept) < 5 + size:
                return
            content = bytes(kept[5 : 5 + size])
            del kept[: 5 + size]
            frame = _parse(kind, content)
            self.finished = isinstance(frame, StepEnd | StepFault)
            yield frame


def _parse(kind: bytes, content: bytes) -> StepFrame:
    try:
        if kind == b"C":
            return _parse_chunk(content)
        if kind == b"E":
            return StepEnd()
        fields = loads(content)
        if kind == b"H":
            return StepHead(bool(fields["streaming"]), bool(fields.get("many")), fields.get("response"))
        return StepFault(str(fields["type"]), str(fields["message"]), tuple(map(str, fields["stack"])))
    except (ValueError, KeyError, TypeError) as error:
        raise InvokeError("a frame of the step's answer cannot be read") from error


def _parse_chunk(content: bytes) -> StepChunk:
    if len(content) < 2:
        raise ValueError("a chunk without outlets")
    (size,) = _OUTLETS.unpack_from(content)
    if size == _ALL:
        return StepChunk(content[2:])
    names = loads(content[2 : 2 + size])
    if not isinstance(names, list):
        raise TypeError("outlets are not a list")
    return StepChunk(content[2 + size :], tuple(map(str, names)))
