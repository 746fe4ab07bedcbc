"""The framing of InvokeWithResponseStream."""

from __future__ import annotations

from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from fnkit.errors import InvokeError
from fnkit.functions.eventstream import MessageReader, render_chunk, render_complete, render_message


def test_botocore_reads_what_we_write() -> None:
    buffer = EventStreamBuffer()

    buffer.add_data(render_chunk(b"hello") + render_complete(b'{"ErrorCode": "X"}'))

    first, last = list(buffer)
    assert first.payload == b"hello"
    assert first.headers[":event-type"] == "PayloadChunk"
    assert last.headers[":event-type"] == "InvokeComplete"
    assert last.payload == b'{"ErrorCode": "X"}'


@given(
    st.lists(
        st.tuples(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=4), st.binary(max_size=300))
    ),
    st.integers(min_value=1, max_value=40),
)
def test_messages_survive_any_cut(messages: list[tuple[dict[str, str], bytes]], size: int) -> None:
    wire = b"".join(render_message(headers, payload) for headers, payload in messages)
    reader = MessageReader()

    found = [
        (dict(message.headers), message.payload)
        for at in range(0, len(wire), size)
        for message in reader.feed(wire[at : at + size])
    ]

    assert found == messages
    assert not reader.waiting


@pytest.mark.parametrize("position", [0, 5, 9, 14, 40, -6, -1])
def test_a_flipped_bit_anywhere_is_noticed(position: int) -> None:
    wire = bytearray(render_chunk(b"a payload"))
    wire[position] ^= 4

    with pytest.raises(InvokeError, match=r"response stream"):
        list(MessageReader().feed(bytes(wire)))


def test_a_started_message_is_waited_for() -> None:
    reader = MessageReader()

    assert list(reader.feed(render_chunk(b"x")[:-1])) == []
    assert reader.waiting


def test_values_that_are_no_strings_are_skipped_over() -> None:
    fields = b"\x01a\x04\x00\x00\x00\x07" + b"\x01b\x00" + b"\x01c\x07\x00\x02ok" + b"\x01d\x06\x00\x01\xff"
    plain = render_message({}, b"p")
    prelude = (len(plain) + len(fields)).to_bytes(4, "big") + len(fields).to_bytes(4, "big")
    body = prelude + crc32(prelude).to_bytes(4, "big") + fields + b"p"
    wire = body + crc32(body).to_bytes(4, "big")

    (message,) = MessageReader().feed(wire)

    assert message.headers == {"c": "ok"}
    assert message.payload == b"p"
