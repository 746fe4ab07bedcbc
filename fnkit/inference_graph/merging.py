"""Other ways to combine the answers of an Ensemble, for graphs that ask for one under `fnkit: {merge: ...}`.

`list` puts the answers in one JSON list, in the order of the steps. `vote` and `mean` read the V1 protocol, `{"predictions":
[...]}`, and combine the predictions of each instance: the most frequent one (of equally frequent ones that of the earliest step), or
the mean of numbers, element by element in nested lists. `fastest` is no combination: it stands in `ensemble`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fnkit.inference_graph.calls import CallFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Merge = Callable[[Sequence[str], Sequence[bytes]], bytes]


def as_list(names: Sequence[str], bodies: Sequence[bytes]) -> bytes:
    """Return the answers, which must be JSON, as one list; their bytes are kept."""
    for name, body in zip(names, bodies, strict=True):
        _parsed(name, body)
    return b"[%b]" % b",".join(body.strip() for body in bodies)


def vote(names: Sequence[str], bodies: Sequence[bytes]) -> bytes:
    """Return, for each instance, the prediction that most steps made."""
    return _written([_most_frequent(column) for column in zip(*_predictions(names, bodies), strict=True)])


def mean(names: Sequence[str], bodies: Sequence[bytes]) -> bytes:
    """Return, for each instance, the mean of the predictions."""
    return _written([_mean(column) for column in zip(*_predictions(names, bodies), strict=True)])


MERGES: dict[str, Merge] = {"list": as_list, "vote": vote, "mean": mean}
MERGE_NAMES = ("list", "vote", "mean", "fastest")


def _parsed(name: str, body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CallFailed(f"the answer of ensemble step {name!r} is not JSON: {error}") from None


def _predictions(names: Sequence[str], bodies: Sequence[bytes]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, body in zip(names, bodies, strict=True):
        answer = _parsed(name, body)
        row = answer.get("predictions") if isinstance(answer, dict) else None
        if not isinstance(row, list):
            raise CallFailed(f"the answer of ensemble step {name!r} has no list of predictions")
        if rows and len(row) != len(rows[0]):
            raise CallFailed(f"ensemble step {name!r} made {len(row)} predictions, {names[0]!r} made {len(rows[0])}")
        rows.append(row)
    return rows


def _written(predictions: list[object]) -> bytes:
    return json.dumps({"predictions": predictions}, separators=(",", ":"), ensure_ascii=False).encode()


def _most_frequent(column: Sequence[object]) -> object:
    keys = [json.dumps(value, sort_keys=True) for value in column]
    return column[max(range(len(keys)), key=lambda at: (keys.count(keys[at]), -at))]


def _mean(column: Sequence[object]) -> object:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in column):
        return sum(value for value in column if isinstance(value, int | float)) / len(column)
    lists = [value for value in column if isinstance(value, list)]
    if len(lists) == len(column) and len({len(value) for value in lists}) == 1:
        return [_mean(inner) for inner in zip(*lists, strict=True)]
    raise CallFailed("the predictions of the ensemble are no numbers, or lists of different lengths: they have no mean")
