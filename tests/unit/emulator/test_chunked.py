"""Chunked bodies, however their bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit_emulator.chunked import BadChunk, ChunkedBody


def encode(pieces: list[bytes], trailers: str = "") -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + b"0\r\n" + trailers.encode() + b"\r\n"


def decode(wire: bytes, cuts: list[int]) -> tuple[bytes, ChunkedBody]:
    body, out, at = ChunkedBody(), b"", 0
    for cut in [*sorted(cuts), len(wire)]:
        if cut > at and not body.done:
            out += body.feed(wire[at:cut])
            at = cut
    return out, body


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(0, 200), max_size=8))
def test_a_body_is_read_whole_wherever_the_reads_are_cut(pieces: list[bytes], cuts: list[int]) -> None:
    wire = encode(pieces)

    out, body = decode(wire, [cut for cut in cuts if cut < len(wire)])

    assert out == b"".join(pieces)
    assert body.done


@given(st.lists(st.integers(0, 60), max_size=6))
def test_trailers_are_read_after_the_last_chunk(cuts: list[int]) -> None:
    wire = encode([b"abc"], "X-Type: Function.Oops\r\nx-body:  e30= \r\n")

    _, body = decode(wire, [cut for cut in cuts if cut < len(wire)])

    assert body.trailers == {"x-type": "Function.Oops", "x-body": "e30="}


def test_bytes_behind_the_body_are_left_for_the_next_request() -> None:
    body = ChunkedBody()

    out = body.feed(encode([b"abc"]) + b"GET / HTTP/1.1\r\n")

    assert (out, body.rest) == (b"abc", b"GET / HTTP/1.1\r\n")


def test_chunks_of_one_read_come_out_as_one_piece() -> None:
    assert ChunkedBody().feed(b"1\r\na\r\n2;ext=1\r\nbc\r\n") == b"abc"


@pytest.mark.parametrize(
    "wire", [b"xyz\r\n", b"\r\n\r\n", b"-1\r\na\r\n", b"1\r\nabc\r\n", b"2\r\nabX\r\n", b"0\r\nno colon\r\n\r\n"]
)
def test_what_is_no_chunked_body_is_refused(wire: bytes) -> None:
    with pytest.raises(BadChunk):
        ChunkedBody().feed(wire)


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(BadChunk):
        ChunkedBody().feed(b"1" * 100_000)
