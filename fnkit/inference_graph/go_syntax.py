"""Say what Go's encoding/json finds wrong with a text.

Go reads byte by byte and names the first byte that cannot stand where it stands. At the end of the text it reads one more
space, so that a number or a word that breaks off is blamed on that space; everything else that is missing is an
"unexpected end". This module is only asked about texts that are known to be wrong.
"""

from __future__ import annotations

import re

MAX_DEPTH = 10_000
"""How deep Go lets objects and arrays nest."""

_SPACE = re.compile(rb"[ \t\n\r]*+")
_STRING_RUN = re.compile(rb'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+')
_HEX_RUN = re.compile(rb"[0-9a-fA-F]{0,4}")
_DIGITS = re.compile(rb"[0-9]*+")
_WORDS = {0x74: b"true", 0x66: b"false", 0x6E: b"null"}
_SHORT = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 0x27: "\\'", 0x5C: "\\\\"}


class _Fault(Exception):
    """The text is wrong at `position`, a byte that stands *where* nothing like it may stand."""

    def __init__(self, position: int, where: str) -> None:
        super().__init__(where)
        self.position = position
        self.where = where


def find_fault(body: bytes) -> str | None:
    """Return Go's error text for *body*, None if it is JSON."""
    text = body + b" "
    try:
        _check(text)
    except _Fault as fault:
        if fault.position >= len(text):
            return "unexpected end of JSON input"
        return f"invalid character {_quoted(text[fault.position])} {fault.where}"
    return None


def _check(text: bytes) -> None:
    """Read values, one after the other; `closers` are the brackets that are still to come."""
    closers: list[int] = []
    position = _skip(text, 0)
    while True:
        mark = text[position] if position < len(text) else -1
        if mark in (0x7B, 0x5B):
            if len(closers) == MAX_DEPTH:
                raise _Fault(position, "exceeded max depth")
            closer = mark + 2
            position = _skip(text, position + 1)
            if text[position : position + 1] != bytes((closer,)):
                closers.append(closer)
                position = _key(text, position) if mark == 0x7B else position
                continue
            position += 1
        else:
            position = _scalar(text, position, mark)
        position = _behind_value(text, position, closers)
        if not closers:
            return


def _behind_value(text: bytes, position: int, closers: list[int]) -> int:
    """Close the containers that end here and step to the next value."""
    while True:
        position = _skip(text, position)
        mark = text[position] if position < len(text) else -1
        if not closers:
            if mark >= 0:
                raise _Fault(position, "after top-level value")
            return position
        if mark == 0x2C:
            position = _skip(text, position + 1)
            return _key(text, position) if closers[-1] == 0x7D else position
        if mark != closers[-1]:
            raise _Fault(position, "after object key:value pair" if closers[-1] == 0x7D else "after array element")
        closers.pop()
        position += 1


def _key(text: bytes, position: int) -> int:
    """Step over a key and its colon, to the value."""
    if text[position : position + 1] != b'"':
        raise _Fault(position, "looking for beginning of object key string")
    position = _skip(text, _string(text, position + 1))
    if text[position : position + 1] != b":":
        raise _Fault(position, "after object key")
    return _skip(text, position + 1)


def _scalar(text: bytes, position: int, mark: int) -> int:
    if mark == 0x22:
        return _string(text, position + 1)
    if (word := _WORDS.get(mark)) is not None:
        return _word(text, position, word)
    if mark == 0x2D or 0x30 <= mark <= 0x39:
        return _number(text, position)
    raise _Fault(position, "looking for beginning of value")


def _word(text: bytes, position: int, word: bytes) -> int:
    for place, expected in enumerate(word):
        if text[position + place : position + place + 1] != word[place : place + 1]:
            raise _Fault(position + place, f"in literal {word.decode()} (expecting '{chr(expected)}')")
    return position + len(word)


def _string(text: bytes, position: int) -> int:
    found = _STRING_RUN.match(text, position)
    end = found.end() if found else position
    mark = text[end : end + 1]
    if mark == b'"':
        return end + 1
    if mark != b"\\":
        raise _Fault(end, "in string literal")
    if text[end + 1 : end + 2] != b"u":
        raise _Fault(end + 1, "in string escape code")
    digits = _HEX_RUN.match(text, end + 2)
    raise _Fault(digits.end() if digits else end + 2, "in \\u hexadecimal character escape")


def _number(text: bytes, position: int) -> int:
    if text[position] == 0x2D:
        position += 1
        if not text[position : position + 1].isdigit():
            raise _Fault(position, "in numeric literal")
    position = position + 1 if text[position] == 0x30 else _digits(text, position)
    if text[position : position + 1] == b".":
        position = _some_digits(text, position + 1, "after decimal point in numeric literal")
    if text[position : position + 1] in (b"e", b"E"):
        position += 2 if text[position + 1 : position + 2] in (b"+", b"-") else 1
        position = _some_digits(text, position, "in exponent of numeric literal")
    return position


def _some_digits(text: bytes, position: int, where: str) -> int:
    end = _digits(text, position)
    if end == position:
        raise _Fault(position, where)
    return end


def _digits(text: bytes, position: int) -> int:
    found = _DIGITS.match(text, position)
    return found.end() if found else position


def _skip(text: bytes, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _quoted(byte: int) -> str:
    """Return a byte as Go quotes it: as the character with that number."""
    if byte in _SHORT:
        return f"'{_SHORT[byte]}'"
    if byte < 0x20 or byte == 0x7F:
        return f"'\\x{byte:02x}'"
    if 0x80 <= byte <= 0xA0 or byte == 0xAD:
        return f"'\\u{byte:04x}'"
    return f"'{chr(byte)}'"
