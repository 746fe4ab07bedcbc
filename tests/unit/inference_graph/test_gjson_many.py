"""Arrays of many objects, and deep texts, are read in other ways than small ones, and with the same outcome."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.inference_graph import gjson
from fnkit.inference_graph.gjson.keyed import WORTHWHILE, pattern_of, value_of
from fnkit.inference_graph.gjson.modifiers import TRANSFORMS, dig
from fnkit.inference_graph.gjson.scan import CONTAINER, container_end
from tests.fakes.mutations import mutated

LETTERS = b'[](){},:"0123.eE+- \n\\antrufls'
ELEMENTS = (
    b'{"a":1,"b":[2,{"c":"]"}],"a":3}',
    b' {"b":"x\\"}","a" : "y{" , "c":null}',
    b'{"b":{"a":true},"a":{"d":[1]},"e":-1.5e3}',
    b'{"\\u0061":5,"a":6}',
    b'{"b":false}',
    b"{}",
)
SCALARS = st.none() | st.booleans() | st.integers(-5, 99) | st.floats(allow_nan=False) | st.text('ab{]\\"é\n', max_size=4)
OBJECTS = st.lists(
    st.tuples(st.sampled_from("abc"), SCALARS | st.lists(SCALARS, max_size=3) | st.just({"a": [{"b": 1}]})), max_size=4
)


def _text(members: list[tuple[str, object]]) -> bytes:
    return b"{" + b", ".join(json.dumps(key).encode() + b": " + json.dumps(value).encode() for key, value in members) + b"}"


def test_what_the_pattern_matches_the_walk_reads_in_the_same_way() -> None:
    chance = random.Random(11)
    pattern = pattern_of(b"a")
    assert pattern is not None
    matched = 0

    for text in (mutated(ELEMENTS, chance, LETTERS) + b',{"a":0}]' for _ in range(20_000)):
        found = pattern.match(text)
        if found is None:
            continue
        matched += 1
        start = CONTAINER.search(text)
        assert start is not None
        assert container_end(text, start.start()) == found.end(), text
        assert gjson.compile("a")._find(text[: found.end()]) == value_of(found), text
    assert matched > 3_000


@pytest.mark.parametrize(
    "path", ["#.a", "#(a>7)#", "#(a>7)#.b", "#(a=={)#.c", "#(b)#|#", '#(a%"*a")#.a', "#(c!=true)#.a", "#(a==~null)#.b"]
)
@given(rows=st.lists(OBJECTS | SCALARS.map(lambda value: [("s", value)]), min_size=1, max_size=3), scalar=SCALARS)
def test_many_elements_give_what_each_of_them_gives(path: str, rows: list[list[tuple[str, object]]], scalar: object) -> None:
    texts = [_text(row) for row in rows]
    texts = texts * (WORTHWHILE + 2) + [json.dumps(scalar).encode()] + texts

    whole = gjson.get(b"[" + b",".join(texts) + b"]", path.removesuffix("|#")).raw_bytes

    one_by_one = [gjson.get(b"[" + text + b"]", path.removesuffix("|#")).raw_bytes[1:-1] for text in texts]
    assert whole == b"[" + b",".join(piece for piece in one_by_one if piece) + b"]"


def test_the_first_of_many_elements_is_found_wherever_it_stands() -> None:
    rows = [{"id": n, "name": f"row {n}", "tags": ["a", {"b": []}]} for n in range(300)]
    body = json.dumps({"rows": rows}).encode()

    for wanted in (0, WORTHWHILE - 1, WORTHWHILE, WORTHWHILE + 1, 299):
        assert gjson.get(body, f"rows.#(id=={wanted}).name").str == f"row {wanted}"
        assert gjson.get(body, f'rows.#(name=="row {wanted}").id').num == wanted
    assert not gjson.get(body, "rows.#(id==300)").exists


def test_numbers_that_are_none_count_as_0_among_many() -> None:
    body = b"[" + b'{"a":1},' * 100 + b'{"a":1-2,"b":5}]'

    assert gjson.get(body, "#(a==0).b").num == 5


@given(
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=20,
    )
)
def test_going_through_a_deep_text_once_finds_what_looking_into_every_level_finds(value: object) -> None:
    text = json.dumps(value).encode()

    assert dig(text, gjson.compile("a")._find, b"a") == dig(text, gjson.compile("a")._find, None)
    if isinstance(value, list):
        assert json.loads(gjson.get(text, '@flatten:{"deep":true}').raw_bytes) == list(_leaves(value))


def _leaves(value: object) -> list[object]:
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("levels", [3, 500, 10_000])
def test_ten_thousand_levels_are_no_hindrance(levels: int) -> None:
    arrays = b"[" * levels + b'1,{"a":[2]}' + b"]" * levels
    objects = b'{"b":0,"c":' * levels + b'{"a":7}' + b"}" * levels

    assert gjson.get(arrays, '@flatten:{"deep":true}').raw == '[1,{"a":[2]}]'
    assert gjson.get(arrays, "@dig:a").raw == "[[2]]"
    assert gjson.get(objects, "@dig:a").raw == "[7]"
    assert gjson.get(objects, "@dig:b|#").num == levels
    for path in ("@keys", "@values", "@reverse", "@join", "@ugly", "@this", "[c,b]", "c.b", "#.#", "@valid", "@tostr", "@group"):
        gjson.get(objects, path)
        gjson.get(arrays, path)
        gjson.compile(path).matches(objects)
        gjson.compile(path).matches(arrays)


def test_of_equal_keys_the_first_is_dug_out_of_every_object() -> None:
    assert gjson.get(b'{"a":{"a":1,"a":2},"a":3,"\\u0061":4}', "@dig:a").raw == '[{"a":1,"a":2},1]'


@pytest.mark.parametrize("text", [b'{"x":"{\\"a\\":1}"}', b'{"a":1', b'[{"a":1}]]', b'{"{":{"a":1}}'])
def test_digging_in_texts_with_brackets_in_strings_or_without_an_end_looks_into_every_level(text: bytes) -> None:
    find = gjson.compile("a")._find

    assert gjson.get(text, "@dig:a").raw_bytes == dig(text, find, None)


def test_only_white_space_outside_of_strings_is_left_out() -> None:
    text = b'{ "a b" :\n[ 1 ,\t" \\" " ] , "c' + b" " * 10_000 + b'" : "' + b'x" }'

    assert TRANSFORMS[b"ugly"](text, b"") == b'{"a b":[1," \\" "],"c' + b" " * 10_000 + b'":"x"}'
