"""The examples of flows run from their bundles, in every placement."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
import requests

from tests.fakes.emulator_process import emulator
from tests.fakes.patience import quickest

EXAMPLES = Path(__file__).parents[2] / "examples"
PLACEMENTS = ("step", "declared", "fused")
OWN_CLASSES = ("HandleError", "evaluation-loop", "evaluator", "generator", "preprocess")


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_streaming_example_sends_five_chunks_half_a_second_apart(placement: str) -> None:
    def unevenness() -> float:
        with requests.post(running.url, data="hello", stream=True, timeout=60) as response:
            arrived = [(time.perf_counter(), chunk) for chunk in response.iter_content(chunk_size=None, decode_unicode=True)]

        assert response.headers["Transfer-Encoding"] == "chunked"
        assert [chunk for _, chunk in arrived] == [f"chunk {number}: processed 'hello'\n" for number in range(5)]
        return max(abs(later - earlier - 0.5) for (earlier, _), (later, _) in itertools.pairwise(arrived))

    with emulator(EXAMPLES / "streaming" / "serve.py", "--placement", placement) as running:
        assert quickest(unevenness, 0.2) < 0.2


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_cyclic_example_loops_until_the_evaluator_accepts_and_handles_too_many_rounds(placement: str) -> None:
    with emulator(EXAMPLES / "cyclic" / "serve.py", "--placement", placement) as running:
        accepted = [requests.post(running.url, json={"topic": "t", "target": target}, timeout=60).json() for target in (1, 3, 30)]
        refused = requests.post(running.url, json={"topic": "t", "target": 31}, timeout=60)

    assert sorted(running.functions) == sorted(["cyclic-function", *(OWN_CLASSES if placement == "step" else ())])
    assert accepted == [{"answer": f"t, draft {target}", "attempts": target} for target in (1, 3, 30)]
    assert refused.status_code == 200
    assert refused.json() == {"answer": None, "attempts": 30, "error": "no draft was accepted"}
