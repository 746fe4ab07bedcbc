"""Draw a diagram as SVG."""

from __future__ import annotations

from collections.abc import Iterable
from math import hypot
from xml.sax.saxutils import escape, quoteattr

from fnkit.project.plot.curves import Curve, Point
from fnkit.project.plot.diagram import Diagram
from fnkit.project.plot.layout import Layout, Rankdir, Rect, lay_out
from fnkit.project.plot.lettering import cut, width
from fnkit.project.plot.look import (
    EDGE_COLOURS,
    GROUP_SIZE,
    INK,
    LABEL_LINE,
    LABEL_SIZE,
    MONO,
    MUTED,
    PALETTES,
    RESPONDER,
    ROW_LINE,
    ROW_SIZE,
    SANS,
    SUBTITLE_LINE,
    SUBTITLE_SIZE,
    TITLE_LINE,
    TITLE_SIZE,
    Card,
    Palette,
    card,
    group_colours,
    group_title,
    group_width,
    label_lines,
    label_size,
)

_MARGIN, _HEADER, _LEGEND = 28.0, 58.0, 34.0
_ARROW = 8.0


def to_svg(diagram: Diagram, rankdir: Rankdir | None = None) -> str:
    """Return *diagram* as an SVG document; without *rankdir* long graphs run downwards, others to the right."""
    cards = {node.id: card(node) for node in diagram.nodes}
    labels = {edge: label_size(edge.label) for edge in diagram.edges if edge.label}
    titles = {group.id: group_width(group) for group in diagram.groups}
    sizes = {key: (one.width, one.height) for key, one in cards.items()}
    layout = lay_out(diagram, sizes, labels, titles, rankdir or "LR")
    if rankdir is None and layout.width > 1700 and layout.width > 2.2 * layout.height:
        layout = lay_out(diagram, sizes, labels, titles, "TB")
    return _document(diagram, layout, cards)


def _document(diagram: Diagram, layout: Layout, cards: dict[str, Card]) -> str:
    legend = _legend(diagram)
    wide = max(layout.width, width(diagram.title, 17, bold=True), width(diagram.summary, 12), _legend_width(legend))
    total_width = wide + 2 * _MARGIN
    total_height = layout.height + 2 * _MARGIN + _HEADER - 14 + (_LEGEND if legend else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total_width:.0f}" height="{total_height:.0f}"'
        f' viewBox="0 0 {total_width:.0f} {total_height:.0f}" font-family={quoteattr(SANS)} role="img">',
        f"<title>{escape(diagram.title)}</title>",
        f'<rect width="{total_width:.0f}" height="{total_height:.0f}" rx="10" fill="#ffffff"/>',
        _text(diagram.title, _MARGIN, _MARGIN + 13, size=17, bold=True),
        _text(diagram.summary, _MARGIN, _MARGIN + 33, size=12, colour=MUTED),
        f'<g transform="translate({_MARGIN + (wide - layout.width) / 2:.1f} {_MARGIN + _HEADER - 14:.1f})">',
        *_boxes(diagram, layout),
        *(_arrow(curve) for curve in layout.curves),
        *_box_titles(diagram, layout),
        *_labels(layout),
        *(_node(cards[key], rect) for key, rect in layout.nodes.items()),
        "</g>",
        *_legend_parts(legend, total_height - _MARGIN + 4),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _boxes(diagram: Diagram, layout: Layout) -> Iterable[str]:
    colours = group_colours(diagram)
    titles = {group.id: group.title for group in diagram.groups}
    for group_id, rect in layout.boxes:
        box = _rect(rect, 10, Palette(*colours[group_id]), extra=' stroke-width="1.2"')
        yield f'<g class="function"><title>{escape(titles[group_id])}</title>{box}</g>'


def _box_titles(diagram: Diagram, layout: Layout) -> Iterable[str]:
    """Write the boxes' titles over the arrows, each on a patch of its box's colour."""
    colours = group_colours(diagram)
    groups = {group.id: group for group in diagram.groups}
    for group_id, rect in layout.boxes:
        group, (fill, line) = groups[group_id], colours[group_id]
        fits = group_width(group) <= rect.width + 4
        short = group_title(group) if fits else cut(group_title(group), max(6, int((rect.width - 16) / (GROUP_SIZE * 0.66))))
        wide = min(rect.width - 16, group_width(group) - 20)
        yield f'<rect x="{rect.x + 9:.1f}" y="{rect.y + 6:.1f}" width="{wide:.1f}" height="17" rx="4" fill="{fill}"/>'
        yield _box_title(short, group.note if fits else "", rect, line)


def _box_title(title: str, note: str, rect: Rect, line: str) -> str:
    text = _text(title, rect.x + 12, rect.y + 19, size=GROUP_SIZE, bold=True, colour=_darker(line))
    remark = f'<tspan dx="8" font-size="10.5" font-weight="400" fill="{MUTED}">{escape(note)}</tspan>' if note else ""
    return text.replace("</text>", f"{remark}</text>")


