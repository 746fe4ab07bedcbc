"""Give every node a rank, and every arrow a seat in each rank it passes.

The layout is Sugiyama's: rank the nodes so that arrows point one way, put stand-ins where an arrow crosses a rank, order
each rank so that few arrows cross (`ordering`), then find coordinates (`spacing`). All of it in two directions called *main*
(the way arrows point) and *cross*; which of them is horizontal is decided when it is drawn.

Two things are added to the textbook. Everything that must stay together (the steps of one function, the stand-ins of one long
arrow) is a *unit*, and units keep the same order in all ranks, so that the box of a function never overlaps another. And an
arrow that closes a cycle takes seats in the ranks of both its ends too, so that the loop runs beside the nodes, not through them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fnkit.project.plot.diagram import Diagram, Edge

Size = tuple[float, float]  # main, cross


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in one rank: a node's, or a stand-in's of an arrow (then *node* is `""`), or an empty one that holds a box open."""

    key: str
    rank: int
    unit: str
    main: float = 0.0
    cross: float = 0.0
    node: str = ""
    is_label: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """The seats that one arrow passes, from its source to its target. A *loop* points against the ranks."""

    edge: Edge
    seats: tuple[str, ...]
    loop: bool


@dataclass(frozen=True, slots=True)
class Layers:
    """All seats, the chains of all arrows, and the islands: units that are drawn as a box, with their group's id."""

    seats: Mapping[str, Seat]
    chains: tuple[Chain, ...]
    islands: Mapping[str, str]

    def ranks(self) -> list[list[str]]:
        """Return the keys of the seats, rank by rank, in the order in which they were made."""
        depth = max((seat.rank for seat in self.seats.values()), default=-1) + 1
        rows: list[list[str]] = [[] for _ in range(depth)]
        for seat in self.seats.values():
            rows[seat.rank].append(seat.key)
        return rows


def layer(diagram: Diagram, sizes: Mapping[str, Size], label_sizes: Mapping[Edge, Size]) -> Layers:
    """Return the layers of *diagram*, whose nodes have *sizes* and whose labelled arrows have *label_sizes*."""
    loops = find_loops([node.id for node in diagram.nodes], diagram.edges)
    forward = [edge for edge in diagram.edges if edge not in loops]
    ranks = rank_nodes([node.id for node in diagram.nodes], forward, label_sizes)
    units, islands = _units(diagram, ranks)
    seats = {node.id: Seat(node.id, ranks[node.id], units[node.id], *sizes[node.id], node=node.id) for node in diagram.nodes}
    chains = []
    for position, edge in enumerate(diagram.edges):
        unit = units[edge.source] if units[edge.source] == units[edge.target] else f"edge {position}"
        chain, stand_ins = _chain(edge, position, ranks, unit, label_sizes.get(edge), loop=edge in loops)
        chains.append(chain)
        seats.update((seat.key, seat) for seat in stand_ins)
    seats.update((seat.key, seat) for seat in _held_open(seats.values(), islands))
    return Layers(seats, tuple(chains), islands)


def find_loops(nodes: Sequence[str], edges: Sequence[Edge]) -> frozenset[Edge]:
    """Return the arrows to turn around so that the rest has no cycle: those marked as cycle where they close one, else any."""
    loops = {edge for edge in edges if edge.source == edge.target}
    marked = [edge for edge in edges if edge.kind == "cycle"]
    plain = [edge for edge in edges if edge.kind != "cycle" and edge not in loops]
    loops |= _back_edges(nodes, plain)
    kept = [edge for edge in plain if edge not in loops]
    for edge in marked:
        if edge not in loops and _reaches(kept, edge.target, edge.source):
            loops.add(edge)
        elif edge not in loops:
            kept.append(edge)
    return frozenset(loops)


def _back_edges(nodes: Sequence[str], edges: Sequence[Edge]) -> set[Edge]:
    out: dict[str, list[Edge]] = {node: [] for node in nodes}
    for edge in edges:
        out[edge.source].append(edge)
    back: set[Edge] = set()
    done: set[str] = set()
    for root in nodes:
        path: dict[str, Iterable[Edge]] = {} if root in done else {root: iter(out[root])}
        while path:
            node = next(reversed(path))
            for edge in path[node]:
                if edge.target in path:
                    back.add(edge)
                elif edge.target not in done:
                    path[edge.target] = iter(out[edge.target])
                    break
            else:
                done.add(node)
                del path[node]
    return back


