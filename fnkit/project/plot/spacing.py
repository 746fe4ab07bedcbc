"""Find coordinates across the ranks: near the neighbours, never nearer to anything else than allowed.

The positions minimise the weighted squares of the distances to where each seat would like to be, under constraints of the form
`right - left >= gap` (neighbours in a rank, members in their box, boxes apart). Hildreth's method solves that exactly enough: it
goes round the constraints and corrects each violated one, remembering how much it has corrected so that it can take it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum

from fnkit.project.plot.layering import Layers, Seat

_ROUNDS = 120
_CORRECTIONS = 20
_STILL = 0.05  # pixels that are no movement
_NEARLY = 10.0  # pixels that look like a mistake
_LIGHT = 0.05  # the weight of what gives way: boxes, and the lanes of loops


@dataclass(frozen=True, slots=True)
class Gaps:
    """Distances across the ranks in pixels: between seats, and between a box's edge and its members (start holds a title)."""

    between: float
    box_start: float
    box_end: float


@dataclass(frozen=True, slots=True)
class Constraint:
    """`positions[right] - positions[left] >= gap`."""

    left: str
    right: str
    gap: float


def space(layers: Layers, rows: Sequence[Sequence[str]], gaps: Gaps, box_sizes: Mapping[str, float]) -> dict[str, float]:
    """Return the middle of every seat across its rank, and of each island its edges as `UNIT start` and `UNIT end`.

    *box_sizes* are the least extents of the islands (their titles need room).
    """
    constraints = _constraints(layers, rows, gaps, box_sizes)
    links = _links(layers)
    lanes = [chain.seats[1:-1] for chain in layers.chains if chain.loop]
    weights = {key: fsum(weight for _, weight in near) or _LIGHT for key, near in links.items()}
    weights.update((key, _LIGHT) for lane in lanes for key in lane)
    positions = _spread(_variables(layers), constraints, {})
    solver = _Solver(_variables(layers), constraints, weights)
    members = _members(layers)
    for round_number in range(_ROUNDS):
        wishes = _wishes(rows if round_number % 2 else rows[::-1], links, positions)
        _keep_boxes_tight(members, wishes, positions, gaps)
        _keep_lanes_straight(lanes, constraints, wishes, positions)
        before, positions = positions, solver.solve(wishes)
        if all(abs(positions[key] - before[key]) < _STILL for key in positions):
            break
    positions = _aligned(layers, positions)
    _keep_boxes_tight(members, positions, positions, gaps)
    _keep_lanes_straight(lanes, constraints, positions, positions)
    return _spread(_variables(layers), constraints, positions)


def _aligned(layers: Layers, positions: Mapping[str, float]) -> dict[str, float]:
    """Return *positions* with neighbours that are nearly in a line put exactly in a line."""
    lines: list[set[str]] = []
    for chain in layers.chains:
        for one, other in () if chain.loop else pairwise(chain.seats):
            if abs(positions[one] - positions[other]) < _NEARLY:
                touched = [line for line in lines if one in line or other in line]
                lines = [line for line in lines if line not in touched] + [{one, other}.union(*touched)]
    aligned = dict(positions)
    for line in lines:
        found = [positions[key] for key in line]
        if max(found) - min(found) < 2 * _NEARLY and len({layers.seats[key].rank for key in line}) == len(line):
            aligned.update(dict.fromkeys(line, fsum(found) / len(found)))
    return aligned


def _variables(layers: Layers) -> list[str]:
    return [*layers.seats, *(f"{unit} {side}" for unit in layers.islands for side in ("start", "end"))]


def _constraints(layers: Layers, rows: Sequence[Sequence[str]], gaps: Gaps, box_sizes: Mapping[str, float]) -> list[Constraint]:
    found: dict[tuple[str, str], float] = {}

    def require(left: str, right: str, gap: float) -> None:
        found[left, right] = max(gap, found.get((left, right), gap))

    for key, seat in layers.seats.items():
        if seat.unit in layers.islands:
            require(f"{seat.unit} start", key, seat.cross / 2 + gaps.box_start)
            require(key, f"{seat.unit} end", seat.cross / 2 + gaps.box_end)
    for unit, size in box_sizes.items():
        require(f"{unit} start", f"{unit} end", size)
    for row in rows:
        for left, right in pairwise(row):
            one, other = layers.seats[left], layers.seats[right]
            if one.unit == other.unit:
                require(left, right, (one.cross + other.cross) / 2 + _between(layers, left, right, gaps))
                continue
            boxed, other_boxed = one.unit in layers.islands, other.unit in layers.islands
            require(
                f"{one.unit} end" if boxed else left,
                f"{other.unit} start" if other_boxed else right,
                (0 if boxed else one.cross / 2) + (0 if other_boxed else other.cross / 2) + _between(layers, left, right, gaps),
            )
    return [Constraint(left, right, gap) for (left, right), gap in found.items()]


