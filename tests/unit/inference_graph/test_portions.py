"""Large JSON is encoded in portions, and what comes out is what the encoding of the whole gives."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.inference_graph.gjson.validity import LARGE
from fnkit.inference_graph.go_json import GoJSONError, canonical, canonical_object, map_predictions_to_instances
from fnkit.inference_graph.portions import PORTION, encoded

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('a<é]{,"', max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text("ab<é", max_size=3), inner, max_size=5),
    max_leaves=60,
)


@given(VALUES, st.sampled_from((8, 20, 100)), st.sampled_from((None, 1)))
def test_portions_make_the_whole(value: object, portion: int, indent: int | None) -> None:
    raw = json.dumps(value, indent=indent).encode()

    assert encoded(raw, canonical, portion=portion) == canonical(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"b":[1,2,3],"a":{"z":1,"y":[1.0,1e-7]},"b":[4,5]}',
        b'{"\\u0062":[1,2,3],"b":2, "\\ud800":[]}',
        b"[ [1 ,2 ] , [ ] ,{ } , 1e21 ]",
        b"[" * 80 + b"1,2,3" + b"]" * 80,
        b"{" + b",".join(b'"k%d":[%d]' % (n % 400, n) for n in range(500)) + b"}",
    ],
)
def test_equal_keys_depth_and_many_members_change_nothing(raw: bytes) -> None:
    assert encoded(raw, canonical, portion=4) == canonical(raw)


def test_no_portion_of_an_array_is_much_larger_than_asked_for() -> None:
    row = b'{"id":1,"tags":["a","b"]}'
    raw = b'{"predictions":[' + row + (b"," + row) * (4 * PORTION // len(row)) + b'],"model":"m"}'
    sizes = []

    def counted(text: bytes) -> bytes:
        sizes.append(len(text))
        return canonical(text)

    encoded(raw, counted)

    assert max(sizes) < PORTION + 64 * len(row)
    assert sum(size > PORTION // 2 for size in sizes) >= 3


def test_a_large_answer_is_encoded_as_a_small_one() -> None:
    rows = [{"b": n / 7, "a": f"<{n}>"} for n in range(LARGE // 30)]
    body = json.dumps({"z": 1, "predictions": rows, "a": [10**21]}).encode()

    written = canonical_object(b" " + body + b"\n")

    assert written == canonical(body)
    assert map_predictions_to_instances(body) == b'{"instances":' + canonical(json.dumps(rows).encode()) + b"}"


def test_a_large_answer_that_is_no_json_or_no_object_or_out_of_range_fails_in_go_s_words() -> None:
    rows = b"[1,2]," * (LARGE // 6 + 1)

    with pytest.raises(GoJSONError, match="unexpected end of JSON input"):
        canonical_object(b'{"a":[' + rows + b"0]")
    with pytest.raises(GoJSONError, match="cannot unmarshal array into Go value"):
        canonical_object(b"[" + rows + b"0]")
    with pytest.raises(GoJSONError, match="cannot unmarshal number -1e999 into Go value of type float64"):
        canonical_object(b'{"a":[' + rows + b'-1e999,1e999],"b":1e998}')
