"""The shapes of arrows, as cubic Bézier curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fnkit.project.plot.diagram import Edge

Point = tuple[float, float]
_STRAIGHT = 6.0  # pixels that the end of an arrow may be beside the middle of a node


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
    return _through(stops)


@dataclass(frozen=True, slots=True)
class LoopEnd:
    """How a loop meets a node: at its side across the ranks, *offset* from the middle; or at the face that looks along them."""

    offset: float
    at_face: bool


def loop_curve(source: Port, target: Port, stops: Sequence[Point], ends: tuple[LoopEnd, LoopEnd]) -> list[Point]:
    """Return the curve of an arrow against the ranks: from *source*, along the lane of *stops*, to *target*."""
    backwards = -1.0 if source.main >= target.main else 1.0
    leaving, coming = ends
    if leaving.at_face and coming.at_face:
        return _through([_face(source, backwards), *stops[1:-1], _face(target, -backwards)])
    start = _face(source, backwards) if leaving.at_face else _side(source, -backwards * leaving.offset, stops[0][1])
    end = _face(target, -backwards) if coming.at_face else _side(target, -backwards * coming.offset, stops[-1][1])
    reach = backwards * min(24.0, abs(start[0] - end[0]) / 2)
    lane = list(stops)
    lane[0:1] = [] if leaving.at_face else [(start[0] + reach, stops[0][1])]
    lane[-1:] = [] if coming.at_face else [(end[0] - reach, stops[-1][1])]
    if len(stops) == 1:
        lane = [(start[0] + reach, stops[0][1]), (end[0] - reach, stops[0][1])]
    points = _through([start, *lane]) if leaving.at_face else [start, *_turn(start, lane[0]), *_through(lane)[1:]]
    return [*points, *(_along(lane[-1], end) if coming.at_face else _turn(end, lane[-1], inwards=True))]


def _through(stops: Sequence[Point]) -> list[Point]:
    """Return the curve through *stops*; where two of them nearly make a straight line it is one."""
    points = [stops[0]]
    for _, other in pairwise(stops):
        here = points[-1]
        points += _along(here, (other[0], here[1]) if abs(other[1] - here[1]) < _STRAIGHT else other)
    return points


def _face(node: Port, direction: float) -> Point:
    """Return a point on the face of *node* that looks that way, beside where other arrows meet it."""
    return node.main + direction * node.length / 2, node.cross + min(11.0, node.breadth / 4)


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
