"""Where a bracketed value ends, at any depth."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from fnkit.inference_graph.gjson import scan

_STEP = re.compile(rb'(?:[^"{}()\[\]]|"(?:[^"\\]|\\.)*")*(?:([{\[(])|([}\])]))', re.S)
OPENINGS = st.sampled_from([b"[", b'{"a":', b'[1,"]",', b'[{"k":[]},', b"(", b'{"\\"":'])
CLOSINGS = st.sampled_from([b"]", b"}", b",2]", b',{"z":[[[]]]}]', b")", b' ,"[" ]'])
COUNTS = st.integers(0, 200)
PIECES = st.lists(st.tuples(OPENINGS, COUNTS, CLOSINGS, COUNTS), min_size=1, max_size=3)


def _end_step_by_step(text: bytes) -> int:
    depth, position = 1, 1
    while (found := _STEP.match(text, position)) is not None:
        position = found.end()
        depth += 1 if found[1] else -1
        if not depth:
            return position
    return len(text)


@given(PIECES, st.sampled_from([b"", b"]" * 500]))
def test_the_end_of_a_container_is_where_counting_brackets_finds_it(
    pieces: list[tuple[bytes, int, bytes, int]], tail: bytes
) -> None:
    text = b"[" + b"".join(opening * opened + closing * closed for opening, opened, closing, closed in pieces) + tail

    assert scan.container_end(text, 0) == _end_step_by_step(text)


def test_a_string_that_is_never_closed_ends_one_behind_the_text() -> None:
    assert scan.container_end(b'[1,"x', 0) == 6
    assert scan.container_end(b"[1,2", 0) == 4


def test_depth_is_compared_without_counting_what_is_in_strings() -> None:
    assert scan.is_deeper(b"[" * 11 + b"]" * 11, 10)
    assert not scan.is_deeper(b"[" * 10 + b'"[[["' + b"]" * 10, 10)
    assert not scan.is_deeper(b"7", 10)
