"""The answer of a step as frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.errors import InvokeError
from fnkit.functions.frames import FrameReader, StepChunk, StepEnd, StepFault, StepFrame, StepHead, render_frame

CHUNKS = st.builds(StepChunk, st.binary(max_size=200), st.none() | st.lists(st.text(max_size=8), max_size=3).map(tuple))
LAST = st.just(StepEnd()) | st.builds(StepFault, st.text(), st.text(), st.lists(st.text(), max_size=2).map(tuple))


@given(st.booleans(), st.booleans(), st.lists(CHUNKS, max_size=5), LAST, st.integers(min_value=1, max_value=30))
def test_frames_survive_any_cut(streaming: bool, many: bool, chunks: list[StepChunk], last: StepFrame, size: int) -> None:
    frames: list[StepFrame] = [StepHead(streaming, many), *chunks, last]
    wire = b"".join(map(render_frame, frames))
    reader = FrameReader()

    found = [frame for at in range(0, len(wire), size) for frame in reader.feed(wire[at : at + size])]

    assert found == frames
    assert reader.finished


def test_a_stream_that_stops_early_is_not_finished() -> None:
    reader = FrameReader()

    list(reader.feed(render_frame(StepHead(streaming=True)) + render_frame(StepChunk(b"j1"))))

    assert not reader.finished


@pytest.mark.parametrize(
    "wire",
    [
        b'{"errorMessage": "no"}',
        b"X\x00\x00\x00\x00",
        b"C\xff\xff\xff\xff",
        b"C\x00\x00\x00\x01a",
        b"H\x00\x00\x00\x02{}",
        b"C\x00\x00\x00\x05\x00\x025" + b"5j",
        render_frame(StepEnd()) * 2,
    ],
)
def test_what_is_no_frame_is_refused(wire: bytes) -> None:
    with pytest.raises(InvokeError):
        list(FrameReader().feed(wire))
