"""Decide whether a text is JSON.

The interpreter's own JSON scanner does the work where it agrees with RFC 8259; what it cannot do (very deep nesting, integers
of thousands of digits) is checked by an automaton with a stack of its own.
"""

from __future__ import annotations

import re
from json import JSONDecodeError, JSONDecoder
from json.scanner import make_scanner


class _NotJson(Exception):
    """NaN and the infinities, which the interpreter's scanner would let pass."""


def _refuse(_name: str) -> object:
    raise _NotJson


_SCAN = make_scanner(JSONDecoder(parse_constant=_refuse))  # type: ignore[arg-type]  # typeshed wants a scanner where a decoder goes
_SPACES = " \t\n\r"
_SCALAR = re.compile(
    rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
    rb"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null"
)
_STRING_AND_COLON = re.compile(
    rb'[ \t\n\r]*+"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"[ \t\n\r]*+:'
)
_SPACE = re.compile(rb"[ \t\n\r]*+")


def valid(document: bytes) -> bool:
    """Tell whether *document* is one JSON value as RFC 8259 has it. UTF-8 is not checked, the depth is not limited."""
    text = document.decode("latin-1")  # one character a byte: what is in strings does not matter
    start = len(text) - len(text.lstrip(_SPACES))
    try:
        _, end = _SCAN(text, start)
    except (StopIteration, JSONDecodeError, _NotJson):
        return False
    except (RecursionError, ValueError):  # ValueError: an integer longer than int() takes
        return _valid_at_any_depth(document)
    return end == len(text) or not text[end:].strip(_SPACES)


def _valid_at_any_depth(document: bytes) -> bool:
    """Check *document* value by value; `closers` are the brackets that are still to come."""
    closers: list[int] = []
    position = 0
    while True:
        position = _skip(document, position)
        opening = document[position : position + 1]
        if opening in (b"{", b"["):
            after = _skip(document, position + 1)
            closer = 0x7D if opening == b"{" else 0x5D
            if document[after : after + 1] != bytes((closer,)):
                closers.append(closer)
                position = _after_key(document, position + 1, closer)
                if position < 0:
                    return False
                continue
            position = after + 1
        elif found := _SCALAR.match(document, position):
            position = found.end()
        else:
            return False
        position = _after_value(document, position, closers)
        if position < 0:
            return False
        if not closers:
            return position == len(document)


def _after_value(document: bytes, position: int, closers: list[int]) -> int:
    """Close what ends here and step over a comma; -1 if something else stands there."""
    while True:
        position = _skip(document, position)
        if not closers:
            return position
        mark = document[position] if position < len(document) else 0
        if mark == 0x2C:
            return _after_key(document, position + 1, closers[-1])
        if mark != closers[-1]:
            return -1
        closers.pop()
        position += 1


def _after_key(document: bytes, position: int, closer: int) -> int:
    """Step over the key of a member; in an array there is none."""
    if closer == 0x5D:
        return position
    found = _STRING_AND_COLON.match(document, position)
    return found.end() if found else -1


def _skip(document: bytes, position: int) -> int:
    found = _SPACE.match(document, position)
    return found.end() if found else position