def _reaches(edges: Sequence[Edge], start: str, goal: str) -> bool:
    seen, todo = {start}, [start]
    while todo:
        node = todo.pop()
        if node == goal:
            return True
        following = {edge.target for edge in edges if edge.source == node} - seen
        seen |= following
        todo += sorted(following)
    return False


def rank_nodes(nodes: Sequence[str], edges: Sequence[Edge], labelled: Iterable[Edge] = ()) -> dict[str, int]:
    """Rank the nodes by the longest way to them; a labelled arrow spans two ranks, its label sits in the one between."""
    spans = {edge: 2 if edge in set(labelled) else 1 for edge in edges}
    ranks = dict.fromkeys(nodes, 0)
    for _ in nodes:  # at most that many rounds: the arrows have no cycle
        changed = False
        for edge, span in spans.items():
            if ranks[edge.target] < ranks[edge.source] + span:
                ranks[edge.target] = ranks[edge.source] + span
                changed = True
        if not changed:
            break
    entered = {edge.target for edge in edges}
    for node in nodes:  # a node that nothing leads to moves up to what it leads to
        following = [ranks[edge.target] - spans[edge] for edge in edges if edge.source == node]
        if node not in entered and following:
            ranks[node] = min(following)
    return ranks


def _units(diagram: Diagram, ranks: Mapping[str, int]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the unit of each node, and the group of each unit that is an island.

    The nodes of a group make one island where arrows connect them or their ranks overlap; far ones get a box of their own.
    """
    units = {node.id: f"node {node.id}" for node in diagram.nodes}
    islands: dict[str, str] = {}
    for group in diagram.groups:
        members = [node.id for node in diagram.nodes if node.group == group.id]
        parts = [{member} for member in members]
        for edge in diagram.edges:
            parts = _joined(parts, {edge.source, edge.target} & set(members))
        while (merged := _merge_overlapping(parts, ranks)) != parts:
            parts = merged
        for number, part in enumerate(sorted(parts, key=lambda part: min(members.index(member) for member in part))):
            unit = f"group {group.id} {number}"
            islands[unit] = group.id
            units.update(dict.fromkeys(part, unit))
    return units, islands


def _joined(parts: list[set[str]], ends: set[str]) -> list[set[str]]:
    touched = [part for part in parts if part & ends]
    if len(touched) < 2:
        return parts
    return [part for part in parts if part not in touched] + [set().union(*touched)]


def _merge_overlapping(parts: list[set[str]], ranks: Mapping[str, int]) -> list[set[str]]:
    def interval(part: set[str]) -> tuple[int, int]:
        return min(ranks[node] for node in part), max(ranks[node] for node in part)

    for one in parts:
        for other in parts:
            (low, high), (start, end) = interval(one), interval(other)
            if one is not other and low <= end and start <= high:
                return [part for part in parts if part is not one and part is not other] + [one | other]
    return parts


def _chain(
    edge: Edge, position: int, ranks: Mapping[str, int], unit: str, label: Size | None, *, loop: bool
) -> tuple[Chain, list[Seat]]:
    """Return the chain of *edge* and its stand-ins: between its ends, or, for a loop, in the ranks of its ends as well."""
    if loop:
        low, high = sorted((ranks[edge.source], ranks[edge.target]))
        passed = list(range(high, low - 1, -1)) if ranks[edge.source] >= ranks[edge.target] else list(range(low, high + 1))
    else:
        passed = list(range(ranks[edge.source] + 1, ranks[edge.target]))
    seats = []
    for number, rank in enumerate(passed):
        is_label = label is not None and number == len(passed) // 2
        size = label if is_label and label is not None else (0.0, 0.0)
        seats.append(Seat(f"edge {position} at {rank}", rank, unit, *size, is_label=is_label))
    return Chain(edge, (edge.source, *(seat.key for seat in seats), edge.target), loop), seats


def _held_open(seats: Iterable[Seat], islands: Mapping[str, str]) -> list[Seat]:
    """Return an empty seat for each rank that an island spans without having a seat in it."""
    taken: dict[str, set[int]] = {}
    for seat in seats:
        if seat.unit in islands:
            taken.setdefault(seat.unit, set()).add(seat.rank)
    return [
        Seat(f"{unit} at {rank}", rank, unit)
        for unit, ranks in taken.items()
        for rank in range(min(ranks), max(ranks) + 1)
        if rank not in ranks
    ]
