"""What KServe's admission webhook refuses, in its order and in its words.

Source: `pkg/apis/serving/v1alpha1/inference_graph_validation.go` of KServe v0.19 and later. The webhook stops at its first
finding; fnkit reports all of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fnkit.inference_graph.spec import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fnkit.inference_graph.spec import InferenceGraph, Step

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def find_refusals(graph: InferenceGraph) -> tuple[str, ...]:
    """Return everything that the webhook refuses in *graph*; the first text is the one that a cluster would show."""
    checks = (_name, _root, _duplicate_names, _targets, _weights)
    return tuple(text for check in checks for text in check(graph))


def _name(graph: InferenceGraph) -> Iterator[str]:
    if not _NAME.fullmatch(graph.name):
        yield (
            f'The InferenceGraph "{graph.name}" is invalid: a InferenceGraph name must consist of lower case alphanumeric '
            "characters or '-', and must start with alphabetical character. "
            '(e.g. "my-name" or "abc-123", regex used for validation is \'[a-z]([-a-z0-9]*[a-z0-9])?\')'
        )


def _root(graph: InferenceGraph) -> Iterator[str]:
    if ROOT not in graph.nodes:
        yield "root node not found, InferenceGraph needs a node with name 'root' as the root node of the graph"


def _duplicate_names(graph: InferenceGraph) -> Iterator[str]:
    for node_name, node in graph.nodes.items():
        names = [step.name for step in node.steps if step.name]
        for name in dict.fromkeys(name for at, name in enumerate(names) if name in names[:at]):
            yield f'Node "{node_name}" of InferenceGraph "{graph.name}" contains more than one step with name "{name}"'


def _targets(graph: InferenceGraph) -> Iterator[str]:
    for node_name, node in graph.nodes.items():
        for index, step in enumerate(node.steps):
            place = f'Step {index} ("{step.name}") in node "{node_name}" of InferenceGraph "{graph.name}"'
            if not step.targets:
                yield f"{place} does not specify an inference target"
            elif len(step.targets) > 1:
                yield f"{place} specifies more than one of nodeName, serviceName, serviceUrl"


def _weights(graph: InferenceGraph) -> Iterator[str]:
    for node_name, node in graph.nodes.items():
        if node.router_type != "Splitter":
            continue
        place = f"InferenceGraph[{graph.name}] Node[{node_name}]"
        missing = [step for step in node.steps if step.weight is None]
        yield from (f"{place} Route[{step.service_name}] missing the 'Weight'" for step in missing)
        if not missing and _sum(node.steps) != 100:
            yield f"{place} splitter node: the sum of traffic weights for all routing targets should be 100"


def _sum(steps: tuple[Step, ...]) -> int:
    return sum(step.weight or 0 for step in steps)
