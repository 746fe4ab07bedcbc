"""Turn a flow or a router into a diagram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fnkit.manifest.model import Flow, Function, Manifest, Route, Router, Step
from fnkit.project.plot.diagram import FAULT, START, Diagram, Edge, Group, GroupKind, Node, NodeKind, Row

_MODEL_RUNNERS = ("ModelRunner", "ModelRunnerStep")
_REMOTE = ("fnkit.steps:RemoteStep", "fnkit.steps:BatchHttpRequests")


def flow_diagram(manifest: Manifest, flow: Flow) -> Diagram:
    """Return the diagram of *flow*: a start node, every step, and an arrow for each way an event can take."""
    boxes = _function_of_steps(manifest, flow.steps)
    handlers = {flow.on_error, *(step.on_error for step in flow.steps)} - {""}
    nodes = [Node(START, "start", "start")]
    nodes += [_step_node(step, boxes, is_handler=step.name in handlers) for step in flow.steps]
    if flow.on_error:
        nodes.append(Node(FAULT, "any step fails", "fault"))
    edges = (*_start_edges(flow, handlers), *_step_edges(flow), *_error_edges(flow))
    return Diagram(manifest.name, _summary(manifest, len(flow.steps)), tuple(nodes), edges, _groups(manifest, boxes))


def router_diagram(manifest: Manifest, router: Router) -> Diagram:
    """Return the diagram of *router*: the start node and the router with its routes."""
    boxes = _function_of_steps(manifest, (router.step,))
    node = replace(_step_node(router.step, boxes, is_handler=False), id=router.step.name or "router")
    node = node if node.title else replace(node, title=manifest.name)
    edges = (Edge(START, node.id),)
    summary = _summary(manifest, len(router.step.routes), noun="route")
    return Diagram(manifest.name, summary, (Node(START, "start", "start"), node), edges, _groups(manifest, boxes))


def _function_of_steps(manifest: Manifest, steps: tuple[Step, ...]) -> Mapping[str, str]:
    """Map the steps to the function whose box they stand in; empty when boxes would say nothing."""
    if not manifest.functions or (not manifest.placement and len(manifest.functions) == 1):
        return {}
    placed = {step: function.name for function in manifest.functions for step in function.steps}
    entry = next((function.name for function in manifest.functions if function.kind == "entry"), "")
    known = {function.name for function in manifest.functions}
    homes: dict[str, str] = {}
    for step in steps:
        home = placed.get(step.name) or (step.function if step.function in known else entry)
        if home and step.kind != "queue":
            homes[step.name] = home
    return homes


def _groups(manifest: Manifest, boxes: Mapping[str, str]) -> tuple[Group, ...]:
    used = set(boxes.values())
    return tuple(_group(function) for function in manifest.functions if function.name in used)


def _group(function: Function) -> Group:
    kind: GroupKind = function.kind
    note = {"entry": "entry function", "child": "child function", "step": ""}[function.kind]
    return Group(function.name, function.name, kind, note)


def _summary(manifest: Manifest, count: int, noun: str = "step") -> str:
    parts = [manifest.topology, _count(count, noun)]
    if manifest.placement:
        parts.append(f"{_count(len(manifest.functions), 'function')} (placement: {manifest.placement})")
    elif len(manifest.functions) > 1:
        parts.append(_count(len(manifest.functions), "function"))
    if manifest.streaming:
        parts.append("streaming")
    return " · ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _step_node(step: Step, boxes: Mapping[str, str], *, is_handler: bool) -> Node:
    kind = _kind(step, is_handler=is_handler)
    return Node(
        id=step.name,
        title=step.name,
        kind=kind,
        subtitle=_subtitle(step),
        rows=_rows(step, kind),
        badge=str(len(_models(step))) if kind == "models" else "",
        responder=step.responder,
        group=boxes.get(step.name, ""),
        shape=step.shape,
    )


def _kind(step: Step, *, is_handler: bool) -> NodeKind:
    if step.kind == "queue":
        return "queue"
    if step.target.rpartition(":")[2] in _MODEL_RUNNERS:
        return "models"
    if step.kind == "router":
        return "router"
    if is_handler:
        return "error"
    if step.target in _REMOTE:
        return "remote"
    return "ready" if step.target.startswith("fnkit.") else "task"


def _subtitle(step: Step) -> str:
    """Say what the step runs: its class, its function or its expression; for a queue where it writes."""
    if step.kind == "queue":
        return str(step.args.get("path") or "in memory")
    what = step.target or step.handler
    if what.startswith("("):
        return what
    last = what.rpartition(":")[2]
    if step.target and step.handler:
        last = f"{last}.{step.handler}"
    return "" if last == step.name else last


def _rows(step: Step, kind: NodeKind) -> tuple[Row, ...]:
    if kind == "router":
        return tuple(_route_row(route) for route in step.routes)
    return tuple(_models(step)) if kind == "models" else ()


def _route_row(route: Route) -> Row:
    what = (route.target or route.handler).rpartition(":")[2]
    return Row(route.key, f"in {route.function}" if route.function else what)


def _models(step: Step) -> list[Row]:
    """Return a row for each model of a model runner: its routes, of which its argument `models` says more."""
    said = step.args.get("models")
    models = said if isinstance(said, Mapping) else {}
    rows = []
    for name in dict.fromkeys([*(route.key for route in step.routes), *models]):
        details = models.get(name)
        facts = details if isinstance(details, Mapping) else {}
        shared = facts.get("shared_model_name")
        rows.append(Row(str(name), f"proxy of {shared}" if shared else str(facts.get("execution_mechanism", ""))))
    return rows


def _start_edges(flow: Flow, handlers: set[str]) -> tuple[Edge, ...]:
    starts = (step for step in flow.steps if set(step.after) == set(step.cycle_from) and step.name not in handlers)
    return tuple(Edge(START, step.name) for step in starts)


def _step_edges(flow: Flow) -> tuple[Edge, ...]:
    names = {step.name for step in flow.steps}
    return tuple(
        Edge(before, step.name, "cycle" if before in step.cycle_from else "flow")
        for step in flow.steps
        for before in step.after
        if before in names
    )


def _error_edges(flow: Flow) -> tuple[Edge, ...]:
    names = {step.name for step in flow.steps}
    edges = [Edge(step.name, step.on_error, "error") for step in flow.steps if step.on_error in names]
    if flow.on_error in names:
        edges.append(Edge(FAULT, flow.on_error, "error"))
    return tuple(edges)
