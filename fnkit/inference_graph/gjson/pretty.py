"""Lay a JSON text out for people, as gjson's `@pretty` does.

Every member of an object has a line of its own. An array without objects that fits the rest of its line stays on it. The
text is read into a tree and the tree is written, both with a stack of their own: depth costs memory, not recursion, and the
width of every array is known before it is written, so the work is linear in what is written. The bytes of strings and
numbers are not touched. Because the margin grows with every level, what is written grows with the square of the depth: a text
of more than 4,000 levels is left as it is (gjson would fill the memory with it). A text that is not JSON is laid out as far
as it can be read; only there may the bytes differ from those of gjson.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z))|([{\[])|([}\]])|([0-9\-][^\x00-\x20,:\]}]*+)|([tfn])', re.S)
_WORDS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_ENDLESS = 1 << 62
_DEEPEST = 4_000


class _TooDeep(Exception):
    """The text has more levels than are laid out."""


@dataclass(slots=True)
class _Node:
    """A container while it is read: its items with their keys, its width on one line, the key that waits for a value."""

    opening: bytes
    items: list[tuple[bytes, bytes | _Node]] = field(default_factory=list)
    width: int = 2
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class _Style:
    width: int
    prefix: bytes
    indent: bytes
    sort_keys: bool


def pretty(text: bytes, *, width: int, prefix: bytes, indent: bytes, sort_keys: bool) -> bytes:
    """Return *text* laid out for lines of *width* bytes, each behind *prefix*, indented by *indent* a level."""
    try:
        tree = _read(text)
    except _TooDeep:
        return text
    out = [prefix] if prefix else []
    if isinstance(tree, _Node):
        _write(tree, _Style(width, prefix, indent, sort_keys), out)
    elif tree is not None:
        out.append(tree)
    return b"".join(out) + b"\n" if out else b""


def _read(text: bytes) -> bytes | _Node | None:
    """Read the first value of *text*: a scalar's bytes or a tree; containers that are never closed end with the text."""
    open_nodes: list[_Node] = []
    position = 0
    while found := _TOKEN.search(text, position):
        position = found.end()
        item: bytes | _Node = found[0]
        if found.lastindex == 3:
            if not open_nodes:
                continue
            item = open_nodes.pop()
        elif found.lastindex == 2:
            if len(open_nodes) == _DEEPEST:
                raise _TooDeep
            open_nodes.append(_Node(found[0]))
            continue
        elif found.lastindex == 1 and open_nodes and open_nodes[-1].opening == b"{" and not open_nodes[-1].key:
            open_nodes[-1].key = found[0]
            continue
        elif found.lastindex == 5:
            item = _WORDS[found[0]]
            position = found.start() + len(item)
        if not open_nodes:
            return item
        _add(open_nodes[-1], item)
    while len(open_nodes) > 1:
        item = open_nodes.pop()
        _add(open_nodes[-1], item)
    return open_nodes[0] if open_nodes else None


def _add(parent: _Node, item: bytes | _Node) -> None:
    width = len(item) if isinstance(item, bytes) else item.width if item.opening == b"[" else _ENDLESS
    parent.width += width + (2 if parent.items else 0)
    parent.items.append((parent.key if parent.opening == b"{" else b"", item))
    parent.key = b""


def _write(tree: _Node, style: _Style, out: list[bytes]) -> None:
    """Append the lines of *tree*; `waiting` holds the containers that are open, with what of them is still to be written."""
    waiting = [_open(tree, style, len(style.prefix), out)]
    while waiting:
        node, items, first = waiting[-1]
        margin = style.prefix + style.indent * len(waiting)
        if not items:
            waiting.pop()
            if node.items:
                out.append(b"\n" + margin[: len(margin) - len(style.indent)])
            out.append(b"}" if node.opening == b"{" else b"]")
            continue
        key, item = items.pop()
        out.append((b"\n" if first else b",\n") + margin + (key + b": " if node.opening == b"{" else b""))
        waiting[-1] = (node, items, False)
        if isinstance(item, bytes):
            out.append(item)
            continue
        # the newline counts as a column, unless it took the place of the space behind a comma
        column = len(margin) + (len(key) + 3 if node.opening == b"{" else int(first))
        if item.opening == b"[" and _fits(item, style, column):
            out.append(_on_one_line(item))
        else:
            waiting.append(_open(item, style, column, out))


_Open = tuple[_Node, list[tuple[bytes, "bytes | _Node"]], bool]


def _open(node: _Node, style: _Style, column: int, out: list[bytes]) -> _Open:
    if node.opening == b"[" and _fits(node, style, column):
        out.append(_on_one_line(node)[:-1])
        return _Node(node.opening), [], True
    out.append(node.opening)
    items = sorted(node.items, key=lambda item: item[0][1:-1]) if style.sort_keys and node.opening == b"{" else node.items
    return node, items[::-1], True


def _fits(node: _Node, style: _Style, column: int) -> bool:
    room = style.width - column
    return style.width > 0 and room > 3 and node.width <= room


def _on_one_line(node: _Node) -> bytes:
    """Return an array without objects on one line; it is never wider than the line, so never deep."""
    pieces = (item if isinstance(item, bytes) else _on_one_line(item) for _, item in node.items)
    return b"[" + b", ".join(pieces) + b"]"
