"""GJSON: what the observed cases do not show."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.inference_graph import gjson
from fnkit.inference_graph.gjson.numbers import format_plain, parse_float

KEYS = st.text(min_size=1, max_size=6)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
PIECES = st.sampled_from(
    [
        "a",
        "*",
        "?",
        "#",
        "#(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "@keys",
        "@dig:",
        "!",
        '"',
        "\\",
        "|",
        ".",
        "..",
        "=",
        "~true",
        "%",
        ",",
        ":",
        "0",
    ]
)
PATHS = st.text(max_size=20) | st.lists(PIECES, max_size=12).map("".join)


def _escaped(key: str) -> str:
    return "".join(character if character.isalnum() else "\\" + character for character in key)


@given(st.binary(max_size=60), PATHS)
def test_nothing_raises_whatever_the_document_and_the_path(document: bytes, path: str) -> None:
    result = gjson.get(document, path)

    assert result.exists or result == gjson.MISSING
    assert isinstance(result.str, str)
    assert isinstance(result.num, float)
    assert gjson.explain(document, path).result == result
    gjson.remarks(path)


@given(st.dictionaries(KEYS, VALUES, max_size=5), PATHS)
def test_explaining_agrees_with_getting(value: dict[str, object], path: str) -> None:
    document = json.dumps(value).encode()

    explanation = gjson.explain(document, path)

    assert explanation.result == gjson.get(document, path)
    assert explanation.matches is gjson.compile(path).matches(document)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5), st.booleans())
def test_a_key_finds_what_json_loads_finds(value: dict[str, object], ascii_only: bool) -> None:
    document = json.dumps(value, ensure_ascii=ascii_only).encode()

    for key, member in value.items():
        found = gjson.get(document, _escaped(key))
        assert found.exists
        assert json.loads(found.raw) == member


@given(st.lists(VALUES, max_size=5))
def test_an_index_and_the_count_are_those_of_a_list(values: list[object]) -> None:
    document = json.dumps(values).encode()

    assert gjson.get(document, "#").num == len(values)
    assert [json.loads(gjson.get(document, str(index)).raw) for index in range(len(values))] == values
    assert not gjson.get(document, str(len(values))).exists


@given(VALUES | st.just({"a": [{"b": '\\" }'}]}), st.sampled_from([None, 1, 3]))
def test_modifiers_that_only_lay_out_keep_the_value(value: object, indent: int | None) -> None:
    document = json.dumps(value, indent=indent).encode()

    for modifier in ("@ugly", "@pretty", '@pretty:{"width":0}', "@tostr|@fromstr", "@valid"):
        assert json.loads(gjson.get(document, modifier).raw) == value


@given(st.binary(max_size=30) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_validity_agrees_at_any_depth(document: bytes) -> None:
    deep = b"[" * 3000 + document + b"]" * 3000

    assert gjson.valid(deep) is (gjson.valid(document) or not document.strip(b" \t\r\n"))


@given(st.floats(allow_nan=False))
def test_numbers_are_read_and_written_without_loss(number: float) -> None:
    assert parse_float(repr(number)) == number
    assert parse_float(format_plain(number)) == number
    assert "e" not in format_plain(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1_0", 10), ("_1", 0), ("1__0", 0), ("1_", 0), ("1_.5", 0), ("0x1p4", 16), ("0x_1p4", 16), ("0x1", 0), ("-0X1.8P1", -3),
        ("1e999", math.inf), ("-1e999", -math.inf), ("0x1p9999", math.inf), ("inf", math.inf), ("-Infinity", -math.inf), ("+INF", math.inf),
        ("infin", 0), ("--inf", 0), ("+nan", 0), (".5", 0.5), ("5.", 5), (".", 0), ("", 0), (" 1", 0), ("1e", 0), ("abc", 0), ("٣", 0),
    ],
)  # fmt: skip
def test_numbers_have_the_syntax_of_go(text: str, number: float) -> None:
    assert parse_float(text) == number


def test_a_query_is_compiled_once() -> None:
    assert gjson.compile("a.#(b>1)") is gjson.compile("a.#(b>1)")
    assert repr(gjson.compile("a")) == "Query('a')"


def test_a_condition_is_true_only_on_json() -> None:
    query = gjson.compile("a")

    assert query.exists(b'{"a":1} x')
    assert not query.matches(b'{"a":1} x')
    assert query.matches(b'{"a":null}')


@pytest.mark.parametrize("document", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"[" * 100_000])
@pytest.mark.parametrize(
    "path", ["0", "a.a.a", "#", "*", "[@this].#(a==1)", "@this", "@ugly", "@pretty", "@keys", "..#", "#.0", "@reverse"]
)
def test_a_hundred_thousand_levels_are_no_matter(document: bytes, path: str) -> None:
    gjson.get(document, path)
    assert gjson.valid(document) is (document[-1:] in (b"]", b"}"))


def test_a_long_path_walks_without_recursion() -> None:
    depth = 5_000
    document = b"[" * depth + b"7" + b"]" * depth

    assert gjson.get(document, ".".join(["0"] * depth)).num == 7
    assert gjson.get(b'{"a":1}', "|".join(["@this"] * depth) + "|a").num == 1


def test_a_path_that_nests_too_deep_finds_nothing() -> None:
    assert not gjson.get(b"[[1]]", "[" * 3_000 + "]" * 3_000).exists
    assert gjson.remarks("[" * 3_000 + "]" * 3_000)[0].code == "too-deep"


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    document = json.dumps({"v": "a" * 50_000}).encode()

    assert not gjson.get(document, '[@this].#(v%"' + "*a" * 30 + '*b")').exists
    assert gjson.get(document, '[@this].#(v%"' + "*a" * 30 + '*")').exists


def test_fifty_megabytes_are_searched() -> None:
    document = b'{"pad":"' + b"x" * 50_000_000 + b'","id":7}'

    assert gjson.compile("[@this].#(id==7)").matches(document)


def test_bytes_that_are_no_text_pass_through() -> None:
    found = gjson.get(b'{"a":"\xff\xfe"}', "a")

    assert found.raw_bytes == b'"\xff\xfe"'
    assert found.raw.encode("utf-8", "surrogateescape") == found.raw_bytes


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 63, 64, 65, 100, 333])
@pytest.mark.parametrize("element", ["1.5", '"a]\\",["', "true", "null", '{"k":[{"x":"}"}]}', "[[[[[[0]]]]]]", "[]"])
def test_long_arrays_are_counted_and_indexed_as_short_ones(element: str, length: int) -> None:
    elements = [element] * length + ['{"id":7}']
    document = f" [ {' , '.join(elements)} ] ".encode()

    assert gjson.get(document, "#").num == length + 1
    assert gjson.get(document, f"{length}.id").num == 7
    assert not gjson.get(document, str(length + 1)).exists
    assert gjson.get(document, "#(id==7)").raw == '{"id":7}'
    assert length == 0 or gjson.get(document, str(length - 1)).raw == element


def test_a_query_on_one_key_takes_the_first_of_several_and_reads_escapes() -> None:
    document = rb'[{"a":{"id":1},"id":2,"id":1},{"\u0069d":1}]'

    assert gjson.get(document, "#(id==1)").raw == r'{"\u0069d":1}'
