"""Evaluate a path on a text."""

from __future__ import annotations

from fnkit.inference_graph.gjson import modifiers, syntax
from fnkit.inference_graph.gjson.path import Expression, Literal, Modifier, Multipath, plain_key
from fnkit.inference_graph.gjson.scan import JSON, Value, parse
from fnkit.inference_graph.gjson.search import Walk
from fnkit.inference_graph.gjson.strings import quote
from fnkit.inference_graph.gjson.validity import valid


def evaluate(expression: Expression, text: bytes) -> Value | None:
    """Return the value that *expression* finds in *text*, None if it finds nothing."""
    while True:
        following: Expression | None
        if isinstance(expression, Modifier):
            text = apply_modifier(expression, text)
            following = expression.rest
            if following is None:
                return parse(text)
        elif isinstance(expression, Literal):
            text, following = expression.value, expression.rest
            if following is None:
                return parse(text)
        elif isinstance(expression, Multipath):
            text, following = select(expression, text), expression.rest
            if following is None:
                return JSON, text
        else:
            walk = Walk(text, evaluate)
            walk.run(expression.component, lines=expression.lines)
            following = walk.pipe
            if following is None:
                return walk.value
            text = walk.value[1] if walk.value is not None else b""
        expression = following


def apply_modifier(modifier: Modifier, text: bytes) -> bytes:
    """Return what the modifier makes of *text*."""
    wanted = modifier.wanted
    if wanted is not None:
        part = plain_key(wanted)
        return modifiers.dig(text, lambda element: evaluate(wanted, element), part.key if part is not None else None)
    return modifiers.TRANSFORMS[modifier.name](text, modifier.argument)


def select(multipath: Multipath, text: bytes) -> bytes:
    """Return the array or object that the multipath makes of *text*: its paths that find something."""
    pieces = []
    for selector in multipath.selectors:
        value = evaluate(selector.expression, text)
        if value is None:
            continue
        if multipath.opening == b"[":
            pieces.append(value[1])
        elif selector.name[:1] == b'"' and valid(selector.name):
            pieces.append(selector.name + b":" + value[1])
        else:
            name = selector.name or syntax.default_name(selector.path)
            pieces.append(quote(name) + b":" + value[1])
    return multipath.opening + b",".join(pieces) + (b"]" if multipath.opening == b"[" else b"}")
