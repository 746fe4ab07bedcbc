"""Conditions are asked of decoded documents, and the text has the last word."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.inference_graph import gjson
from fnkit.inference_graph.gjson.decoded import Unsure, find
from fnkit.inference_graph.gjson.document import UNDECODED, decode
from fnkit.inference_graph.gjson.query import NOTHING
from fnkit.inference_graph.gjson.validity import LARGE

KEYS = st.sampled_from(("a", "b", "name", "", "é", "x.y", '"', "#", "0"))
SCALARS = st.sampled_from(
    (None, True, False, 0, -1, 1.5, 40, 10**20, 10**400, "a", "é", "10", "true", "[1]", "{x}", "\\", 'q"', "a:b")
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
LEFT = st.sampled_from(("", "a", "name", "a.b", "0", "@this", "#", "a.#", "@keys", "*", "#(a)"))
RIGHT = st.sampled_from(
    ("1", "a", '"10"', "40", "*", '"a*"', "true", "false", "~true", "~false", "~null", "~*", "~x", "inf", "é", "-3")
)
OPERATORS = st.sampled_from(("=", "==", "!=", "<", "<=", ">", ">=", "%", "!%", "=!"))
QUERIES = st.builds("#({}{}{}){}".format, LEFT, OPERATORS, RIGHT, st.sampled_from(("", "#"))) | st.builds(
    "#({}){}".format, LEFT, st.just("")
)
WORDS = """
    a b name x\\.y * ? 0 1 -1 # @this @keys @values @reverse @flatten @valid @ugly @join !true !5 !"x" !nope
    [a,b] {"k":a,b} {a,a} [@this] @dig:a @flatten:{"deep":true}
""".split()
PARTS = QUERIES | st.sampled_from(WORDS)
PATHS = st.lists(st.tuples(PARTS, st.sampled_from("...|")), min_size=1, max_size=4).map(
    lambda parts: "".join(a + b for a, b in parts)[:-1]
)


@given(VALUES, PATHS, st.sampled_from((None, 1)))
def test_decoded_and_text_agree_on_every_condition(value: object, path: str, indent: int | None) -> None:
    body = json.dumps(value, indent=indent).encode()

    query = gjson.compile(path)

    assert query.matches(body) is query.exists(body)


@given(VALUES, PATHS)
def test_what_is_found_in_a_decoded_document_is_what_is_found_in_its_text(value: object, path: str) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    query = gjson.compile(path)
    decoded = decode(body)
    if decoded is UNDECODED or query.expression is None:
        return

    try:
        found = find(query.expression, decoded)
    except Unsure:
        return

    text = query.get(body).raw_bytes
    assert (b"" if found is NOTHING else found) == (json.loads(text, parse_int=float) if text else b"")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a" :1,"a" :2}',
        b'{"a":":","a":2}',
        b'{"a":"\\":","a":2}',
        b'[{"a":{"b":1,"b":2}},{"a":":"}]',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"[" * 100_000 + b"]" * 100_000,
        b'"' + b"x" * LARGE + b'"',
    ],
)
def test_what_decodes_to_something_else_than_gjson_reads_is_left_to_the_text(body: bytes) -> None:
    assert decode(body) is UNDECODED
    assert gjson.Document(body).valid


@pytest.mark.parametrize(
    "body", [b"", b" ", b"[1,]", b"NaN", b"[Infinity]", b'{"a":1}x', b"\xef\xbb\xbf1", b"[\xff]", b'{"a":\xff}', b"01"]
)
def test_what_is_no_json_has_no_condition_that_holds(body: bytes) -> None:
    document = gjson.Document(body)

    assert not document.valid
    assert not gjson.compile("@this").matches(body)


def test_the_first_of_equal_keys_counts() -> None:
    body = b'{"rows":[{"id":1,"id":2}]}'

    assert gjson.compile("rows.#(id==1)").matches(body)
    assert not gjson.compile("rows.#(id==2)").matches(body)


def test_times_and_addresses_in_strings_do_not_look_like_keys() -> None:
    body = json.dumps({"at": "12:30:01", "url": "http://x:80/", "rows": [{"id": "a:b"}]}).encode()

    assert decode(body) == json.loads(body)


def test_one_document_may_be_asked_by_several_threads() -> None:
    bodies = [json.dumps({"rows": [{"id": n, "of": m} for n in range(50)]}).encode() for m in range(4)]
    wrong: list[int] = []

    def ask(which: int) -> None:
        for _ in range(50):
            document = gjson.Document(bodies[which])
            wrong.extend(m for m in range(4) if document.has(gjson.compile(f"rows.#(of=={m})")) is not (m == which))

    threads = [threading.Thread(target=ask, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
