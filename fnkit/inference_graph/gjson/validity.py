"""Decide whether a text is JSON.

The interpreter's own JSON scanner does the work where it agrees with RFC 8259; what it cannot do (very deep nesting, integers
of thousands of digits) is checked by an automaton with a stack of its own. So is what is large: the scanner makes an object of
every value and lets no other thread run until it is done, while the automaton steps over hundreds of flat values at a time.
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
LARGE = 1 << 20
"""From this many bytes on other threads run while a text is checked."""

_GAP = rb"[ \t\n\r]*+"
_STRING = rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_PLAIN = _STRING + rb"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null"
_SCALAR = re.compile(_PLAIN)
_KEY = _GAP + _STRING + _GAP + b":"
_STRING_AND_COLON = re.compile(_KEY)
_ARRAY = b"".join((rb"\[(?:", _GAP, b"(?:", _PLAIN, b")", _GAP, b",){0,255}+", _GAP, b"(?:", _PLAIN, b")", _GAP, rb"\]"))
_MEMBER = b"".join((_KEY, _GAP, b"(?:", _PLAIN, b"|", _ARRAY, b")", _GAP))
_OBJECT = b"".join((rb"\{(?:", _MEMBER, b",){0,255}+", _MEMBER, rb"\}"))
_FLAT = b"".join((_GAP, b"(?:", _PLAIN, b"|", _ARRAY, b"|", _OBJECT, b")", _GAP, b","))
_ELEMENTS = re.compile(b"(?:" + _FLAT + b"){1,256}+")  # flat values of an array, each with its comma
_MEMBERS = re.compile(b"(?:" + _KEY + _FLAT + b"){1,256}+")  # the same in an object
_SPACE = re.compile(rb"[ \t\n\r]*+")


def valid(document: bytes) -> bool:
    """Tell whether *document* is one JSON value as RFC 8259 has it. UTF-8 is not checked, the depth is not limited."""
    if len(document) >= LARGE:
        return _valid_at_any_depth(document)
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
    return valid_within(document, len(document))


def valid_within(document: bytes, levels: int) -> bool:
    """Tell whether *document* is JSON that nests at most *levels* deep, without holding other threads up for long.

    It is checked value by value; `closers` are the brackets that are still to come.
    """
    closers: list[int] = []
    position = 0
    while True:
        if closers and closers[-1] == 0x5D and len(closers) + 2 <= levels:  # flat values have two levels of their own
            position = _after_all(_ELEMENTS, document, position)
        position = _skip(document, position)
        opening = document[position : position + 1]
        if opening in (b"{", b"["):
            if len(closers) == levels:
                return False
            after = _skip(document, position + 1)
            closer = 0x7D if opening == b"{" else 0x5D
            if document[after : after + 1] != bytes((closer,)):
                closers.append(closer)
                position = _after_key(document, position + 1, closer, flat=len(closers) + 2 <= levels)
                if position < 0:
                    return False
                continue
            position = after + 1
        elif found := _SCALAR.match(document, position):
            position = found.end()
        else:
            return False
        position = _after_value(document, position, closers, flat=len(closers) + 2 <= levels)
        if position < 0:
            return False
        if not closers:
            return position == len(document)


def _after_value(document: bytes, position: int, closers: list[int], *, flat: bool) -> int:
    """Close what ends here and step over a comma; -1 if something else stands there."""
    while True:
        position = _skip(document, position)
        if not closers:
            return position
        mark = document[position] if position < len(document) else 0
        if mark == 0x2C:
            return _after_key(document, position + 1, closers[-1], flat=flat)
        if mark != closers[-1]:
            return -1
        closers.pop()
        position += 1


def _after_key(document: bytes, position: int, closer: int, *, flat: bool) -> int:
    """Step over the key of a member, and if *flat* over the flat members before it; in an array there is none."""
    if closer == 0x5D:
        return position
    found = _STRING_AND_COLON.match(document, _after_all(_MEMBERS, document, position) if flat else position)
    return found.end() if found else -1


def _after_all(pattern: re.Pattern[bytes], document: bytes, position: int) -> int:
    """Return the position after as many matches of *pattern* as there are."""
    while found := pattern.match(document, position):
        position = found.end()
    return position


def _skip(document: bytes, position: int) -> int:
    found = _SPACE.match(document, position)
    return found.end() if found else position
