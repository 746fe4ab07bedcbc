"""Turn a topology that keeps its own document (an InferenceGraph, a gateway) into a diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fnkit.manifest.model import Document, Manifest
from fnkit.project.plot.diagram import START, Diagram, Edge, Group, Node, Row

_FAN_OUT = {"Switch": "switch", "Splitter": "split", "Ensemble": "all"}


def inference_graph_diagram(manifest: Manifest, document: Document) -> Diagram:
    """Return the diagram of a KServe InferenceGraph: a box per node, its steps inside, conditions on the arrows."""
    routers = _mapping(_mapping(document.spec.get("spec", document.spec)).get("nodes"))
    nodes, edges = [Node(START, "start", "start")], []
    if "root" in routers:
        edges.append(Edge(START, _entry("root", _mapping(routers["root"]))))
    homes = {service: function.name for function in manifest.functions if manifest.placement for service in function.steps}
    for name, router in routers.items():
        more_nodes, more_edges = _router_parts(name, _mapping(router), routers, homes)
        nodes += more_nodes
        edges += more_edges
    groups = tuple(Group(name, name, "node", str(_mapping(router).get("routerType", ""))) for name, router in routers.items())
    summary = f"inference graph · {len(routers)} node{'' if len(routers) == 1 else 's'}"
    if manifest.placement:
        count = len(manifest.functions)
        summary += f" · {count} function{'' if count == 1 else 's'} (placement: {manifest.placement})"
    return Diagram(manifest.name, summary, tuple(nodes), tuple(edges), groups)


def gateway_diagram(manifest: Manifest, document: Document) -> Diagram:
    """Return the diagram of a gateway: a node per route, an arrow to the model that answers it."""
    routes = [_mapping(route) for route in _sequence(document.spec.get("endpoints") or document.spec.get("routes"))]
    nodes, edges, models = [Node(START, "start", "start")], [], {}
    for route in routes:
        name = str(route.get("name", ""))
        kind = str(route.get("endpoint_type") or route.get("route_type") or "")
        nodes.append(Node(f"route/{name}", name, "router", kind, group="gateway"))
        edges.append(Edge(START, f"route/{name}"))
        model = _mapping(route.get("model"))
        title = str(model.get("name") or model.get("provider") or "model")
        provider = str(model.get("provider", ""))
        key = f"model/{provider}/{title}"
        models[key] = Node(key, title, "remote", provider)
        edges.append(Edge(f"route/{name}", key))
    summary = f"gateway · {len(routes)} route{'' if len(routes) == 1 else 's'}"
    group = Group("gateway", manifest.name, "entry", "gateway")
    return Diagram(manifest.name, summary, (*nodes, *models.values()), tuple(edges), (group,))


def _router_parts(
    name: str, router: Mapping[str, object], routers: Mapping[str, object], homes: Mapping[str, str]
) -> tuple[list[Node], list[Edge]]:
    """Return the steps of one InferenceGraph node, and the arrows inside it and out of it; *homes*: service -> its function."""
    kind = str(router.get("routerType", ""))
    steps = [_mapping(step) for step in _sequence(router.get("steps"))]
    nodes, edges = [], []
    previous = ""
    if kind in _FAN_OUT or not steps:
        previous = _entry(name, router)
        nodes.append(Node(previous, _FAN_OUT.get(kind, kind), "junction", group=name))
    for position, step in enumerate(steps):
        node_id = _step_id(name, position)
        nodes.append(_step_node(node_id, step, position, homes, group=name))
        if previous:
            edges.append(Edge(previous, node_id, label=_label(kind, step)))
        if kind not in _FAN_OUT:
            previous = node_id
        target = str(step.get("nodeName", ""))
        if target in routers:
            edges.append(Edge(node_id, _entry(target, _mapping(routers[target]))))
    return nodes, edges


def _entry(name: str, router: Mapping[str, object]) -> str:
    """Return the id of the diagram node at which a call of that InferenceGraph node arrives."""
    fans_out = router.get("routerType") in _FAN_OUT or not _sequence(router.get("steps"))
    return f"{name}/" if fans_out else _step_id(name, 0)


def _step_id(name: str, position: int) -> str:
    return f"{name}/{position}"


def _step_node(node_id: str, step: Mapping[str, object], position: int, homes: Mapping[str, str], *, group: str) -> Node:
    target = str(step.get("serviceName") or step.get("serviceUrl") or step.get("nodeName") or "")
    title = str(step.get("name") or target or f"step {position + 1}")
    subtitle = f"node {target}" if step.get("nodeName") else target
    rows = [Row(f"sends {step['data']}")] if step.get("data") else []
    if step.get("dependency"):
        rows.append(Row(f"{step['dependency']} dependency"))
    home = homes.get(str(step.get("serviceName", "")))
    if home and not step.get("serviceUrl"):
        rows.append(Row(f"function {home}"))
    return Node(node_id, title, "task", "" if subtitle == title else subtitle, tuple(rows), group=group)


def _label(kind: str, step: Mapping[str, object]) -> str:
    if kind == "Splitter":
        return f"{step.get('weight', 0)} %"
    return str(step.get("condition") or "")


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