def _arrow(curve: Curve) -> str:
    colour = EDGE_COLOURS[curve.edge.kind]
    tip, towards = curve.points[-1], curve.points[-2]
    length = hypot(tip[0] - towards[0], tip[1] - towards[1]) or 1.0
    along = ((tip[0] - towards[0]) / length, (tip[1] - towards[1]) / length)
    base = (tip[0] - along[0] * _ARROW, tip[1] - along[1] * _ARROW)
    dash = ' stroke-dasharray="6 4"' if curve.edge.kind == "error" else ""
    breadth = 1.9 if curve.edge.kind == "cycle" else 1.6
    points = [*curve.points[:-1], base]
    path = f"M{_point(points[0])}" + "".join(
        f" C{_point(points[i])} {_point(points[i + 1])} {_point(points[i + 2])}" for i in range(1, len(points), 3)
    )
    left = (base[0] - along[1] * 4.2, base[1] + along[0] * 4.2)
    right = (base[0] + along[1] * 4.2, base[1] - along[0] * 4.2)
    return (
        f'<g class="{curve.edge.kind}"><title>{escape(f"{curve.edge.source} → {curve.edge.target}")}</title>'
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{breadth}"{dash}/>'
        f'<path d="M{_point(tip)} L{_point(left)} L{_point(right)} Z" fill="{colour}"/></g>'
    )


def _labels(layout: Layout) -> Iterable[str]:
    for edge, rect in layout.labels:
        lines = label_lines(edge.label)
        yield f"<g><title>{escape(edge.label)}</title>"
        yield _rect(rect, 6, Palette("#ffffff", "#cbd5e1"), extra=' stroke-width="1"')
        for number, line in enumerate(lines):
            y = rect.y + 3 + LABEL_LINE * number + LABEL_LINE * 0.76
            yield _text(line, rect.x + rect.width / 2, y, size=LABEL_SIZE, colour="#334155", anchor="middle", mono=True)
        yield "</g>"


def _node(one: Card, rect: Rect) -> str:
    node, palette = one.node, PALETTES[one.node.kind]
    parts = [f'<g class="node {node.kind}"><title>{escape(_tooltip(one))}</title>', _outline(one, rect, palette)]
    if node.kind in ("start", "junction", "fault"):
        parts.append(_text(node.title, *_centre(rect, 4), size=12, bold=True, colour=palette.text, anchor="middle"))
    else:
        parts += _texts(one, rect, palette)
    if node.badge:
        parts += _badge(node.badge, rect, palette)
    if node.responder:
        parts += _responder_mark(rect)
    return "\n".join([*parts, "</g>"])


def _tooltip(one: Card) -> str:
    lines = [one.node.title, one.node.subtitle, *(f"{row.text}  {row.note}" for row in one.node.rows)]
    return "\n".join(line for line in lines if line)


def _outline(one: Card, rect: Rect, palette: Palette) -> str:
    if one.node.kind in ("start", "junction", "fault"):
        dash = ' stroke-dasharray="5 3"' if one.node.kind == "fault" else ""
        return _rect(rect, rect.height / 2, palette, extra=f' stroke-width="1.5"{dash}')
    if one.node.kind == "queue":
        return _cylinder(rect, palette)
    if one.node.responder:
        return _rect(rect, 8, Palette(palette.fill, RESPONDER), extra=' stroke-width="2.4"')
    dash = ' stroke-dasharray="7 3"' if one.node.kind == "remote" else ""
    return _rect(rect, 8, palette, extra=f' stroke-width="1.5"{dash}')


def _cylinder(rect: Rect, palette: Palette) -> str:
    """Draw a lying cylinder: what goes in at one end comes out at the other, in order."""
    bulge, half = 9.0, rect.height / 2
    left, right = rect.x + bulge, rect.x + rect.width - bulge
    body = (
        f"M{left:.1f} {rect.y:.1f} H{right:.1f} A{bulge} {half:.1f} 0 0 1 {right:.1f} {rect.y + rect.height:.1f}"
        f" H{left:.1f} A{bulge} {half:.1f} 0 0 1 {left:.1f} {rect.y:.1f} Z"
    )
    rim = f"M{right:.1f} {rect.y:.1f} A{bulge} {half:.1f} 0 0 0 {right:.1f} {rect.y + rect.height:.1f}"
    style = f'fill="{palette.fill}" stroke="{palette.line}" stroke-width="1.5"'
    return f'<path d="{body}" {style}/><path d="{rim}" {style.replace(palette.fill, "none")}/>'


