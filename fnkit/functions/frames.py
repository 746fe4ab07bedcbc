"""The answer of a step in another function, as a stream of frames.

AWS does not keep the borders of chunks, so each frame carries its length: `[kind u8][length u32][content]`, big-endian.

::

    H  head    JSON: {"streaming": bool, "many": bool, "response": ...}; always the first
    C  chunk   [outlets length u16][outlets, JSON][body as in `codec`]; length 65535 and no outlets means: to all next steps
    E  end     nothing; always the last where all went well
    F  fault   JSON: {"type", "message", "stack", "bases", "status", "hint"}; always the last where it did not

A plain answer is a head, one chunk and an end, or a head and a fault; where it is *many*, it has a chunk for each body. A stream
that stops before `E` or `F` was cut off.
Where a function can answer only with JSON, the frames travel as `{"fnkit": "<base64>"}`; the first byte tells which it is.
"""

from __future__ import annotations

from struct import Struct

from fnkit.errors import InvokeError
from fnkit.lean import dumps, loads
from fnkit.records import ByFields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = Struct(">cI")
_OUTLETS = Struct(">H")
_ALL = 0xFFFF
FRAME_LIMIT = 256 * 1024 * 1024


class StepHead(ByFields):
    """The beginning of an answer. *response*: the status, content type and headers of a `Response` whose body is streamed."""

    __slots__ = ("many", "response", "streaming")

    def __init__(self, streaming: bool, many: bool = False, response: object = None) -> None:
        self.streaming = streaming
        self.many = many
        self.response = response


class StepChunk(ByFields):
    """A value, as bytes of the codec, for the steps in *outlets*; None means all next steps, `()` none."""

    __slots__ = ("body", "outlets")

    def __init__(self, body: bytes, outlets: tuple[str, ...] | None = None) -> None:
        self.body = body
        self.outlets = outlets


class StepEnd(ByFields):
    """The step is done."""

    __slots__ = ()


class StepFault(ByFields):
    """The step failed with an exception of the type *type*, such as `ValueError`.

    *bases* are the names of the classes that it derives from, the nearest first. *status* is the HTTP status that it asks for, or 0,
    *hint* what the error says about the remedy.
    """

    __slots__ = ("bases", "hint", "message", "stack", "status", "type")

    def __init__(
        self,
        type: str,
        message: str,
        stack: tuple[str, ...] = (),
        bases: tuple[str, ...] = (),
        status: int = 0,
        hint: str = "",
    ) -> None:
        self.type = type
        self.message = message
        self.stack = stack
        self.bases = bases
        self.status = status
        self.hint = hint


StepFrame = StepHead | StepChunk | StepEnd | StepFault


def render_frame(frame: StepFrame) -> bytes:
    """Return *frame* as bytes."""
    if isinstance(frame, StepChunk):
        if frame.outlets is None:
            return _HEAD.pack(b"C", 2 + len(frame.body)) + b"\xff\xff" + frame.body
        names = dumps(frame.outlets, separators=(",", ":")).encode()
        return _HEAD.pack(b"C", 2 + len(names) + len(frame.body)) + _OUTLETS.pack(len(names)) + names + frame.body
    if isinstance(frame, StepHead):
        return _render(b"H", dumps({"streaming": frame.streaming, "many": frame.many, "response": frame.response}).encode())
    if isinstance(frame, StepFault):
        return _render(b"F", dumps({name: getattr(frame, name) for name in frame.__slots__}).encode())
    return _render(b"E", b"")


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
        bases, status = tuple(map(str, fields.get("bases", ()))), int(fields.get("status", 0))
        stack, hint = tuple(map(str, fields["stack"])), str(fields.get("hint", ""))
        return StepFault(str(fields["type"]), str(fields["message"]), stack, bases, status, hint)
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
