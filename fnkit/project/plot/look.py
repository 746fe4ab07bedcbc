"""What each kind of node looks like: its colours, its lines of text, and so its size."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.project.plot.diagram import Diagram, Group, Node, NodeKind, Row
from fnkit.project.plot.lettering import cut, width, wrap

SANS = "Inter, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
INK, MUTED = "#1e293b", "#64748b"
EDGE_COLOURS = {"flow": "#475569", "cycle": "#7c3aed", "error": "#dc2626"}
RESPONDER = "#059669"

TITLE_SIZE, SUBTITLE_SIZE, ROW_SIZE, LABEL_SIZE, GROUP_SIZE = 13.5, 11.0, 11.5, 11.0, 12.0
TITLE_LINE, SUBTITLE_LINE, ROW_LINE, LABEL_LINE = 17.0, 15.0, 20.0, 15.0
_ROWS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Palette:
    """Fill, outline and text colour of a node."""

    fill: str
    line: str
    text: str = INK


PALETTES: dict[NodeKind, Palette] = {
    "start": Palette("#1e293b", "#1e293b", "#ffffff"),
    "end": Palette("#ffffff", RESPONDER),
    "task": Palette("#ffffff", "#64748b"),
    "ready": Palette("#f8fafc", "#94a3b8"),
    "queue": Palette("#fef3c7", "#b45309"),
    "router": Palette("#eef2ff", "#4f46e5"),
    "models": Palette("#faf5ff", "#9333ea"),
    "remote": Palette("#ecfeff", "#0e7490"),
    "error": Palette("#fef2f2", "#dc2626"),
    "fault": Palette("#fff7f7", "#dc2626", "#b91c1c"),
    "junction": Palette("#eef2ff", "#4f46e5", "#3730a3"),
}

# Fill and outline of the boxes around functions, in turn; the entry function always has the first.
GROUP_COLOURS = (
    ("#f1f5f9", "#94a3b8"),
    ("#e0f2fe", "#38a3d8"),
    ("#dcfce7", "#4ab06f"),
    ("#fef9c3", "#cfa51b"),
    ("#fce7f3", "#d9689f"),
    ("#ede9fe", "#9b82e0"),
    ("#ffedd5", "#e08a45"),
    ("#ccfbf1", "#3bb3a3"),
)


@dataclass(frozen=True, slots=True)
class Card:
    """A node as lines of text, and its size in pixels."""

    node: Node
    title: tuple[str, ...]
    subtitle: tuple[str, ...]
    rows: tuple[Row, ...]
    width: float
    height: float

    @property
    def head(self) -> float:
        """The height above the rows."""
        return 18 + len(self.title) * TITLE_LINE + len(self.subtitle) * SUBTITLE_LINE


def card(node: Node) -> Card:
    """Return *node* with its texts broken into lines and measured."""
    if node.kind in ("start", "junction", "fault"):
        return Card(node, (node.title,), (), (), width(node.title, 12, bold=True) + 28, 30)
    title = wrap(node.title, 24, 3)
    subtitle = wrap(node.subtitle, 30, 2) if node.subtitle else ()
    rows = _rows(node)
    inner = max(
        [width(line, TITLE_SIZE, bold=True) for line in title]
        + [width(line, SUBTITLE_SIZE, mono=True) for line in subtitle]
        + [width(row.text, ROW_SIZE) + (width(row.note, 10.5) + 18 if row.note else 0) for row in rows]
        + [68.0]
    )
    extra = 30 if node.kind in ("queue", "models") else 0
    height = 18 + len(title) * TITLE_LINE + len(subtitle) * SUBTITLE_LINE + (len(rows) * ROW_LINE + 8 if rows else 0)
    return Card(node, title, subtitle, rows, inner + 32 + extra, max(height, 42.0))


def _rows(node: Node) -> tuple[Row, ...]:
    rows = tuple(Row(cut(row.text, 32), cut(row.note, 24)) for row in node.rows)
    if len(rows) <= _ROWS_SHOWN:
        return rows
    return (*rows[: _ROWS_SHOWN - 1], Row(f"+ {len(rows) - _ROWS_SHOWN + 1} more"))


def label_lines(text: str) -> tuple[str, ...]:
    """Break the label of an arrow into lines."""
    return wrap(text, 34, 3)


def label_size(text: str) -> tuple[float, float]:
    """Return width and height of an arrow's label with its margins."""
    lines = label_lines(text)
    return max(width(line, LABEL_SIZE, mono=True) for line in lines) + 12, len(lines) * LABEL_LINE + 6


def group_title(group: Group) -> str:
    """Return the title of a box; its note follows in another colour."""
    return cut(group.title, 40)


def group_width(group: Group) -> float:
    """Return the width of a box's title with its note and margins."""
    note = width(group.note, 10.5) + 10 if group.note else 0
    return width(group_title(group), GROUP_SIZE, bold=True) + note + 28


def group_colours(diagram: Diagram) -> dict[str, tuple[str, str]]:
    """Map each group to fill and outline."""
    colours, others = {}, GROUP_COLOURS[1:]
    coloured = [group for group in diagram.groups if group.kind != "entry"]
    for group in diagram.groups:
        colours[group.id] = GROUP_COLOURS[0] if group.kind == "entry" else others[coloured.index(group) % len(others)]
    return colours
