"""Read one member of each of many objects: a pattern made for one key does at once what otherwise takes a walk.

The pattern is stricter than GJSON: an object whose members do not stand as JSON has it, that nests deep or has escapes in its
keys, is not matched, and the walk reads it. What is matched, the walk would read in the same way: all brackets are in pairs or in
strings, so the object ends where its brackets say; and the first member with the key is the one that counts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from fnkit.inference_graph.gjson.scan import FALSE, JSON, NULL, NUMBER, STRING, TRUE, Value, nested

if TYPE_CHECKING:
    from collections.abc import Callable

    from fnkit.inference_graph.gjson.query import Comparison

WORTHWHILE: Final = 48
"""From this many elements on it pays to make a pattern."""

_GAP = rb"[\x00-\x20,]*+"
_COLON = rb"[\x00-\x20:]*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_NUMBER = rb"[+\-0-9][0-9+\-.eE]*+(?=[\x00-\x20,}])"
_LITERAL = rb"(?:true|false|null)(?=[\x00-\x20,}])"
_CONTAINER = rb"[{\[]" + nested(1) + rb"[}\])]"
_NO_BRACKETS = rb'"[^"\\{\[]*+(?:\\[^{\[][^"\\{\[]*+)*+"'  # in a string with brackets a path may find something
_OTHER = b"|".join(
    (_NO_BRACKETS, rb"(?:[+\-0-9][0-9+\-.eE]*+|true|false|null)(?=[\x00-\x20,\]])", rb"\[" + nested(1) + rb"[}\])]")
)
_OTHERS = re.compile(b"(?:" + _GAP + b"(?:" + _OTHER + b")){1,256}+", re.S)
_BRACKETED = re.compile(rb"[{\[]")
_SIMPLE = re.compile(rb'[^"\\\x00-\x1f]*')
_TYPES: Final = ("", STRING, NUMBER, JSON, "")
_LITERALS: Final = {0x74: TRUE, 0x66: FALSE, 0x6E: NULL}


@lru_cache(maxsize=256)
def pattern_of(key: bytes) -> re.Pattern[bytes] | None:
    """Return the pattern of an element of an array, an object, with the member *key*; None if *key* needs escapes.

    Groups: 1 string, 2 number, 3 container, 4 literal; none of them if there is no such member.
    """
    if not _SIMPLE.fullmatch(key):
        return None
    wanted = b'"' + re.escape(key) + b'"'
    value = b"|".join((_STRING, _NUMBER, _CONTAINER, _LITERAL))
    other = b"".join((_GAP, b"(?!", wanted, rb')"[^"\\]*+"', _COLON, b"(?:", value, b")"))
    groups = b"|".join((b"(" + _STRING + b")", b"(" + _NUMBER + b")", b"(" + _CONTAINER + b")", b"(" + _LITERAL + b")"))
    member = b"".join((wanted, _COLON, b"(?:", groups, b")", nested(2)))
    return re.compile(b"".join((_GAP, rb"\{(?:", other, b")*+", _GAP, b"(?:", member, b")?+", rb"\}")), re.S)


def value_of(found: re.Match[bytes]) -> Value | None:
    """Return the value of the member that the pattern *found*, None if there is none."""
    group = found.lastindex
    if group is None:
        return None
    raw = found[group]
    return (_LITERALS[raw[0]] if group == 4 else _TYPES[group]), raw


def holds(comparison: Comparison, found: re.Match[bytes]) -> bool:
    """Tell whether the comparison holds for the member that the pattern *found*."""
    group = found.lastindex
    try:
        if group == 2:
            return comparison.decoded_tests[float](float(found[2]))
        if group == 1 and b"\\" not in (raw := found[1]):
            return comparison.decoded_tests[str](raw[1:-1].decode())
    except ValueError:  # signs and points in no order, which GJSON takes for 0; or no UTF-8
        pass
    return comparison.test(value_of(found))


def _never(_text: bytes, _position: int = 0, /) -> re.Match[bytes] | None:
    return None


class Members:
    """Finds the member of a key in the elements of one array, as long as they are such that the pattern matches them."""

    __slots__ = ("_key", "_left", "match")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._left = WORTHWHILE
        self.match: Callable[[bytes, int], re.Match[bytes] | None] = _never

    def behind_others(self, text: bytes, position: int, element: bytes) -> int:
        """Return where to go on at *position*, behind an *element* that the walk has read.

        From a number of objects on, try the pattern; after as many more, do not. What is no object has no members: where such a
        value stands, step over those that follow it.
        """
        if element[:1] == b"{":
            self._left -= 1
            if not self._left:
                pattern = pattern_of(self._key) if self.match is _never else None
                self.match = pattern.match if pattern is not None else _never
                self._left = WORTHWHILE if pattern is not None else 0
            return position
        if element[:1] == b'"' and _BRACKETED.search(element):
            return position
        others = _OTHERS.match(text, position)
        return others.end() if others is not None else position


class _NoMembers(Members):
    """Stands where the elements are asked for more than one key."""

    def behind_others(self, text: bytes, position: int, element: bytes) -> int:
        return position


NO_MEMBERS: Final = _NoMembers(b"")
