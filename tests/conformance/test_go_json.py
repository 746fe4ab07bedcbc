"""Bodies as Go's encoding/json and net/http treat them, against what Go 1.25.5 made of them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from fnkit.inference_graph import go_json, sniff

CASES = json.loads((Path(__file__).parent / "data" / "go_json.json").read_text(encoding="utf-8"))["cases"]
by_id = pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])


def _body(case: dict[str, str]) -> bytes:
    return base64.b64decode(case["in_b64"]) if "in_b64" in case else case["in"].encode()


@by_id
def test_a_body_is_valid_where_go_says_so(case: dict[str, str]) -> None:
    assert go_json.valid(_body(case)) is case["json_valid"]


@by_id
def test_a_body_becomes_the_object_or_the_error_that_go_makes_of_it(case: dict[str, str]) -> None:
    if "object_error" not in case:
        assert go_json.canonical_object(_body(case)).decode() == case["object_out"]
        return
    with pytest.raises(go_json.GoJSONError) as caught:
        go_json.canonical_object(_body(case))
    assert str(caught.value) == case["object_error"]


@by_id
def test_predictions_become_instances_where_go_maps_them(case: dict[str, str]) -> None:
    body = _body(case)

    expected = case["map_out"].encode() if "map_out" in case else body
    assert go_json.map_predictions_to_instances(body) == expected


@by_id
def test_the_content_type_is_guessed_as_go_guesses_it(case: dict[str, str]) -> None:
    assert sniff.detect_content_type(_body(case)) == case["sniffed"]
