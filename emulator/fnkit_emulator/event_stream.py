"""Frames of `application/vnd.amazon.eventstream`, the body of InvokeWithResponseStream.

A frame is, big-endian: total length u32, length of the headers u32, CRC-32 of these eight bytes, headers, payload, CRC-32 of everything
before. A header is: length of the name u8, name, type u8 (7 is text), length of the value u16, value.
"""

from __future__ import annotations

import json
from struct import Struct
from zlib import crc32

_TWO = Struct(">II")
_ONE = Struct(">I")
_TEXT_HEADER = Struct(">BH")


def _headers(**headers: str) -> bytes:
    packed = b""
    for name, value in headers.items():
        key, text = b":" + name.replace("_", "-").encode(), value.encode()
        packed += bytes([len(key)]) + key + _TEXT_HEADER.pack(7, len(text)) + text
    return packed


_CHUNK = _headers(message_type="event", event_type="PayloadChunk", content_type="application/octet-stream")
_COMPLETE = _headers(message_type="event", event_type="InvokeComplete", content_type="application/json")


def payload_chunk(data: bytes) -> bytes:
    """Return the frame that carries *data*, part of an answer."""
    return _frame(_CHUNK, data)


def invoke_complete(*, error_code: str = "", error_details: str = "", log_result: str = "") -> bytes:
    """Return the last frame of an answer; *log_result* is base64."""
    fields = {"ErrorCode": error_code, "ErrorDetails": error_details, "LogResult": log_result}
    return _frame(_COMPLETE, json.dumps({name: value for name, value in fields.items() if value}).encode())


def _frame(headers: bytes, payload: bytes) -> bytes:
    start = _TWO.pack(16 + len(headers) + len(payload), len(headers))
    front = start + _ONE.pack(crc32(start)) + headers
    return front + payload + _ONE.pack(crc32(payload, crc32(front)))
