"""Walk along a path through decoded JSON, where that is sure to find what a walk through the text finds.

A condition asks only whether a path finds anything, and its document was decoded already when it was checked to be JSON. So the
walk goes through dicts and lists at the interpreter's speed. What needs the text raises `Unsure`, and the text is asked: patterns
with a path behind them, JSON lines, modifiers that write text, strings with brackets in them (gjson looks for a container in
them too).

Values are as `decode` makes them: numbers are floats, whole ones too, for gjson compares float64s.
"""

from __future__ import annotations

from json import loads
from typing import Final

from fnkit.inference_graph.gjson import syntax
from fnkit.inference_graph.gjson.path import (
    Component,
    Expression,
    IndexPart,
    KeyPart,
    Literal,
    Modifier,
    Multipath,
    QueryPart,
    plain_key,
)
from fnkit.inference_graph.gjson.query import NOTHING
from fnkit.inference_graph.gjson.strings import quote
from fnkit.inference_graph.gjson.validity import valid


class Unsure(Exception):
    """Only the text of the document can tell."""


_Object = dict[str, object]
_Outcome = tuple[object, Expression | None]
"""What a walk found, and the pipe that it passed: what stands behind it looks into what was found."""

_MAX_LITERAL: Final = 10_000


def find(expression: Expression | None, value: object) -> object:
    """Return the value that *expression* finds in *value*, `NOTHING` if it finds none. Raises `Unsure`."""
    while expression is not None:
        if isinstance(expression, Modifier):
            value, expression = _modified(expression, value), expression.rest
        elif isinstance(expression, Literal):
            value, expression = _literal(expression.value), expression.rest
        elif isinstance(expression, Multipath):
            value, expression = _selected(expression, value), expression.rest
        elif expression.lines:
            raise Unsure
        else:
            value, expression = _walk(expression.component, value)
    return value


def _modified(modifier: Modifier, value: object) -> object:
    name = modifier.name
    if name == b"this" or (name == b"valid" and value is not NOTHING):
        return value
    if value is NOTHING or modifier.argument:
        raise Unsure
    if name in (b"ugly", b"pretty"):
        return value
    if name == b"values":
        return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
    if name == b"keys" and isinstance(value, dict):
        return list(value)
    if name == b"reverse":
        return value[::-1] if isinstance(value, list) else dict(reversed(value.items())) if isinstance(value, dict) else value
    if name == b"flatten":
        return _flat(value) if isinstance(value, list) else value
    if name == b"join":
        return _joined(value) if isinstance(value, list) else value
    raise Unsure


def _joined(items: list[object]) -> _Object:
    joined: _Object = {}
    for item in items:
        if isinstance(item, dict):
            joined.update(item)
    return joined


def _flat(items: list[object]) -> list[object]:
    flat: list[object] = []
    for item in items:
        if isinstance(item, list):
            flat += item
        else:
            flat.append(item)
    return flat


def _literal(text: bytes) -> object:
    if len(text) > _MAX_LITERAL or not valid(text):
        raise Unsure
    return loads(text, parse_int=float)


def _selected(multipath: Multipath, value: object) -> object:
    if multipath.opening == b"[":
        found = [find(selector.expression, value) for selector in multipath.selectors]
        return [item for item in found if item is not NOTHING]
    members: _Object = {}
    for selector in multipath.selectors:
        item = find(selector.expression, value)
        if item is NOTHING:
            continue
        name = selector.name
        if name[:1] != b'"' or not valid(name):
            name = quote(name or syntax.default_name(selector.path))
        key = loads(name)
        if key in members:
            raise Unsure
        members[key] = item
    return members


def _walk(component: Component, value: object) -> _Outcome:
    """Follow *component* into *value*. No key stands twice in an object, so no part can match again after it led nowhere."""
    pipe: Expression | None = None
    if not isinstance(value, dict | list):
        if isinstance(value, str) and ("{" in value or "[" in value):
            raise Unsure
        return NOTHING, None
    while True:
        part: KeyPart | IndexPart
        if isinstance(value, dict):
            part = component.on_object()
            pipe = part.pipe or pipe
            if part.matches is not None:
                return _by_pattern(part, value), pipe
            found = value.get(part.name, NOTHING)
        else:
            part = component.on_array()
            pipe = part.pipe or pipe
            if part.query is not None:
                return _query(part.query, value, pipe)
            if part.each is not None:
                return _find_in_each(part.each.expression, value), part.each.pipe or pipe
            if part.count:
                return float(len(value)), pipe
            found = value[part.index] if 0 <= part.index < len(value) else NOTHING
        if part.rest is None or found is NOTHING:
            return found, pipe
        if not isinstance(found, dict | list):
            return NOTHING, pipe
        value, component = found, part.rest


def _by_pattern(part: KeyPart, value: _Object) -> object:
    matches = part.matches
    if part.rest is not None or matches is None:
        raise Unsure
    return next((item for name, item in value.items() if matches(name.encode())), NOTHING)


def _find_in_each(expression: Expression, elements: list[object]) -> list[object]:
    """Return what *expression* finds in the elements; those in which it finds nothing are left out."""
    part = plain_key(expression)
    if part is None:
        found = [find(expression, element) for element in elements]
    else:
        key = part.name
        found = [e.get(key, NOTHING) if type(e) is dict else find(expression, e) for e in elements]
    return [item for item in found if item is not NOTHING]


def _query(query: QueryPart, elements: list[object], pipe: Expression | None) -> _Outcome:
    """Test the elements; return the first that fulfils the comparison, or the list of all."""
    matched = _matching(query, elements)
    if query.rest is None:
        return matched if query.every else matched[0] if matched else NOTHING, pipe
    if matched and query.rest_pipe is not None:
        pipe = query.rest_pipe
    if not query.every:
        return find(query.rest, matched[0]) if matched else NOTHING, pipe
    return _find_in_each(query.rest, matched), pipe


def _matching(query: QueryPart, elements: list[object]) -> list[object]:
    """Return the elements that fulfil the comparison, only the first unless the query wants all."""
    tests, left = query.comparison.decoded_tests, query.left
    key = query.plain_key.name if query.plain_key is not None else None
    matched = []
    for element in elements:
        kind = type(element)
        value = element
        if kind is dict:
            value = element.get(key, NOTHING) if key is not None else find(left, element)  # type: ignore[attr-defined]  # a dict
        elif kind is list:
            value = find(left, element)
        elif query.left_text:
            continue
        if tests[type(value)](value):
            matched.append(element)
            if not query.every:
                break
    return matched
