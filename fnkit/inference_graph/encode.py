"""Write an InferenceGraph as plain JSON data: for a manifest, for a router, for a cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fnkit.inference_graph.spec import API_VERSION, EXTENSIONS_ANNOTATION, KIND, Extensions, Retry, Timeouts

if TYPE_CHECKING:
    from fnkit.functions.services import ServiceCode
    from fnkit.inference_graph.spec import InferenceGraph, Node, Step

Json = dict[str, object]


def to_document(graph: InferenceGraph, *, for_cluster: bool = False) -> Json:
    """Return the Kubernetes object that describes *graph*; `decode.read_graph` is the inverse.

    *for_cluster*: fnkit's own fields go into the annotation, because the CRD of a cluster knows no `fnkit` blocks.
    """
    metadata: Json = _given(name=graph.name, namespace=graph.namespace, labels=dict(graph.labels))
    annotations = dict(graph.annotations)
    if for_cluster and (extensions := _extensions_tree(graph)):
        annotations[EXTENSIONS_ANNOTATION] = json.dumps(extensions, sort_keys=True)
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": to_spec(graph, own=not for_cluster)}


def to_spec(graph: InferenceGraph, *, own: bool = True) -> Json:
    """Return the spec alone, as `--graph-json` takes it; *own*: with fnkit's blocks."""
    spec: Json = {"nodes": {name: _node(node, own) for name, node in graph.nodes.items()}}
    if graph.timeouts != Timeouts():
        spec["routerTimeouts"] = _timeouts(graph.timeouts)
    spec.update(graph.pod)
    if own and (block := _graph_block(graph.extensions)):
        spec["fnkit"] = block
    return spec


def _node(node: Node, own: bool) -> Json:
    written = _given(routerType=node.router_type, steps=[_step(step, own) for step in node.steps])
    if own and node.merge:
        written["fnkit"] = {"merge": node.merge}
    return written


def _step(step: Step, own: bool) -> Json:
    written = _given(
        name=step.name,
        serviceName=step.service_name,
        serviceUrl=step.service_url,
        nodeName=step.node_name,
        data=step.data,
        condition=step.condition,
        dependency=step.dependency,
        mapPredictionsToInstances=step.map_predictions,
    )
    if step.weight is not None:
        written["weight"] = step.weight
    if own and (block := _step_block(step)):
        written["fnkit"] = block
    return written


def _timeouts(timeouts: Timeouts) -> Json:
    plain = Timeouts()
    named = (
        ("serverRead", timeouts.server_read, plain.server_read),
        ("serverWrite", timeouts.server_write, plain.server_write),
        ("serverIdle", timeouts.server_idle, plain.server_idle),
        ("serviceClient", timeouts.service_client, plain.service_client),
    )
    return {name: value for name, value, default in named if value != default}


def _extensions_tree(graph: InferenceGraph) -> Json:
    tree = _graph_block(graph.extensions)
    nodes: Json = {}
    for name, node in graph.nodes.items():
        steps: Json = {step.name or str(at): block for at, step in enumerate(node.steps) if (block := _step_block(step))}
        if block := _given(merge=node.merge, steps=steps):
            nodes[name] = block
    if nodes:
        tree["nodes"] = nodes
    return tree


def _graph_block(given: Extensions) -> Json:
    services = {name: _service(target) for name, target in given.services.items()}
    block = _given(stream=given.stream, traceContext=given.trace_context, metrics=given.metrics, services=services)
    if given.propagate_headers is not None:
        block["propagateHeaders"] = list(given.propagate_headers)
    if given.max_depth != Extensions().max_depth:
        block["maxDepth"] = given.max_depth
    return block


def _service(target: str | ServiceCode) -> object:
    if isinstance(target, str):
        return target
    more = _given(args=dict(target.args), function=target.function, requirements=list(target.requirements))
    return {"target": target.target, **more} if more else target.target


def _step_block(step: Step) -> Json:
    block: Json = {}
    if step.retry is not None:
        block["retry"] = _retry(step.retry)
    if step.timeout_ms is not None:
        block["timeoutMs"] = step.timeout_ms
    return block


def _retry(retry: Retry) -> Json:
    return {
        "attempts": retry.attempts,
        "backoffMs": retry.backoff_ms,
        "maxBackoffMs": retry.max_backoff_ms,
        "statuses": list(retry.statuses),
    }


def _given(**fields: object) -> Json:
    return {name: value for name, value in fields.items() if value}
