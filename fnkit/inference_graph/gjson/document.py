"""A JSON text that conditions are asked of: read once, however many there are."""

from __future__ import annotations

import re
from json import JSONDecodeError, JSONDecoder
from json.scanner import make_scanner
from typing import TYPE_CHECKING

from fnkit.inference_graph.gjson.decoded import Unsure, find
from fnkit.inference_graph.gjson.query import NOTHING
from fnkit.inference_graph.gjson.validity import LARGE, valid

if TYPE_CHECKING:
    from collections.abc import Callable

    from fnkit.inference_graph.gjson.condition import Query

_SPACES = " \t\n\r"
_LONE = re.compile(rb"\\u[dD]")
_SPACED_COLONS = (b" :", b"\t:", b"\n:", b"\r:")


class _Refused(Exception):
    """NaN and the infinities, which the interpreter's scanner would let pass."""


class _Reader:
    """A JSON scanner that remembers the objects it made."""

    __slots__ = ("objects", "scan")

    def __init__(self) -> None:
        objects: list[dict[str, object]] = []
        self.objects = objects

        def remember(value: dict[str, object]) -> dict[str, object]:
            objects.append(value)
            return value

        def refuse(_name: str) -> object:
            raise _Refused

        decoder = JSONDecoder(object_hook=remember, parse_int=float, parse_constant=refuse)
        self.scan: Callable[[str, int], tuple[object, int]] = make_scanner(decoder)  # type: ignore[arg-type]  # typeshed wants a scanner


_READERS: list[_Reader] = []  # those that no thread uses at the moment
UNDECODED = object()


def decode(text: bytes) -> object:
    """Return *text* decoded, or `UNDECODED` if it is no JSON or if what the decoder makes of it may not be what gjson reads.

    That is so for keys that stand twice in an object (gjson takes the first), for lone surrogates, for bytes that are no UTF-8,
    and for text that is large or nests deep.
    """
    if len(text) >= LARGE or (b"\\" in text and _LONE.search(text)):
        return UNDECODED
    try:
        characters = text.decode()
    except UnicodeDecodeError:
        return UNDECODED
    try:
        reader = _READERS.pop()
    except IndexError:
        reader = _Reader()
    try:
        value, end = reader.scan(characters, len(characters) - len(characters.lstrip(_SPACES)))
        if end != len(characters) and characters[end:].strip(_SPACES):
            return UNDECODED
        return value if _keys_are_unique(text, reader.objects) else UNDECODED
    except (StopIteration, JSONDecodeError, _Refused, RecursionError):
        return UNDECODED
    finally:
        reader.objects.clear()
        _READERS.append(reader)


def _keys_are_unique(text: bytes, objects: list[dict[str, object]]) -> bool:
    """Tell whether the objects have a member for every key of *text*, as far as that can be told quickly.

    Behind every key comes a colon. Where strings have colons too, those behind a quote are counted: unless white space comes
    between a key and its colon, there are as many members only if no key stood twice.
    """
    members = sum(map(len, objects))
    if text.count(b":") == members:
        return True
    return text.count(b'":') == members and not any(colon[:1] in text and colon in text for colon in _SPACED_COLONS)


class Document:
    """A text that is perhaps JSON. `valid` tells, `has` asks it a condition. It may be shared between threads."""

    __slots__ = ("_text", "_value", "valid")

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._value = decode(text)
        self.valid = self._value is not UNDECODED or valid(text)

    def has(self, query: Query) -> bool:
        """Tell whether *query* finds anything in the text."""
        if self._value is not UNDECODED and query.expression is not None:
            try:
                return find(query.expression, self._value) is not NOTHING
            except (Unsure, RecursionError):
                pass
        return query.exists(self._text)
