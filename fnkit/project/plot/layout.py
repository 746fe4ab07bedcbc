"""Give a diagram coordinates: rectangles for nodes and boxes, curves for arrows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fnkit.project.plot.curves import Curve, LoopEnd, Port, loop_curve, straight_curve
from fnkit.project.plot.diagram import Diagram, Edge
from fnkit.project.plot.layering import Layers, Seat, layer
from fnkit.project.plot.ordering import order
from fnkit.project.plot.spacing import Gaps, space

Rankdir = Literal["LR", "TB", "RL", "BT"]

PAD = 14.0  # between a box's edge and its members
TITLE = 22.0  # height of a box's title
_RANK_GAP = 54.0
_SEAT_GAP = 30.0


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle in pixels; *x*, *y* is its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is. *boxes* are pairs of a group's id and a rectangle: a group may have several."""

    width: float
    height: float
    nodes: Mapping[str, Rect]
    boxes: tuple[tuple[str, Rect], ...]
    curves: tuple[Curve, ...]
    labels: tuple[tuple[Edge, Rect], ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """Turns coordinates along and across the ranks into those of the page."""

    rankdir: Rankdir
    length: float

    @property
    def horizontal(self) -> bool:
        return self.rankdir in ("LR", "RL")

    def point(self, main: float, cross: float) -> tuple[float, float]:
        if self.rankdir in ("RL", "BT"):
            main = self.length - main
        return (main, cross) if self.horizontal else (cross, main)

    def rect(self, main: tuple[float, float], cross: tuple[float, float]) -> Rect:
        (x1, y1), (x2, y2) = self.point(main[0], cross[0]), self.point(main[1], cross[1])
        return Rect(min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1))


def lay_out(
    diagram: Diagram,
    sizes: Mapping[str, tuple[float, float]],
    label_sizes: Mapping[Edge, tuple[float, float]],
    title_widths: Mapping[str, float],
    rankdir: Rankdir,
) -> Layout:
    """Return the layout of *diagram*; *sizes* are width and height of the nodes, *title_widths* those of the boxes' titles."""
    horizontal = rankdir in ("LR", "RL")

    def turned(size: tuple[float, float]) -> tuple[float, float]:
        return size if horizontal else (size[1], size[0])

    layers = layer(
        diagram,
        {key: turned(size) for key, size in sizes.items()},
        {edge: turned(size) for edge, size in label_sizes.items()},
    )
    title_of = {unit: title_widths[group] for unit, group in layers.islands.items()}
    gaps = Gaps(_SEAT_GAP, PAD + (TITLE if horizontal else 0), PAD)
    cross = space(layers, order(layers), gaps, {} if horizontal else title_of)
    columns = _columns(layers, title_of if horizontal else {}, 0.0 if horizontal else TITLE)
    return _assemble(layers, cross, columns, gaps, title_of, Frame(rankdir, columns[-1][1]))


def _columns(layers: Layers, titles: Mapping[str, float], title_height: float) -> list[tuple[float, float]]:
    """Return begin and end of each rank; there is room for the boxes' edges and titles between them."""
    rows = layers.ranks()
    spans = {unit: _span(layers, unit) for unit in layers.islands}
    widths = [max(layers.seats[key].main for key in row) if row else 0.0 for row in rows]
    for unit, title in titles.items():
        first, last = spans[unit]
        if first == last:
            widths[first] = max(widths[first], title - 2 * PAD)
    columns, here = [], 0.0
    for rank, width in enumerate(widths):
        starts = any(first == rank for first, _ in spans.values())
        ends = any(last == rank for _, last in spans.values())
        here += (PAD + title_height) if starts else 0
        columns.append((here, here + width))
        here += width + (PAD + title_height if ends and title_height else PAD if ends else 0) + _RANK_GAP
    return columns


def _span(layers: Layers, unit: str) -> tuple[int, int]:
    ranks = [seat.rank for seat in layers.seats.values() if seat.unit == unit]
    return min(ranks), max(ranks)


def _assemble(
    layers: Layers,
    cross: Mapping[str, float],
    columns: list[tuple[float, float]],
    gaps: Gaps,
    titles: Mapping[str, float],
    frame: Frame,
) -> Layout:
    def middle(seat: Seat) -> float:
        return sum(columns[seat.rank]) / 2

    def rect(seat: Seat) -> Rect:
        main = middle(seat)
        return frame.rect(
            (main - seat.main / 2, main + seat.main / 2),
            (cross[seat.key] - seat.cross / 2, cross[seat.key] + seat.cross / 2),
        )

    nodes = {seat.node: rect(seat) for seat in layers.seats.values() if seat.node}
    boxes = tuple((group, _box(layers, unit, cross, columns, gaps, titles, frame)) for unit, group in layers.islands.items())
    curves = _curves(layers, cross, columns, frame)
    labels = tuple(
        (chain.edge, rect(layers.seats[key])) for chain in layers.chains for key in chain.seats if layers.seats[key].is_label
    )
    return _moved_to_origin(nodes, boxes, curves, labels)


