"""Write a diagram as Mermaid, which many Markdown viewers draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fnkit.project.plot.diagram import Diagram, Node
from fnkit.project.plot.look import EDGE_COLOURS, PALETTES, RESPONDER, group_colours

_BRACKETS = {
    "start": ("([", "])"),
    "junction": ("{{", "}}"),
    "fault": ("([", "])"),
    "queue": ("[(", ")]"),
    "router": ("[[", "]]"),
    "models": ("[/", "/]"),
    "remote": (">", "]"),
}
_ARROWS = {"flow": "-->", "cycle": "-.->", "error": "-.->"}


def to_mermaid(diagram: Diagram, rankdir: str) -> str:
    """Return *diagram* as Mermaid text. Nodes get short ids (n0, n1, ...), as Mermaid has reserved words."""
    ids = {node.id: f"n{number}" for number, node in enumerate(diagram.nodes)}
    lines = [f"flowchart {rankdir}"]
    lines += [f"  {_node(node, ids)}" for node in diagram.nodes if not node.group]
    for number, group in enumerate(diagram.groups):
        lines.append(f"  subgraph f{number}[{_quote(group.title)}]")
        lines += [f"    {_node(node, ids)}" for node in diagram.nodes if node.group == group.id]
        lines.append("  end")
    for edge in diagram.edges:
        label = f"|{_quote(edge.label)}|" if edge.label else ""
        lines.append(f"  {ids[edge.source]} {_ARROWS[edge.kind]}{label} {ids[edge.target]}")
    lines += [f"  {line}" for line in _styles(diagram, ids)]
    return "\n".join(lines) + "\n"


def _node(node: Node, ids: Mapping[str, str]) -> str:
    opening, closing = _BRACKETS.get(node.kind, ("[", "]"))
    rows = [f"{row.text} ({row.note})" if row.note else row.text for row in node.rows]
    title = f"{node.title} ({node.badge})" if node.badge else node.title
    text = "<br/>".join(_escape(line) for line in (title, *rows))
    return f'{ids[node.id]}{opening}"{text}"{closing}'


def _styles(diagram: Diagram, ids: Mapping[str, str]) -> Iterable[str]:
    for kind, palette in PALETTES.items():
        members = [ids[node.id] for node in diagram.nodes if node.kind == kind]
        if members:
            yield f"classDef {kind}Node fill:{palette.fill},stroke:{palette.line},color:{palette.text}"
            yield f"class {','.join(members)} {kind}Node"
    responders = [ids[node.id] for node in diagram.nodes if node.responder]
    if responders:
        yield f"classDef responderNode stroke:{RESPONDER},stroke-width:3px"
        yield f"class {','.join(responders)} responderNode"
    for way in ("cycle", "error"):
        numbers = [str(number) for number, edge in enumerate(diagram.edges) if edge.kind == way]
        if numbers:
            yield f"linkStyle {','.join(numbers)} stroke:{EDGE_COLOURS[way]},color:{EDGE_COLOURS[way]}"
    colours = group_colours(diagram)
    for number, group in enumerate(diagram.groups):
        fill, line = colours[group.id]
        yield f"style f{number} fill:{fill},stroke:{line}"


def _quote(text: str) -> str:
    return f'"{_escape(text)}"'


def _escape(text: str) -> str:
    """Write what Mermaid would read as markup as entities."""
    for letter, entity in (("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("\n", " ")):
        text = text.replace(letter, entity)
    return text
