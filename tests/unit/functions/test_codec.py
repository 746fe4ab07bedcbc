"""Bodies that cross the border between functions."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.engine.response import Response
from fnkit.errors import InvokeError
from fnkit.functions.codec import decode_body, encode_body

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
KEYS = st.text(max_size=5) | st.sampled_from(["$bytes", "$object"])
BODIES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12)


@given(BODIES)
def test_a_body_arrives_as_it_was_sent(body: object) -> None:
    assert decode_body(encode_body(body, where="step 'a'")) == body


def test_bytes_travel_without_base64_where_they_are_the_whole_body() -> None:
    assert encode_body(b"\x00\xff", where="") == b"b\x00\xff"


@pytest.mark.parametrize("body", [{"$bytes": "aGk="}, {"$object": [["a", 1]]}, {"a": [{"$bytes": b"x"}]}, {"$bytes": 5}])
def test_a_body_that_looks_like_a_tag_stays_what_it_is(body: object) -> None:
    assert decode_body(encode_body(body, where="")) == body


def test_what_json_cannot_say_is_refused_with_the_step_and_the_type() -> None:
    with pytest.raises(InvokeError, match=r"the type datetime\.date") as caught:
        encode_body({"day": datetime.date(2026, 1, 1)}, where="step 'a'")

    assert caught.value.where == "step 'a'"
    assert "place both steps in one function" in caught.value.hint


def test_a_body_that_holds_itself_is_refused() -> None:
    body: dict[str, object] = {}
    body["self"] = body

    with pytest.raises(InvokeError, match="cannot be sent to another function"):
        encode_body(body, where="step 'a'")


@pytest.mark.parametrize("data", [b"", b"x", b"j{", b"t\xff", b'j{"$bytes":"!"}', b"r[1]\nj1", b"r[1,2,3]"])
def test_bytes_that_are_no_body_are_refused(data: bytes) -> None:
    with pytest.raises(InvokeError):
        decode_body(data)


@pytest.mark.parametrize("response", [Response({"a": "b"}, {"x": b"1"}, "text/x", 201), Response(body="hi"), Response(body=None)])
def test_a_response_arrives_as_it_was_sent(response: Response) -> None:
    found = decode_body(encode_body(response, where=""))

    assert found == response
    assert isinstance(found, Response)
    assert found.declared == response.declared
