"""Order the seats of each rank so that few arrows cross, and units keep one order in all ranks."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping
from math import fsum

from fnkit.project.plot.layering import Layers

Rows = list[list[str]]
_SWEEPS = 24


def order(layers: Layers) -> Rows:
    """Return the keys of the seats, rank by rank, in their order across the rank: the best of some barycentre sweeps."""
    neighbours = _neighbours(layers)
    rows = layers.ranks()
    centres = {key: position - (len(row) - 1) / 2 for row in rows for position, key in enumerate(row)}
    best, fewest = rows, -1
    for sweep in range(_SWEEPS):
        _pull(layers, rows if sweep % 2 == 0 else rows[::-1], centres, neighbours)
        rows = _sorted_rows(layers, rows, centres)
        centres = {key: position - (len(row) - 1) / 2 for row in rows for position, key in enumerate(row)}
        crossings = count_crossings(layers, rows)
        if fewest < 0 or crossings < fewest:
            best, fewest = rows, crossings
    return best


def _neighbours(layers: Layers) -> dict[str, list[str]]:
    """Map each seat to the seats that arrows lead to and from; a loop hangs on its ends' far side by listing them once only."""
    neighbours: dict[str, list[str]] = {key: [] for key in layers.seats}
    for chain in layers.chains:
        for one, other in zip(chain.seats, chain.seats[1:], strict=False):
            if chain.loop and one == other:
                continue
            neighbours[other].append(one)
            if not (chain.loop and layers.seats[one].node):
                neighbours[one].append(other)
    return neighbours


def _pull(layers: Layers, rows: Rows, centres: dict[str, float], neighbours: Mapping[str, list[str]]) -> None:
    """Move each seat to the middle of its neighbours; a stand-in of a loop ends up just beside its node."""
    for row in rows:
        for key in row:
            near = neighbours[key]
            if near:
                seat = layers.seats[key]
                same_rank = any(layers.seats[other].rank == seat.rank for other in near)
                centres[key] = fsum(centres[other] for other in near) / len(near) + (0.6 if same_rank and not seat.node else 0)


def _sorted_rows(layers: Layers, rows: Rows, centres: Mapping[str, float]) -> Rows:
    """Sort every rank by the units' middles first: one number for each unit, so the units' order is the same everywhere."""
    members: dict[str, list[float]] = {}
    for key, seat in layers.seats.items():
        members.setdefault(seat.unit, []).append(centres[key])
    middles = {unit: fsum(values) / len(values) for unit, values in members.items()}
    return [sorted(row, key=lambda key: (middles[layers.seats[key].unit], layers.seats[key].unit, centres[key])) for row in rows]


def count_crossings(layers: Layers, rows: Rows) -> int:
    """Return how many pairs of arrow pieces between neighbouring ranks cross."""
    position = {key: index for row in rows for index, key in enumerate(row)}
    pieces: dict[int, list[tuple[int, int]]] = {}
    for chain in layers.chains:
        for one, other in zip(chain.seats, chain.seats[1:], strict=False):
            low, high = sorted((one, other), key=lambda key: layers.seats[key].rank)
            if layers.seats[low].rank != layers.seats[high].rank:
                pieces.setdefault(layers.seats[low].rank, []).append((position[low], position[high]))
    return sum(_inversions([end for _, end in sorted(ends)]) for ends in pieces.values())


def _inversions(values: list[int]) -> int:
    seen: list[int] = []
    count = 0
    for value in values:
        count += len(seen) - bisect_right(seen, value)
        insort(seen, value)
    return count
