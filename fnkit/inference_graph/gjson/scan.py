"""Find values in the bytes of a JSON text.

GJSON works on text: a value is a slice of the document, numbers and duplicate keys stay as they were written, and nothing is
decoded that is not asked for. Each function here does with one or two precompiled patterns what a scanner would do byte by
byte. The patterns are possessive throughout, so every scan is linear and needs no stack, however long or deep the text is.

The rules for text that is not JSON are GJSON's own: unknown bytes between values are skipped, every kind of bracket closes
every other, a number ends at white space, a comma or a bracket. A document that was validated never reaches those rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

Value = tuple[str, bytes]
"""The type of a value (one of the names below) and its text."""

NULL, FALSE, NUMBER, STRING, TRUE, JSON = "Null", "False", "Number", "String", "True", "JSON"

_BODY = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_STRING = rb'"' + _BODY + rb'"'
_PLAIN = rb'[^"{}()\[\]]{0,65536}+'
_LITERAL = rb"(?:[tf]|n(?:(?=u)|\Z))[a-z]*+"
_NUMBER = rb"[n+\-0-9iIN][^\x00-\x20,\]}]*+"
_ONE_VALUE = rb"(?:(" + _STRING + rb")|([{\[])|(" + _LITERAL + rb")|(" + _NUMBER + rb"))"


def nested(depth: int) -> bytes:
    """Return a pattern for text without an unmatched bracket, with containers up to *depth* levels deep.

    It stops after some thousand values, for no other thread runs while it is matched.
    """
    inner = _PLAIN + rb"(?:" + _STRING + _PLAIN + rb"){0,128}+"
    for _ in range(depth):
        inner = _PLAIN + rb"(?:(?:" + _STRING + rb"|[{\[(]" + inner + rb"[}\])])" + _PLAIN + rb"){0,128}+"
    return inner


MEMBER = re.compile(rb'[^"}]*+"(' + _BODY + rb')"[^"{\[ntf+\-0-9iIN]*+' + _ONE_VALUE, re.S)
"""A member of an object: groups 1 key, 2 string, 3 opening bracket of a container, 4 literal, 5 number."""
BLOCK = 32
ELEMENTS = re.compile(
    rb'(?:[^"{\[ntf+\-0-9iIN\]]*+(?:' + _STRING + rb"|[{\[]" + nested(2) + rb"[}\])]|" + _LITERAL + rb"|" + _NUMBER + rb")){32}",
    re.S,
)
"""That many elements at once, none of them nested deep."""
OBJECT_END = re.compile(rb'[^"}]*+}')
ELEMENT = re.compile(rb'[^"{\[ntf+\-0-9iIN\]]*+' + _ONE_VALUE, re.S)
"""An element of an array: groups 1 string, 2 opening bracket, 3 literal, 4 number."""
ARRAY_END = re.compile(rb'[^"{\[ntf+\-0-9iIN\]]*+(?:\]|\Z)')
"""The end of an array; the end of the text counts as one."""
CONTAINER = re.compile(rb"[{\[]")

_SHALLOW_VALUE = rb"(?:(" + _STRING + rb")|([{\[]" + nested(2) + rb"[}\])])|([{\[])|(" + _LITERAL + rb")|(" + _NUMBER + rb"))"
_ANY = re.compile(rb'[^"{\[ntf+\-0-9iIN]*+' + _SHALLOW_VALUE, re.S)
_PAIR = re.compile(rb'[^"]*+(' + _STRING + rb')[\x00-\x20,:]*+[^"{\[ntf+\-0-9iIN]*+' + _SHALLOW_VALUE, re.S)
_SHALLOW = re.compile(rb"." + nested(4) + rb"[}\])]", re.S)
_CLOSE = 1 << 16
"""Containers that end within so many bytes are matched at once."""
_STRETCH = re.compile(rb'(?:[^"{}()\[\]]{1,4096}+|' + _STRING + rb"|[{\[(]" + nested(1) + rb"[}\])]){1,1024}+", re.S)
_BRACKET = re.compile(rb"([{\[(])|[}\])]")
_RUN = 64
_EACH_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|' + _STRING + rb")*+(?:([{\[])|[}\]])", re.S)
_CLOSED_STRINGS = re.compile(rb'(?:[^"]++|' + _STRING + rb")*+", re.S)
_TERMINATED = re.compile(_STRING, re.S)
_PLAIN_END = {NUMBER: re.compile(rb"[\x00-\x20,\]}]"), TRUE: re.compile(rb"[^a-z]")}
_SHALLOW_TYPES = (STRING, JSON, JSON, NULL, NUMBER)
_LITERAL_TYPES = {0x74: TRUE, 0x66: FALSE, 0x6E: NULL}


@cache
def _runs() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return the patterns of a run of opening and of closing brackets; only text that nests deep needs them."""
    between = b"(?:" + nested(2)
    return (
        re.compile(between + rb"[{\[(]){%d}" % _RUN, re.S),
        re.compile(between + rb"[}\])]){%d}" % _RUN, re.S),
    )


