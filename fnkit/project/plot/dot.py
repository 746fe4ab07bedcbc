"""Write a diagram as DOT, the language of Graphviz, with the shapes that MLRun's users know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fnkit.project.plot.diagram import START, Diagram, Edge, Node
from fnkit.project.plot.look import EDGE_COLOURS, group_colours

Attributes = dict[str, str]
_SHAPES = {"queue": "cds", "router": "doubleoctagon", "models": "folder", "junction": "circle", "fault": "plaintext"}


def graph_attributes(attributes: Mapping[str, str]) -> Attributes:
    """Return the attributes of the whole graph; `compound` lets arrows end at the box of a router."""
    return {"compound": "true", **attributes}


def node_attributes(diagram: Diagram) -> dict[str, Attributes]:
    """Return the attributes of every node by its name; a route is called `ROUTER/ROUTE`."""
    attributes: dict[str, Attributes] = {}
    for node in diagram.nodes:
        attributes[node.id] = _node(node)
        if node.kind == "router":
            for row in node.rows:
                attributes[f"{node.id}/{row.text}"] = {"label": row.text, "shape": "ellipse"}
    return attributes


def edge_attributes(diagram: Diagram) -> dict[tuple[str, str], Attributes]:
    """Return the attributes of every arrow by its ends."""
    attributes: dict[tuple[str, str], Attributes] = {}
    for edge in diagram.edges:
        attributes[edge.source, edge.target] = _edge(diagram, edge)
    for node in diagram.nodes:
        if node.kind == "router":
            attributes.update({(node.id, f"{node.id}/{row.text}"): {} for row in node.rows})
    return attributes


def to_dot(diagram: Diagram, graph: Mapping[str, str]) -> str:
    """Return *diagram* as DOT text."""
    lines = [f"digraph {_quote(diagram.title or 'graph')} {{"]
    lines += [f"  graph {_list(graph_attributes(graph))}"]
    nodes = node_attributes(diagram)
    colours = group_colours(diagram)
    for node in diagram.nodes:
        if not node.group:
            lines += _indent(_node_lines(node, nodes), 1)
    for group in diagram.groups:
        fill, line = colours[group.id]
        style = {"label": group.title, "style": "rounded,filled", "fillcolor": fill, "color": line}
        lines += [f"  subgraph {_quote(f'cluster_function_{group.id}')} {{", f"    graph {_list(style)}"]
        for node in diagram.nodes:
            if node.group == group.id:
                lines += _indent(_node_lines(node, nodes), 2)
        lines.append("  }")
    for (source, target), attributes in edge_attributes(diagram).items():
        lines.append(f"  {_quote(source)} -> {_quote(target)}{' ' + _list(attributes) if attributes else ''}")
    return "\n".join([*lines, "}"]) + "\n"


def _node(node: Node) -> Attributes:
    if node.id == START:
        return {"label": "start", "shape": "egg", "style": "filled"}
    attributes = {"shape": node.shape or _SHAPES.get(node.kind, "ellipse")}
    if node.title != node.id:
        attributes["label"] = node.title
    if node.badge:
        attributes["label"] = f"{node.title} ({node.badge} model{'' if node.badge == '1' else 's'})"
    if node.responder:
        attributes |= {"peripheries": "2", "color": "#059669"}
    return attributes


def _edge(diagram: Diagram, edge: Edge) -> Attributes:
    attributes: Attributes = {"label": edge.label} if edge.label else {}
    if edge.kind == "error":
        attributes |= {"style": "dashed", "color": EDGE_COLOURS["error"]}
    if edge.kind == "cycle":
        attributes |= {"color": EDGE_COLOURS["cycle"], "constraint": "false"}
    if diagram.node(edge.source).kind == "router" and diagram.node(edge.source).rows:
        attributes["ltail"] = f"cluster_{edge.source}"
    return attributes


def _node_lines(node: Node, attributes: Mapping[str, Attributes]) -> Iterable[str]:
    if node.kind != "router" or not node.rows:
        yield f"{_quote(node.id)} {_list(attributes[node.id])}"
        return
    yield f"subgraph {_quote(f'cluster_{node.id}')} {{"
    for key in (node.id, *(f"{node.id}/{row.text}" for row in node.rows)):
        yield f"  {_quote(key)} {_list(attributes[key])}"
    yield "}"


def _indent(lines: Iterable[str], depth: int) -> list[str]:
    return ["  " * depth + line for line in lines]


def _list(attributes: Mapping[str, str]) -> str:
    return "[" + ", ".join(f"{key}={_quote(value)}" for key, value in attributes.items()) + "]"


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