def _between(layers: Layers, left: str, right: str, gaps: Gaps) -> float:
    """Arrows may run nearer to each other than boxes stand."""
    nodes = sum(1 for key in (left, right) if layers.seats[key].node or layers.seats[key].is_label)
    return gaps.between * (0.45, 0.7, 1.0)[nodes]


def _links(layers: Layers) -> dict[str, list[tuple[str, float]]]:
    """Map each seat to its neighbours along arrows with the weight of that tie: long arrows want to be straight."""
    links: dict[str, list[tuple[str, float]]] = {key: [] for key in _variables(layers)}
    for chain in layers.chains:
        for one, other in zip(chain.seats, chain.seats[1:], strict=False):
            ends = sum(1 for key in (one, other) if layers.seats[key].node)
            weight = (8.0, 2.0, 1.0)[ends] * (0.4 if chain.edge.kind == "error" else 1.0)
            links[other].append((one, weight * (0.1 if chain.loop and ends else 1)))
            if not (chain.loop and ends):
                links[one].append((other, weight))
    return links


def _wishes(
    rows: Sequence[Sequence[str]], links: Mapping[str, list[tuple[str, float]]], positions: Mapping[str, float]
) -> dict[str, float]:
    """Return where each seat would like to be: in the weighted middle of its neighbours, rank after rank."""
    wishes = dict(positions)
    for row in rows:
        for key in row:
            total = fsum(weight for _, weight in links[key])
            if total:
                wishes[key] = fsum(wishes[other] * weight for other, weight in links[key]) / total
    return wishes


def _members(layers: Layers) -> dict[str, list[Seat]]:
    """Return the seats of each island."""
    members: dict[str, list[Seat]] = {unit: [] for unit in layers.islands}
    for seat in layers.seats.values():
        if seat.unit in members:
            members[seat.unit].append(seat)
    return members


def _keep_boxes_tight(
    members: Mapping[str, Sequence[Seat]], wishes: dict[str, float], positions: Mapping[str, float], gaps: Gaps
) -> None:
    for unit, seats in members.items():
        wishes[f"{unit} start"] = min(positions[seat.key] - seat.cross / 2 for seat in seats) - gaps.box_start
        wishes[f"{unit} end"] = max(positions[seat.key] + seat.cross / 2 for seat in seats) + gaps.box_end


def _keep_lanes_straight(
    lanes: Sequence[Sequence[str]],
    constraints: Sequence[Constraint],
    wishes: dict[str, float],
    positions: Mapping[str, float],
) -> None:
    """Let every loop run straight, as near to the nodes as the widest of them allows."""
    for lane in lanes:
        nearest = [positions[c.left] + c.gap for c in constraints if c.right in lane]
        if nearest:
            wishes.update(dict.fromkeys(lane, max(nearest)))


class _Solver:
    """Hildreth's method. What it has corrected in one round is where the next one begins, since wishes change little by little."""

    def __init__(self, keys: Sequence[str], constraints: Sequence[Constraint], weights: Mapping[str, float]) -> None:
        self._keys = keys
        place = {key: index for index, key in enumerate(keys)}
        self._rows = [(place[c.left], place[c.right], c.gap, 1 / weights[c.left], 1 / weights[c.right]) for c in constraints]
        self._corrected = [0.0] * len(self._rows)

    def solve(self, wishes: Mapping[str, float]) -> dict[str, float]:
        """Return positions as near to *wishes* as the constraints allow."""
        positions = [wishes[key] for key in self._keys]
        corrected = self._corrected
        for (left, right, _, give_left, give_right), amount in zip(self._rows, corrected, strict=True):
            positions[left] -= amount * give_left
            positions[right] += amount * give_right
        for _ in range(_CORRECTIONS):
            largest = 0.0
            for index, (left, right, gap, give_left, give_right) in enumerate(self._rows):
                step = (gap - positions[right] + positions[left]) / (give_left + give_right)
                step = max(step, -corrected[index])
                if step:
                    corrected[index] += step
                    positions[left] -= step * give_left
                    positions[right] += step * give_right
                    largest = max(largest, abs(step) * (give_left + give_right))
            if largest < _STILL:
                break
        return dict(zip(self._keys, positions, strict=True))


def _spread(keys: Sequence[str], constraints: Sequence[Constraint], wanted: Mapping[str, float]) -> dict[str, float]:
    """Return *wanted* with everything pushed towards the end as far as the constraints ask for, exactly."""
    following: dict[str, list[Constraint]] = {key: [] for key in keys}
    open_before = dict.fromkeys(keys, 0)
    for constraint in constraints:
        following[constraint.left].append(constraint)
        open_before[constraint.right] += 1
    positions = {key: wanted.get(key, 0.0) for key in keys}
    ready = [key for key in keys if not open_before[key]]
    while ready:
        key = ready.pop()
        for constraint in following[key]:
            positions[constraint.right] = max(positions[constraint.right], positions[key] + constraint.gap)
            open_before[constraint.right] -= 1
            if not open_before[constraint.right]:
                ready.append(constraint.right)
    return positions
