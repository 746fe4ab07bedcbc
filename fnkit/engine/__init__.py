"""The engine: compile a flow once, run events through it. `DESIGN.md` beside this file tells how it works."""

from __future__ import annotations

from fnkit.engine.answer import Answer, QueueWriter, RemoteStep, Topology
from fnkit.engine.context import Context, Logger
from fnkit.engine.drive import drive, drive_iterator
from fnkit.engine.event import Event
from fnkit.engine.node import COMPLETE_NAME as Complete  # the name that steps use as an outlet
from fnkit.engine.payload import decode_body, receive
from fnkit.engine.powers import DROP, Many
from fnkit.engine.response import Chunk, End, Fault, Frame, Head, Response, WireResponse
from fnkit.engine.stream import Stream
from fnkit.engine.topology import FlowTopology, compile_flow
from fnkit.engine.wire import error_response, status_of, wire_stream, wire_value
from fnkit.errors import StreamingError
from fnkit.lean import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.engine.alone import load_step

__all__ = [
    "DROP",
    "Answer",
    "Chunk",
    "Complete",
    "Context",
    "End",
    "Event",
    "Fault",
    "FlowTopology",
    "Frame",
    "Head",
    "Logger",
    "Many",
    "QueueWriter",
    "RemoteStep",
    "Response",
    "Stream",
    "StreamingError",
    "Topology",
    "WireResponse",
    "compile_flow",
    "decode_body",
    "drive",
    "drive_iterator",
    "error_response",
    "load_step",
    "receive",
    "status_of",
    "wire_stream",
    "wire_value",
]


def __getattr__(name: str) -> object:
    if name != "load_step":
        raise AttributeError(f"module 'fnkit.engine' has no attribute {name!r}")
    return import_module("fnkit.engine.alone").load_step  # for functions of single steps only