def _texts(one: Card, rect: Rect, palette: Palette) -> Iterable[str]:
    middle = rect.x + (rect.width - (14 if one.node.kind == "queue" else 0)) / 2
    text_height = len(one.title) * TITLE_LINE + len(one.subtitle) * SUBTITLE_LINE
    y = rect.y + (9 if one.rows else (rect.height - text_height) / 2) + TITLE_LINE * 0.77
    for line in one.title:
        yield _text(line, middle, y, size=TITLE_SIZE, bold=True, colour=palette.text, anchor="middle")
        y += TITLE_LINE
    y -= 1
    for line in one.subtitle:
        yield _text(line, middle, y, size=SUBTITLE_SIZE, colour=MUTED, anchor="middle", mono=True)
        y += SUBTITLE_LINE
    if one.rows:
        yield from _rows(one, rect, palette)


def _rows(one: Card, rect: Rect, palette: Palette) -> Iterable[str]:
    top = rect.y + one.head - 4
    yield f'<path d="M{rect.x:.1f} {top:.1f} h{rect.width:.1f}" stroke="{palette.line}" stroke-opacity="0.35"/>'
    for number, row in enumerate(one.rows):
        y = top + 4 + ROW_LINE * (number + 0.68)
        yield f'<circle cx="{rect.x + 14:.1f}" cy="{y - 4:.1f}" r="2.6" fill="{palette.line}"/>'
        yield _text(row.text, rect.x + 23, y, size=ROW_SIZE)
        if row.note:
            yield _text(row.note, rect.x + rect.width - 11, y, size=10.5, colour=MUTED, anchor="end")


def _badge(badge: str, rect: Rect, palette: Palette) -> Iterable[str]:
    x, y = rect.x + rect.width - 7, rect.y + 6
    wide = max(22.0, width(badge, 12, bold=True) + 12)
    yield (
        f'<rect x="{x - wide / 2:.1f}" y="{y - 11:.1f}" width="{wide:.1f}" height="22" rx="11"'
        f' fill="{palette.line}" stroke="#ffffff" stroke-width="2"/>'
    )
    yield _text(badge, x, y + 4.2, size=12, bold=True, colour="#ffffff", anchor="middle")


def _responder_mark(rect: Rect) -> Iterable[str]:
    """Hang a small green label on the lower edge: this step's output is the answer."""
    wide = width("responds", 10, bold=True) + 14
    x, y = rect.x + rect.width / 2, rect.y + rect.height
    yield f'<rect x="{x - wide / 2:.1f}" y="{y - 8:.1f}" width="{wide:.1f}" height="16" rx="8" fill="{RESPONDER}"/>'
    yield _text("responds", x, y + 3.6, size=10, bold=True, colour="#ffffff", anchor="middle")


Legend = list[tuple[str, str]]


def _legend(diagram: Diagram) -> Legend:
    """Explain the arrows, where there is more than one kind of them."""
    kinds = {edge.kind for edge in diagram.edges}
    words = {"cycle": "cycle", "error": "on error"}
    entries = [(words[kind], kind) for kind in ("cycle", "error") if kind in kinds]
    return [("next step", "flow"), *entries] if entries else []


def _legend_width(legend: Legend) -> float:
    return sum(width(text, 11) + 62 for text, _ in legend)


def _legend_parts(legend: Legend, y: float) -> Iterable[str]:
    x = _MARGIN
    for text, kind in legend:
        dash = ' stroke-dasharray="6 4"' if kind == "error" else ""
        yield f'<path d="M{x:.1f} {y - 4:.1f} h30" stroke="{EDGE_COLOURS[kind]}" stroke-width="1.9"{dash}/>'
        yield _text(text, x + 37, y, size=11, colour=MUTED)
        x += width(text, 11) + 62


def _text(
    text: str,
    x: float,
    y: float,
    *,
    size: float,
    bold: bool = False,
    colour: str = INK,
    anchor: str = "",
    mono: bool = False,
) -> str:
    style = f" font-family={quoteattr(MONO)}" if mono else ""
    style += ' font-weight="600"' if bold else ""
    style += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{style}>{escape(_printable(text))}</text>'


def _printable(text: str) -> str:
    """Leave out what XML cannot hold."""
    return "".join(letter if letter >= " " else " " for letter in text)


def _rect(rect: Rect, radius: float, palette: Palette, *, extra: str = "") -> str:
    return (
        f'<rect x="{rect.x:.1f}" y="{rect.y:.1f}" width="{rect.width:.1f}" height="{rect.height:.1f}"'
        f' rx="{radius:.1f}" fill="{palette.fill}" stroke="{palette.line}"{extra}/>'
    )


def _centre(rect: Rect, drop: float) -> tuple[float, float]:
    return rect.x + rect.width / 2, rect.y + rect.height / 2 + drop


def _point(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def _darker(colour: str) -> str:
    """Return *colour* (`#rrggbb`) at two thirds of its brightness, for text on a light ground."""
    return "#" + "".join(f"{int(int(colour[i : i + 2], 16) * 0.66):02x}" for i in (1, 3, 5))
