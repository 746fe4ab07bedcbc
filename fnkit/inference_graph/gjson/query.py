"""Compare a value with the right side of a query.

The JSON type of the value that was found decides how it is compared, never the way the right side was written: `10`, `"10"`
and `'10'` differ in nothing but the single quotes, which belong to the text.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Final

from fnkit.inference_graph.gjson.glob import matcher, text_matcher
from fnkit.inference_graph.gjson.numbers import parse_float
from fnkit.inference_graph.gjson.scan import FALSE, NULL, NUMBER, STRING, TRUE, Value
from fnkit.inference_graph.gjson.strings import text_of

Test = Callable[[Value | None], bool]
DecodedTests = dict[type, Callable[..., bool]]
"""The test of decoded values by their type: float, str, bool, None, dict, list, and that of `NOTHING`."""

NOTHING: Final = object()
"""What a path finds in decoded JSON when it finds nothing: None is null there."""

_ORDERS: dict[bytes, Callable[..., bool]] = {  # bytes with bytes or float with float
    b"=": operator.eq,
    b"!=": operator.ne,
    b"<": operator.lt,
    b"<=": operator.le,
    b">": operator.gt,
    b">=": operator.ge,
}
_SWAPPED = {b"=": "__eq__", b"!=": "__ne__", b"<": "__gt__", b"<=": "__ge__", b">": "__lt__", b">=": "__le__"}
"""The methods of the right side that compare it with the left: called directly, once for every element of an array."""
_TRUE_TEXTS = frozenset((b"1", b"t", b"true"))
_FALSE_TEXTS = frozenset((b"0", b"f", b"false"))


def _never(_value: object) -> bool:
    return False


def _always(_value: object) -> bool:
    return True


_DECODED_TYPES = (float, str, bool, NoneType, dict, list)
_DECODED_NEVER: DecodedTests = dict.fromkeys((*_DECODED_TYPES, object), _never)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The operator and the right side of a query, and the *test* they make of a value (None: nothing was found).

    *decoded_tests* are the same for values of decoded JSON.
    """

    operator: bytes
    right: bytes
    test: Test
    decoded_tests: DecodedTests


def compare(operator_text: bytes, right: bytes) -> Comparison:
    """Compile a comparison. An empty *operator_text* asks only whether there is a value."""
    if right[:1] == b"~":
        word = right[1:]
        return Comparison(operator_text, right, _tilde(operator_text, word), _decoded_tilde(operator_text, word))
    return Comparison(operator_text, right, _typed(operator_text, right), _decoded_typed(operator_text, right))


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


def _decoded_typed(operator_text: bytes, right: bytes) -> DecodedTests:
    if not operator_text:
        return _DECODED_NEVER | dict.fromkeys(_DECODED_TYPES, _always)
    number = parse_float(right.decode("utf-8", "replace"))
    on_true, on_false = _on_true(operator_text, right), _on_false(operator_text, right)
    return _DECODED_NEVER | {
        float: getattr(number, _SWAPPED[operator_text]) if operator_text in _SWAPPED else _never,
        str: _on_characters(operator_text, right),
        bool: lambda value: on_true if value else on_false,
    }


def _on_characters(operator_text: bytes, right: bytes) -> Callable[[str], bool]:
    """Return the test of a string. The order of characters is that of their UTF-8."""
    if operator_text in (b"%", b"!%"):
        matches = text_matcher(right)
        return matches if operator_text == b"%" else lambda text: not matches(text)
    characters = right.decode("utf-8", "surrogateescape")
    test: Callable[[str], bool] = getattr(characters, _SWAPPED[operator_text]) if operator_text in _SWAPPED else _never
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


def _decoded_tilde(operator_text: bytes, word: bytes) -> DecodedTests:
    predicate = _DECODED_PREDICATES.get(word)
    if predicate is None:
        return _DECODED_NEVER
    if not operator_text:
        return dict.fromkeys(_DECODED_NEVER, _always)
    when_true, when_false = _on_true(operator_text, b"true"), _on_false(operator_text, b"true")
    return dict.fromkeys(_DECODED_NEVER, lambda value: when_true if predicate(value) else when_false)


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


def _decoded_is_true(value: object) -> bool:
    if isinstance(value, str):
        return value.lower().encode() in _TRUE_TEXTS
    return value is True or (isinstance(value, float) and value != 0)


def _decoded_is_false(value: object) -> bool:
    if isinstance(value, str):
        return value.lower().encode() in _FALSE_TEXTS
    return value is None or value is False or value is NOTHING or (isinstance(value, float) and value == 0)


_DECODED_PREDICATES: dict[bytes, Callable[[object], bool]] = {
    b"*": lambda value: value is not NOTHING,
    b"null": lambda value: value is None or value is NOTHING,
    b"true": _decoded_is_true,
    b"false": _decoded_is_false,
}
