"""What is drawn, whatever draws it: nodes, edges, and the boxes around nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NodeKind = Literal["start", "task", "ready", "queue", "router", "models", "remote", "error", "fault", "junction", "end"]
EdgeKind = Literal["flow", "cycle", "error"]
GroupKind = Literal["entry", "step", "child", "node"]

START = "_start"
FAULT = "_fault"


@dataclass(frozen=True, slots=True)
class Row:
    """One line inside a node: a route or a model, with a remark such as its class or its function."""

    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing with a place. *group* is the id of the box it stands in, *shape* the Graphviz shape its author asked for."""

    id: str
    title: str
    kind: NodeKind
    subtitle: str = ""
    rows: tuple[Row, ...] = ()
    badge: str = ""
    responder: bool = False
    group: str = ""
    shape: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow between two nodes; *label* says when it is taken."""

    source: str
    target: str
    kind: EdgeKind = "flow"
    label: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A box around nodes: a function of the graph, or a node of an InferenceGraph."""

    id: str
    title: str
    kind: GroupKind
    note: str = ""


@dataclass(frozen=True, slots=True)
class Diagram:
    """A whole drawing before it has coordinates."""

    title: str
    summary: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: tuple[Group, ...] = ()

    def node(self, node_id: str) -> Node:
        """Return the node with that id; KeyError if there is none."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)
