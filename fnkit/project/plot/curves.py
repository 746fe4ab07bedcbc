"""The shapes of arrows, as cubic Bézier curves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from fnkit.project.plot.diagram import Edge

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """The way of one arrow: a start point, then three points (two controls, one end) for each cubic piece."""

    edge: Edge
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """The middle of a node along and across the ranks, and its extents in both directions."""

    main: float
    cross: float
    length: float
    breadth: float


def straight_curve(source: Port, target: Port, lanes: Sequence[tuple[tuple[float, float], float]]) -> list[Point]:
    """Return the curve from the far side of *source* to the near side of *target*, straight inside each of the *lanes*.

    A lane is where it begins and ends along the ranks, and where it lies across them.
    """
    stops: list[Point] = [(source.main + source.length / 2, source.cross)]
    for (begin, end), cross in lanes:
        stops += [(begin, cross), (end, cross)]
    stops.append((target.main - target.length / 2, target.cross))
    points = [stops[0]]
    for one, other in itertools.pairwise(stops):
        points += _along(one, other)
    return points


def loop_curve(source: Port, target: Port, stops: Sequence[Point], offsets: tuple[float, float]) -> list[Point]:
    """Return the curve that leaves *source* sideways, runs through *stops* and comes to *target* sideways.

    *offsets* say how far from the nodes' middles it leaves and arrives.
    """
    backwards = -1.0 if source.main >= target.main else 1.0
    start = _side(source, -backwards * offsets[0], stops[0][1])
    end = _side(target, -backwards * offsets[1], stops[-1][1])
    reach = min(24.0, abs(start[0] - end[0]) / 2)
    first = (start[0] + backwards * reach, stops[0][1])
    last = (end[0] - backwards * reach, stops[-1][1])
    points = [start, *_turn(start, first)]
    here = first
    for stop in [*stops[1:-1], last]:
        points += _along(here, stop)
        here = stop
    return [*points, *_turn(end, last, inwards=True)]


def _side(node: Port, offset: float, lane: float) -> Point:
    half = node.breadth / 2
    offset = max(-node.length / 2 + 6, min(node.length / 2 - 6, offset))
    return node.main + offset, node.cross + (half if lane > node.cross else -half)


def _along(one: Point, other: Point) -> list[Point]:
    """Return a piece whose ends point along the ranks."""
    reach = (other[0] - one[0]) / 2
    return [(one[0] + reach, one[1]), (other[0] - reach, other[1]), other]


def _turn(corner: Point, lane: Point, *, inwards: bool = False) -> list[Point]:
    """Return a rounded quarter between a node's side at *corner* and the *lane*; *inwards* runs from lane to corner."""
    near_corner = (corner[0], corner[1] + (lane[1] - corner[1]) * 0.75)
    near_lane = (lane[0] + (corner[0] - lane[0]) * 0.75, lane[1])
    return [near_lane, near_corner, corner] if inwards else [near_corner, near_lane, lane]
