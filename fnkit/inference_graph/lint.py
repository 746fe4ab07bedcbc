"""What KServe lets pass and then does not do what its author meant.

The CRD and the webhook accept all of this. `find_warnings` names each place as `node/step`, where a step goes by its name or its
index, and says what the router will do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fnkit.inference_graph.cycles import find_cycle, reachable, unguarded_edges_of
from fnkit.inference_graph.gjson.lint import remarks
from fnkit.inference_graph.headers import skipped_patterns
from fnkit.inference_graph.merging import MERGE_NAMES
from fnkit.inference_graph.spec import ROOT, ROUTER_TYPES, SCALE_METRICS
from fnkit.manifest.problem import Problem
from fnkit.manifest.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fnkit.inference_graph.spec import InferenceGraph, Node, Step


def find_warnings(graph: InferenceGraph) -> tuple[Problem, ...]:
    """Return everything in *graph* that is likely to be a mistake."""
    return tuple(_warnings(graph))


def _warnings(graph: InferenceGraph) -> Iterator[Problem]:
    yield from _shape(graph)
    yield from _pod(graph)
    yield from _extensions(graph)
    for name, node in graph.nodes.items():
        yield from _node(name, node)
        for at, step in enumerate(node.steps):
            place = f"{name}/{step.name or at}"
            yield from _target(graph, place, step)
            yield from _condition(node, place, step, at)
            yield from _ignored(node, place, step, at)


def _shape(graph: InferenceGraph) -> Iterator[Problem]:
    cycle = find_cycle(unguarded_edges_of(graph))
    if cycle:
        yield Problem(
            cycle[0],
            "cycle",
            f"the cycle {' -> '.join(cycle)} never ends: KServe's router dies of it",
            "put a condition on one of its steps",
        )
    if ROOT in graph.nodes:
        for name in sorted(graph.nodes.keys() - reachable(graph)):
            yield Problem(name, "unreachable", "no request comes to this node", "name it in a step, or remove it")


def _pod(graph: InferenceGraph) -> Iterator[Problem]:
    metric = graph.pod.get("scaleMetric")
    if metric is not None and metric not in SCALE_METRICS:
        message = f"unknown scaleMetric {metric!r}: a cluster refuses it"
        yield Problem("", "scale-metric", message, f"one of {', '.join(SCALE_METRICS)}")


def _extensions(graph: InferenceGraph) -> Iterator[Problem]:
    for name in graph.extensions.services:
        if name not in graph.service_names:
            near = did_you_mean(name, graph.service_names)
            yield Problem("", "unused-service", f"no step calls the service {name!r}", near or "name it in a step, or remove it")
    for pattern in skipped_patterns(graph.extensions.propagate_headers or ()):
        yield Problem("", "header-pattern", f"the header pattern {pattern!r} is no valid expression and will be skipped")


def _node(name: str, node: Node) -> Iterator[Problem]:
    if node.router_type not in ROUTER_TYPES:
        yield Problem(
            name,
            "router-type",
            f"unknown router type {node.router_type!r}: a cluster refuses it, and a request fails with 500",
            f"one of {', '.join(ROUTER_TYPES)}, written exactly so",
        )
    if not node.steps and node.router_type in ("Sequence", "Switch", "Ensemble"):
        outcome = {
            "Sequence": "breaks the connection without an answer",
            "Switch": "answers 404",
            "Ensemble": "answers {}",
        }[node.router_type]
        yield Problem(name, "no-steps", f"a {node.router_type} without steps {outcome}")
    if node.merge and (node.router_type != "Ensemble" or node.merge not in MERGE_NAMES):
        message = f"unknown merge strategy {node.merge!r}" if node.router_type == "Ensemble" else "only an Ensemble merges"
        yield Problem(name, "merge", message, f"for an Ensemble: {', '.join(MERGE_NAMES)}")


def _target(graph: InferenceGraph, place: str, step: Step) -> Iterator[Problem]:
    if step.node_name and step.node_name not in graph.nodes:
        yield Problem(
            place,
            "unknown-node",
            f"there is no node {step.node_name!r}: a request that comes here fails with 500",
            f"the nodes are {', '.join(sorted(graph.nodes))}",
        )
    if step.service_name and step.service_name == graph.name:
        yield Problem(place, "graph-as-service", "a graph cannot be the service of a step", "use nodeName or serviceUrl")


def _condition(node: Node, place: str, step: Step, at: int) -> Iterator[Problem]:
    if not step.condition:
        if node.router_type == "Switch":
            yield Problem(
                place,
                "no-condition",
                "a Switch step without a condition is chosen only for an object with an empty key",
                "give it a condition; one that always holds is @this",
            )
        return
    if node.router_type in ("Splitter", "Ensemble"):
        yield Problem(place, "ignored", f"a {node.router_type} ignores conditions")
        return
    if node.router_type == "Sequence" and at == 0:
        yield Problem(
            place,
            "first-condition",
            "a condition reads the answer before it, and the first step has none: every request fails with 500",
            "use a Switch node to look at the request",
        )
    for remark in remarks(step.condition):
        yield Problem(place, "condition", f"condition {step.condition!r}: {remark.message}", remark.hint)


def _ignored(node: Node, place: str, step: Step, at: int) -> Iterator[Problem]:
    if step.data not in ("", "$request", "$response"):
        yield Problem(
            place, "data", f"data {step.data!r} has no effect: the step gets the input of its node", "only $response chains"
        )
    elif step.data == "$response" and (node.router_type != "Sequence" or at == 0):
        yield Problem(place, "data", "there is no earlier answer here: $response has no effect")
    if step.map_predictions and node.router_type != "Sequence":
        yield Problem(place, "ignored", "only a Sequence maps predictions to instances")
    if step.weight is not None and node.router_type != "Splitter":
        yield Problem(place, "ignored", "only a Splitter looks at weights")
    if step.weight is not None and step.weight < 0:
        yield Problem(place, "weight", "a negative weight takes from the step before it")
    if step.dependency not in ("", "Soft", "Hard"):
        yield Problem(place, "dependency", f"unknown dependency {step.dependency!r}: a cluster refuses it", "Soft or Hard")
    elif step.is_hard and node.router_type in ("Switch", "Splitter"):
        yield Problem(place, "ignored", f"a {node.router_type} ignores dependencies")
