"""GJSON, against what tidwall/gjson v1.18.0 answered."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from fnkit.inference_graph import gjson

CASES = json.loads((Path(__file__).parent / "data" / "gjson.json").read_text(encoding="utf-8"))["cases"]


def _same_number(expected: str, actual: float) -> bool:
    number = float(expected)
    if math.isnan(number):
        return math.isnan(actual)
    return number == actual and math.copysign(1, number) == math.copysign(1, actual)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_path_finds_what_gjson_finds(case: dict[str, str]) -> None:
    result = gjson.get(case["json"].encode(), case["path"])

    assert (result.exists, result.type, result.raw) == (case["exists"], case["type"], case["raw"])
    assert result.str == case.get("str", "")
    assert _same_number(case.get("num", "0"), result.num)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_condition_is_as_true_as_the_router_finds_it(case: dict[str, str]) -> None:
    document = case["json"].encode()

    assert gjson.valid(document) is case["valid"]
    assert gjson.compile(case["path"]).matches(document) is case["condition_true"]
