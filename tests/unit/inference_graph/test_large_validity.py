"""Large texts are checked another way than small ones, and with the same outcome."""

from __future__ import annotations

import json
import random

import pytest

from fnkit.inference_graph import go_json
from fnkit.inference_graph.gjson import valid
from fnkit.inference_graph.gjson.validity import LARGE, valid_within
from tests.fakes.mutations import mutated

SEEDS = (
    b'{"a":[1,2,[3,{"b":null}],"x\\n"],"c":{"d":1.5e3,"e":[true,{}]},"f":[]}',
    b'[[1,2],[3],{"a":[1],"b":{"c":[]}},"s"]',
    b"[1,2,]",
    b'{"a":1,}',
    b'[{"a":1},]',
    b'{"a":1 "b":2}',
)
LETTERS = b'[]{},:"0123.eE+- \n\\antrufls'


def test_both_ways_agree_on_sound_and_on_broken_texts() -> None:
    chance = random.Random(7)

    texts = [mutated(SEEDS, chance, LETTERS) for _ in range(5_000)]

    assert [text for text in texts if valid_within(text, 100) != valid(text)] == []
    assert 500 < sum(map(valid, texts)) < 4_500


@pytest.mark.parametrize("value", [[1.5, -2], {"a": [1], "b": "x"}, "text", [[1], {"b": [2, {"c": []}]}]])
def test_a_large_text_is_valid_until_its_end_is_missing(value: object) -> None:
    one = json.dumps(value).encode()
    array = b"[" + b",".join([one] * (LARGE // len(one) + 1)) + b"]"
    members = b'{"k":' + b',"k":'.join([one] * (LARGE // len(one) + 1)) + b"}"

    for text in (array, members):
        assert valid(text)
        assert go_json.valid(text)
        assert not valid(text[:-1])
        assert not go_json.valid(text[:-2] + b"," + text[-1:])


@pytest.mark.parametrize(("levels", "sound"), [(9_999, True), (10_000, True), (10_001, False)])
def test_go_s_limit_of_depth_holds_for_large_texts(levels: int, sound: bool) -> None:
    padding = b" " * LARGE

    assert go_json.valid(b"[" * levels + padding + b"]" * levels) is sound
    assert go_json.valid(b"[" * (levels - 1) + b"1,[2],3" + padding + b"]" * (levels - 1)) is sound
    assert go_json.valid(b'{"a":' * (levels - 1) + b'{"b":[2]}'.replace(b"[2]", b"2") + padding + b"}" * (levels - 1)) is sound
