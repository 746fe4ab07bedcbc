"""The modifiers: functions from a text and an argument to a text."""

from __future__ import annotations

import re
from collections.abc import Callable

from fnkit.inference_graph.gjson.deep import all_members, flattened
from fnkit.inference_graph.gjson.numbers import format_plain, parse_float
from fnkit.inference_graph.gjson.pretty import pretty
from fnkit.inference_graph.gjson.scan import FALSE, JSON, NULL, NUMBER, STRING, TRUE, Value, children, parse
from fnkit.inference_graph.gjson.strings import quote, text_of
from fnkit.inference_graph.gjson.validity import valid

Transform = Callable[[bytes, bytes], bytes]

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_NO_BLANKS = re.compile(rb'(?:[^"\x00-\x20]++|' + _STRING + rb")++", re.S)
_PORTION = re.compile(rb'(?:[^"]{1,4096}+|' + _STRING + rb"){1,4096}+", re.S)
_SPACES = bytes(range(0x21))


def as_text(value: Value) -> bytes:
    """Return a value as text: a string without quotes, a number without exponent, nothing for null."""
    kind, raw = value
    if kind == STRING:
        return text_of(raw)
    if kind == NUMBER:
        digits = raw[1:] if raw[:1] == b"-" else raw
        if not digits or digits.isdigit():
            return raw
        return format_plain(parse_float(raw.decode("latin-1"))).encode()
    return {JSON: raw, TRUE: b"true", FALSE: b"false"}.get(kind, b"")


def as_bool(value: Value) -> bool:
    """Return a value as a truth value: true, numbers but 0, and the texts `1`, `t`, `true`."""
    kind, raw = value
    if kind == STRING:
        return text_of(raw).lower() in (b"1", b"t", b"true")
    return kind == TRUE or (kind == NUMBER and parse_float(raw.decode("latin-1")) != 0)


def options(argument: bytes) -> list[tuple[bytes, Value]]:
    """Return the members of a modifier's argument as (key, value) pairs; whatever is no object has none with a key."""
    value = parse(argument)
    if value is None:
        return []
    return [(text_of(key) if key else b"", item) for key, item in children(value)]


def _option_is_set(argument: bytes, name: bytes) -> bool:
    chosen = [as_bool(value) for key, value in options(argument) if key == name]
    return bool(chosen) and chosen[-1]


def _this(text: bytes, _argument: bytes) -> bytes:
    return text


def _valid(text: bytes, _argument: bytes) -> bytes:
    return text if valid(text) else b""


def _ugly(text: bytes, _argument: bytes) -> bytes:
    pieces: list[bytes] = []
    position = 0
    while (portion := _PORTION.match(text, position)) is not None:  # other threads run between the portions of a large text
        pieces += _NO_BLANKS.findall(text, position, portion.end())
        position = portion.end()
    return b"".join(pieces)


def _pretty(text: bytes, argument: bytes) -> bytes:
    style = {key.decode("latin-1"): value for key, value in options(argument)}
    sort_keys = as_bool(style["sortKeys"]) if "sortKeys" in style else False
    indent = _only_spaces(as_text(style["indent"])) if "indent" in style else b"  "
    prefix = _only_spaces(as_text(style["prefix"])) if "prefix" in style else b""
    width = _as_int(style["width"]) if "width" in style else 80
    return pretty(text, width=width, prefix=prefix, indent=indent, sort_keys=sort_keys)


def _only_spaces(text: bytes) -> bytes:
    return re.sub(rb"[^ \t\n\r]+", b"", text)


def _as_int(value: Value) -> int:
    kind, raw = value
    if kind == TRUE:
        return 1
    text = text_of(raw) if kind == STRING else raw if kind == NUMBER else b""
    found = re.fullmatch(rb"-?\d{1,18}", text)
    if found:
        return int(text)
    number = parse_float(text.decode("latin-1")) if kind == NUMBER else 0.0
    return int(number) if abs(number) < 1 << 62 else 0


def _reverse(text: bytes, _argument: bytes) -> bytes:
    value = parse(text)
    if value is None or value[0] != JSON:
        return text
    items = list(children(value))[::-1]
    if value[1][:1] == b"[":
        return b"[" + b",".join(item[1] for _, item in items) + b"]"
    return b"{" + b",".join(key + b":" + item[1] for key, item in items) + b"}"


