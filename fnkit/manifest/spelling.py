"""Which known word a misspelt one was meant to be."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str:
    """Return the word of *known* that *word* most likely stands for, or `""` when none is near.

    Near means: equal but for case, `-` and `_`, or at most a third of the letters (at least one, at most three) apart.
    """
    plain = _plain(word)
    limit = max(1, min(3, len(plain) // 3))
    distances = [(_distance(plain, _plain(candidate), limit), candidate) for candidate in known]
    near = [(distance, candidate) for distance, candidate in distances if distance <= limit]
    return min(near)[1] if near else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `"did you mean 'x'?"`, or which words are known when none is near; `""` when none is known."""
    known = list(known)
    near = closest(word, known)
    if near:
        return f"did you mean {near!r}?"
    return f"known: {', '.join(known)}" if known else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")


def _distance(one: str, other: str, limit: int) -> int:
    """Return the Levenshtein distance of two words, two neighbours exchanged counting once; above *limit* any larger number."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, against in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != against))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == against:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
