"""Go's JSON encoding: what the observed cases do not show."""

from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.inference_graph import go_json
from fnkit.inference_graph.go_syntax import MAX_DEPTH, find_fault

SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**14), 10**14) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))


@given(st.dictionaries(st.text(), VALUES))
def test_encoding_again_changes_nothing(value: dict[str, object]) -> None:
    once = go_json.canonical_object(json.dumps(value).encode())

    assert go_json.canonical_object(once) == once


@given(st.dictionaries(st.text(), VALUES))
def test_what_is_encoded_means_what_was_decoded(value: dict[str, object]) -> None:
    assert json.loads(go_json.canonical_object(json.dumps(value).encode()), parse_int=float) == value


@given(VALUES)
def test_a_value_is_encoded_as_its_text_is(value: object) -> None:
    wrapped = {"v": value}

    assert go_json.encode(wrapped) == go_json.canonical_object(json.dumps(wrapped).encode())


@given(st.binary(max_size=40))
def test_any_bytes_are_either_an_object_or_an_error_of_go(body: bytes) -> None:
    with contextlib.suppress(go_json.GoJSONError):
        assert go_json.canonical_object(body)[:1] in (b"n", b"{")
    go_json.map_predictions_to_instances(body)


@given(st.binary(max_size=40) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_a_fault_is_found_exactly_where_a_body_is_not_json(body: bytes) -> None:
    assert (find_fault(body) is None) is go_json.valid(body)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e-6, "0.000001"),
        (9.99e-7, "9.99e-7"),
        (1e-10, "1e-10"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-0.0, "-0"),
        (1.5e300, "1.5e+300"),
        (123456789.125, "123456789.125"),
        (2.0**69, "590295810358705700000"),
    ],
)
def test_a_number_has_an_exponent_only_outside_of_1e_6_to_1e21(number: float, text: str) -> None:
    assert go_json.format_number(number) == text
    assert go_json.canonical_object(b'{"v":%s}' % repr(number).encode()).decode() == f'{{"v":{text}}}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_refused(number: float) -> None:
    with pytest.raises(go_json.GoJSONError, match="unsupported value"):
        go_json.encode({"v": number})


def test_equal_keys_keep_the_last_value_even_after_they_became_equal() -> None:
    assert go_json.canonical_object(rb'{"\ud800":1,"\ufffd":2,"\ud800":3}') == '{"\ufffd":3}'.encode()


def test_a_mark_for_numbers_cannot_come_from_a_body() -> None:
    assert go_json.canonical_object(rb'{"v":"\udc00" , "w":1e-7}') == '{"v":"\ufffd","w":1e-7}'.encode()


def test_ten_thousand_levels_are_read_and_one_more_is_refused() -> None:
    deepest = b'{"a":' * (MAX_DEPTH - 1) + b'{"z":1e-7,"b":"<"}' + b"}" * (MAX_DEPTH - 1)

    assert go_json.canonical_object(deepest).count(b"{") == MAX_DEPTH
    assert b'{"b":"\\u003c","z":1e-7}' in go_json.canonical_object(deepest)
    assert not go_json.valid(b'{"a":' + deepest + b"}")
    with pytest.raises(go_json.GoJSONError) as caught:
        go_json.canonical_object(b'{"a":' + deepest + b"}")
    assert str(caught.value) == "invalid character '{' exceeded max depth"


def test_a_list_of_ten_thousand_levels_is_mapped() -> None:
    nested = b"[" * 9_999 + b"]" * 9_999

    assert go_json.map_predictions_to_instances(b'{"predictions": %s}' % nested) == b'{"instances":' + nested + b"}"


def test_many_shallow_containers_are_not_deep() -> None:
    body = b'{"predictions":[' + b",".join([b"[0.5]"] * 20_000) + b"]}"

    assert go_json.valid(body)
    assert go_json.map_predictions_to_instances(body) == body.replace(b"predictions", b"instances")


def test_a_deep_value_is_encoded_without_recursion() -> None:
    value: object = {"z": 1.0, "a": "<"}
    for _ in range(20_000):
        value = [value]

    assert go_json.encode(value) == b"[" * 20_000 + b'{"a":"\\u003c","z":1}' + b"]" * 20_000


def test_objects_are_joined_by_the_order_of_their_keys() -> None:
    joined = go_json.join_objects({"10": b"{}", "2": b"null", "<": b'{"a":1}', "1": b"{}"})

    assert joined == b'{"1":{},"10":{},"2":null,"\\u003c":{"a":1}}'


def test_the_name_predictions_is_found_as_go_folds_case() -> None:
    assert go_json.map_predictions_to_instances('{"PREDICTION\u017f":[1.0]}'.encode()) == b'{"instances":[1]}'


def test_text_is_escaped_for_html_as_go_does() -> None:
    assert go_json.encode('Post "http://h<p>"') == b'"Post \\"http://h\\u003cp\\u003e\\""'