def _box(
    layers: Layers,
    unit: str,
    cross: Mapping[str, float],
    columns: list[tuple[float, float]],
    gaps: Gaps,
    titles: Mapping[str, float],
    frame: Frame,
) -> Rect:
    """Return the rectangle around an island: tight around its members, and wide enough for its title."""
    members = [seat for seat in layers.seats.values() if seat.unit == unit]
    centres = {seat.key: sum(columns[seat.rank]) / 2 for seat in members}
    begin = min(centres[seat.key] - seat.main / 2 for seat in members) - PAD
    end = max(centres[seat.key] + seat.main / 2 for seat in members) + PAD
    low = min(cross[seat.key] - seat.cross / 2 for seat in members) - gaps.box_start
    high = max(cross[seat.key] + seat.cross / 2 for seat in members) + gaps.box_end
    if frame.horizontal:
        missing = max(0.0, titles[unit] - (end - begin)) / 2
        return frame.rect((begin - missing, end + missing), (low, high))
    missing = max(0.0, titles[unit] - (high - low)) / 2
    lowest, highest = cross[f"{unit} start"], cross[f"{unit} end"]
    low = max(lowest, low - missing) if low > lowest else low
    high = min(highest, max(high + missing, low + titles[unit]))
    begin, end = (begin, end + TITLE) if frame.rankdir == "BT" else (begin - TITLE, end)
    return frame.rect((begin, end), (low, high))


def _curves(layers: Layers, cross: Mapping[str, float], columns: list[tuple[float, float]], frame: Frame) -> tuple[Curve, ...]:
    ports = _loop_ports(layers, cross)
    curves = []
    for index, chain in enumerate(layers.chains):
        seats = [layers.seats[key] for key in chain.seats]
        stops = [(sum(columns[seat.rank]) / 2, cross[seat.key]) for seat in seats]
        source, target = (Port(*stop, seat.main, seat.cross) for stop, seat in ((stops[0], seats[0]), (stops[-1], seats[-1])))
        if chain.loop:
            points = loop_curve(source, target, stops[1:-1], ports[index])
        else:
            points = straight_curve(source, target, [(columns[seat.rank], cross[seat.key]) for seat in seats[1:-1]])
        curves.append(Curve(chain.edge, tuple(frame.point(*point) for point in points)))
    return tuple(curves)


def _loop_ports(layers: Layers, cross: Mapping[str, float]) -> dict[int, tuple[LoopEnd, LoopEnd]]:
    """Return how each loop meets its source and its target.

    Between neighbouring ranks it goes straight from face to face; so does an end that has another node between it and the lane.
    """
    used: dict[tuple[str, str], int] = {}
    ports = {}
    for index, chain in enumerate(layers.chains):
        if not chain.loop:
            continue
        source, target = layers.seats[chain.edge.source], layers.seats[chain.edge.target]
        direct = abs(source.rank - target.rank) == 1
        ends = []
        for way, seat, lane in (("out", source, chain.seats[1]), ("in", target, chain.seats[-2])):
            at_face = source is not target and (direct or _is_blocked(layers, cross, seat, cross[lane]))
            number = used[seat.node, way] = used.get((seat.node, way), 0) + (0 if at_face else 1)
            ends.append(LoopEnd((2.0 + 10 * number) * (1 if way == "out" else -1), at_face))
        ports[index] = (ends[0], ends[1])
    return ports


def _is_blocked(layers: Layers, cross: Mapping[str, float], seat: Seat, lane: float) -> bool:
    """Tell whether another node of the rank lies between *seat* and *lane*."""
    low, high = sorted((cross[seat.key], lane))
    return any(
        other.node and other.rank == seat.rank and other is not seat and low < cross[other.key] < high
        for other in layers.seats.values()
    )


def _moved_to_origin(
    nodes: Mapping[str, Rect],
    boxes: tuple[tuple[str, Rect], ...],
    curves: tuple[Curve, ...],
    labels: tuple[tuple[Edge, Rect], ...],
) -> Layout:
    rects = [*nodes.values(), *(rect for _, rect in boxes), *(rect for _, rect in labels)]
    points = [point for curve in curves for point in curve.points]
    left = min([rect.x for rect in rects] + [x for x, _ in points])
    top = min([rect.y for rect in rects] + [y for _, y in points])
    right = max([rect.x + rect.width for rect in rects] + [x for x, _ in points])
    bottom = max([rect.y + rect.height for rect in rects] + [y for _, y in points])

    def moved(rect: Rect) -> Rect:
        return Rect(rect.x - left, rect.y - top, rect.width, rect.height)

    return Layout(
        right - left,
        bottom - top,
        {key: moved(rect) for key, rect in nodes.items()},
        tuple((group, moved(rect)) for group, rect in boxes),
        tuple(Curve(curve.edge, tuple((x - left, y - top) for x, y in curve.points)) for curve in curves),
        tuple((edge, moved(rect)) for edge, rect in labels),
    )