def container_end(text: bytes, start: int) -> int:
    """Return where the bracketed value that opens at *start* ends.

    Whatever byte stands at *start* counts as the opening bracket. A value that is never closed ends with the text or, if
    it is a string in it that is never closed, one behind it.
    """
    if found := _SHALLOW.match(text, start, start + _CLOSE):
        return found.end()
    depth, position, single_steps = 1, start + 1, 0
    openings, closings = _runs()
    while True:
        if not single_steps:
            if (run := openings.match(text, position)) is not None:
                position, depth = run.end(), depth + _RUN
                continue
            if depth > _RUN and (run := closings.match(text, position)) is not None:
                position, depth = run.end(), depth - _RUN
                continue
            single_steps = _RUN  # no long run here: look for one again further on
        single_steps -= 1
        while (stretch := _STRETCH.match(text, position)) is not None:
            position = stretch.end()
        found = _BRACKET.match(text, position)
        if found is None:
            break
        position = found.end()
        depth += 1 if found.lastindex else -1
        if not depth:
            return position
    rest = _CLOSED_STRINGS.match(text, position)
    return len(text) if rest is None or rest.end() == len(text) else len(text) + 1


def is_deeper(text: bytes, levels: int) -> bool:
    """Tell whether the brackets of the JSON value *text* nest more than *levels* (six at least) deep."""
    start = CONTAINER.search(text)
    if start is None or _SHALLOW.match(text, start.start()):
        return False
    level = position = 0
    while found := _EACH_BRACKET.match(text, position):
        position = found.end()
        level += 1 if found.lastindex else -1
        if level > levels:
            return True
    return False


def value_from(text: bytes, found: re.Match[bytes], first: int) -> tuple[Value, int]:
    """Return the value that MEMBER or ELEMENT *found*, and where it ends. *first* is the number of its string group."""
    kind = (found.lastindex or 0) - first
    if kind == 1:
        start = found.end() - 1
        end = container_end(text, start)
        return (JSON, text[start:end]), end
    raw = found[first + kind]
    if kind == 0:
        return (STRING, raw), found.end()
    if kind == 2:
        return (_LITERAL_TYPES[raw[0]], raw), found.end()
    return (NUMBER, raw), found.end()


def next_value(text: bytes, position: int) -> tuple[Value, int] | None:
    """Return the first value at or after *position*, whatever stands before it, and where it ends."""
    found = _ANY.match(text, position)
    return _shallow_value(text, found, 1) if found else None


def _shallow_value(text: bytes, found: re.Match[bytes], first: int) -> tuple[Value, int]:
    """Return the value that `_ANY` or `_PAIR` *found*, and where it ends: mostly it is there as a whole."""
    group = found.lastindex or 0
    kind = group - first
    end = found.end()
    if kind == 2:
        start, end = end - 1, container_end(text, end - 1)
        return (JSON, text[start:end]), end
    raw = found[group]
    return (_LITERAL_TYPES[raw[0]] if kind == 3 else _SHALLOW_TYPES[kind], raw), end


def parse(text: bytes) -> Value | None:
    """Return the value that *text* starts with. A container takes the whole rest of the text with it."""
    start = len(text) - len(text.lstrip(_SPACES))
    if start == len(text):
        return None
    first = text[start]
    if first in b"{[":
        return JSON, text[start:]
    if first == 0x22:
        found = _TERMINATED.match(text, start)
        return STRING, found[0] if found else text[start:]
    if first in b"tf" or (first == 0x6E and text[start + 1 : start + 2] in (b"", b"u")):
        return _LITERAL_TYPES[first], _until(_PLAIN_END[TRUE], text, start)
    if first in b"+-0123456789iInN":
        return NUMBER, _until(_PLAIN_END[NUMBER], text, start)
    return None


_SPACES = bytes(range(0x21))


def _until(end: re.Pattern[bytes], text: bytes, start: int) -> bytes:
    found = end.search(text, start + 1)
    return text[start : found.start()] if found else text[start:]


def children(value: Value) -> Iterator[tuple[bytes, Value]]:
    """Yield the members of *value* as (raw key, value); the key is empty in an array. A scalar is its own only child."""
    kind, text = value
    if kind != JSON:
        yield b"", value
        return
    position = 1
    if text[:1] == b"{":
        while (found := _PAIR.match(text, position)) is not None:
            item, position = _shallow_value(text, found, 2)
            yield found[1], item
            position += 1
        return
    while (found := _ANY.match(text, position)) is not None:
        item, position = _shallow_value(text, found, 1)
        yield b"", item
        position += 1
