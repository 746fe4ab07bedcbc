from __future__ import annotations

import pytest

from fnkit.manifest.spelling import closest, did_you_mean


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("StreamngStep", "StreamingStep"),
        ("streaming_step", "StreamingStep"),
        ("num_chunk", "num_chunks"),
        ("zzz", ""),
        ("aysnc", "async"),
        ("", ""),
    ],
)
def test_a_misspelt_word_finds_the_nearest_known_one(word: str, meant: str) -> None:
    assert closest(word, ["StreamingStep", "num_chunks", "async"]) == meant


def test_without_a_near_word_the_known_ones_are_told() -> None:
    assert did_you_mean("zzz", ["left", "right"]) == "known: left, right"
    assert did_you_mean("lefd", ["left", "right"]) == "did you mean 'left'?"
    assert did_you_mean("x", []) == ""
