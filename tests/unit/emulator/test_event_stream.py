"""Event-stream frames, read back by botocore's own parser."""

from __future__ import annotations

import json

from botocore.eventstream import EventStreamBuffer

from fnkit_emulator.event_stream import invoke_complete, payload_chunk


def test_botocore_reads_the_frames() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(payload_chunk(b"\x00abc") + payload_chunk(b"d") + invoke_complete(error_code="Unhandled", error_details="{}"))

    frames = [event.to_response_dict() for event in buffer]

    assert [frame["headers"][":event-type"] for frame in frames] == ["PayloadChunk", "PayloadChunk", "InvokeComplete"]
    assert [frame["body"] for frame in frames[:2]] == [b"\x00abc", b"d"]
    assert json.loads(frames[2]["body"]) == {"ErrorCode": "Unhandled", "ErrorDetails": "{}"}
