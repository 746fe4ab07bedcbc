"""Compare a value with the right side of a query.

The JSON type of the value that was found decides how it is compared, never the way the right side was written: `10`, `"10"`
and `'10'` differ in nothing but the single quotes, which belong to the text.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

from fnkit.inference_graph.gjson.glob import matcher
from fnkit.inference_graph.gjson.numbers import parse_float
from fnkit.inference_graph.gjson.scan import FALSE, NULL, NUMBER, STRING, TRUE, Value
from fnkit.inference_graph.gjson.strings import text_of

Test = Callable[[Value | None], bool]

_ORDERS: dict[bytes, Callable[..., bool]] = {  # bytes with bytes or float with float
    b"=": operator.eq,
    b"!=": operator.ne,
    b"<": operator.lt,
    b"<=": operator.le,
    b">": operator.gt,
    b">=": operator.ge,
}
_TRUE_TEXTS = frozenset((b"1", b"t", b"true"))
_FALSE_TEXTS = frozenset((b"0", b"f", b"false"))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The operator and the right side of a query, and the *test* they make of a value (None: nothing was found)."""

    operator: bytes
    right: bytes
    test: Test


def compare(operator_text: bytes, right: bytes) -> Comparison:
    """Compile a comparison. An empty *operator_text* asks only whether there is a value."""
    if right[:1] == b"~":
        return Comparison(operator_text, right, _tilde(operator_text, right[1:]))
    return Comparison(operator_text, right, _typed(operator_text, right))


def _typed(operator_text: bytes, right: bytes) -> Test:
    """Return the test that compares as the type of the value wants it; null, objects and arrays compare with nothing."""
    if not operator_text:
        return lambda value: value is not None
    on_string = _on_string(operator_text, right)
    on_true = _on_true(operator_text, right)
    on_false = _on_false(operator_text, right)
    order = _ORDERS.get(operator_text)
    number = parse_float(right.decode("utf-8", "replace"))

    def test(value: Value | None) -> bool:
        if value is None:
            return False
        kind, raw = value
        if kind == STRING:
            return on_string(text_of(raw))
        if kind == NUMBER:
            return order is not None and order(parse_float(raw.decode("latin-1")), number)
        return on_true if kind == TRUE else on_false if kind == FALSE else False

    return test


def _on_string(operator_text: bytes, right: bytes) -> Callable[[bytes], bool]:
    if operator_text == b"%":
        return matcher(right)
    if operator_text == b"!%":
        matches = matcher(right)
        return lambda text: not matches(text)
    order = _ORDERS.get(operator_text)
    return (lambda text: order(text, right)) if order else lambda _text: False


def _on_true(operator_text: bytes, right: bytes) -> bool:
    verdicts = {b"=": right == b"true", b"!=": right != b"true", b">": right == b"false", b">=": True}
    return verdicts.get(operator_text, False)


def _on_false(operator_text: bytes, right: bytes) -> bool:
    verdicts = {b"=": right == b"false", b"!=": right != b"false", b"<": right == b"true", b"<=": True}
    return verdicts.get(operator_text, False)


def _tilde(operator_text: bytes, word: bytes) -> Test:
    """Return the test for `~true`, `~false`, `~null` and `~*`: the value becomes a boolean, which is compared with true.

    Any other word matches nothing, not even with `!=`.
    """
    predicate = _PREDICATES.get(word)
    if predicate is None:
        return lambda _value: False
    if not operator_text:
        return lambda _value: True
    when_true, when_false = _on_true(operator_text, b"true"), _on_false(operator_text, b"true")
    return lambda value: when_true if predicate(value) else when_false


def _is_true(value: Value | None) -> bool:
    if value is None:
        return False
    kind, raw = value
    if kind == STRING:
        return text_of(raw).lower() in _TRUE_TEXTS
    return kind == TRUE or (kind == NUMBER and parse_float(raw.decode("latin-1")) != 0)


def _is_false(value: Value | None) -> bool:
    if value is None:
        return True
    kind, raw = value
    if kind == STRING:
        return text_of(raw).lower() in _FALSE_TEXTS
    return kind in (FALSE, NULL) or (kind == NUMBER and parse_float(raw.decode("latin-1")) == 0)


_PREDICATES: dict[bytes, Callable[[Value | None], bool]] = {
    b"*": lambda value: value is not None,
    b"null": lambda value: value is None or value[0] == NULL,
    b"true": _is_true,
    b"false": _is_false,
}