def _flatten(text: bytes, argument: bytes) -> bytes:
    value = parse(text)
    if value is None or not _is_array(value):
        return text
    deep = _option_is_set(argument, b"deep")
    if deep and valid(text):
        return flattened(value[1])
    pieces = []
    waiting = [children(value)]
    while waiting:
        for _, item in waiting[-1]:
            if deep and _is_array(item):
                waiting.append(children(item))
                break
            piece = _unwrap(item[1]) if _is_array(item) else item[1]
            if piece := piece.strip():
                pieces.append(piece)
        else:
            waiting.pop()
    return b"[" + b",".join(pieces) + b"]"


def _is_array(value: Value) -> bool:
    return value[0] == JSON and value[1][:1] == b"["


def _unwrap(text: bytes) -> bytes:
    text = text.strip(_SPACES)
    return text[1:-1] if len(text) >= 2 and text[:1] in (b"[", b"{") else text


def _keys(text: bytes, _argument: bytes) -> bytes:
    value = parse(text)
    if value is None:
        return b"[]"
    return b"[" + b",".join(key or b"null" for key, _ in children(value)) + b"]"


def _values(text: bytes, _argument: bytes) -> bytes:
    value = parse(text)
    if value is None:
        return b"[]"
    if _is_array(value):
        return text
    return b"[" + b",".join(item[1] for _, item in children(value)) + b"]"


def _join(text: bytes, argument: bytes) -> bytes:
    value = parse(text)
    if value is None or not _is_array(value):
        return text
    objects = [item for _, item in children(value) if item[0] == JSON and item[1][:1] == b"{"]
    if _option_is_set(argument, b"preserve"):
        return b"{" + b",".join(_unwrap(item[1]) for item in objects) + b"}"
    members: dict[bytes, tuple[bytes, bytes]] = {}
    for item in objects:
        for key, member in children(item):
            name = text_of(key)
            members[name] = (members[name][0] if name in members else key, member[1])
    return b"{" + b",".join(key + b":" + raw for key, raw in members.values()) + b"}"


def _tostr(text: bytes, _argument: bytes) -> bytes:
    return quote(text)


def _fromstr(text: bytes, _argument: bytes) -> bytes:
    value = parse(text) if valid(text) else None
    return as_text(value) if value is not None else b""


def _group(text: bytes, _argument: bytes) -> bytes:
    value = parse(text)
    if value is None or value[0] != JSON or value[1][:1] != b"{":
        return b""
    groups: list[list[bytes]] = []
    for key, item in children(value):
        if not _is_array(item):
            continue
        for index, (_, element) in enumerate(children(item)):
            if index == len(groups):
                groups.append([])
            groups[index].append(key + b":" + element[1])
    return b"[" + b",".join(b"{" + b",".join(group) + b"}" for group in groups) + b"]"


def dig(text: bytes, find: Callable[[bytes], Value | None], key: bytes | None) -> bytes:
    """Return the list of what *find* finds in *text* and, in document order, in everything inside it.

    *key* is set if it finds the member with this key of objects, and nothing else.
    """
    if key is not None and (members := all_members(text, key)) is not None:
        return members
    pieces = []
    waiting = [iter([(b"", parse(text) or (NULL, b""))])]
    while waiting:
        for _, item in waiting[-1]:
            if (found := find(item[1])) is not None:
                pieces.append(found[1])
            if item[0] == JSON:
                waiting.append(children(item))
                break
        else:
            waiting.pop()
    return b"[" + b",".join(pieces) + b"]"


TRANSFORMS: dict[bytes, Transform] = {
    b"flatten": _flatten,
    b"fromstr": _fromstr,
    b"group": _group,
    b"join": _join,
    b"keys": _keys,
    b"pretty": _pretty,
    b"reverse": _reverse,
    b"this": _this,
    b"tostr": _tostr,
    b"ugly": _ugly,
    b"valid": _valid,
    b"values": _values,
}
"""The modifiers by name; `dig`, which needs a path to be evaluated, is a function of its own."""
