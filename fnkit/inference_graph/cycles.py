"""Which nodes of a graph lead to which, and whether they lead back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fnkit.inference_graph.spec import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fnkit.inference_graph.spec import InferenceGraph, Node, Step

    Edges = Mapping[str, Sequence[str]]


def edges_of(graph: InferenceGraph) -> dict[str, list[str]]:
    """Return, for every node, the nodes that its steps run."""
    return {name: [step.node_name for step in node.steps if step.node_name in graph.nodes] for name, node in graph.nodes.items()}


def unguarded_edges_of(graph: InferenceGraph) -> dict[str, list[str]]:
    """Return the edges that are taken whatever a request says: a cycle of these never ends."""
    return {
        name: [
            step.node_name
            for at, step in enumerate(node.steps)
            if step.node_name in graph.nodes and not _is_guarded(node, step, at)
        ]
        for name, node in graph.nodes.items()
    }


def _is_guarded(node: Node, step: Step, at: int) -> bool:
    match node.router_type:
        case "Sequence":
            # A condition that does not hold ends the node, so an earlier one guards the later steps too.
            return any(earlier.condition for earlier in node.steps[: at + 1])
        case "Switch":
            return True
        case "Splitter":
            return (step.weight or 0) < 100
    return False


def find_cycle(edges: Edges) -> tuple[str, ...]:
    """Return the nodes of one cycle, the first one again at the end; `()` if there is none."""
    settled: set[str] = set()
    for start in edges:
        path: list[str] = []
        pending: list[tuple[str, bool]] = [(start, False)]
        while pending:
            name, leaving = pending.pop()
            if leaving:
                settled.add(path.pop())
            elif name in path:
                return (*path[path.index(name) :], name)
            elif name not in settled:
                path.append(name)
                pending.append((name, True))
                pending.extend((target, False) for target in reversed(edges[name]))
    return ()


def reachable(graph: InferenceGraph) -> set[str]:
    """Return the nodes that a request can come to."""
    edges = edges_of(graph)
    found: set[str] = set()
    pending = [ROOT] if ROOT in edges else []
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(edges[name])
    return found
