"""Re-encode large JSON portion by portion.

The interpreter's JSON scanner and writer let no other thread run until they are done, and what they make of a text takes many
times its size. So large arrays, and the few members of an object around them, are encoded in portions of their elements.
"""

from __future__ import annotations

from json import loads
from typing import TYPE_CHECKING, Final

from fnkit.inference_graph.gjson.scan import ELEMENTS, JSON, Value, children, next_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Encode = Callable[[bytes], bytes]

PORTION: Final = 1 << 16
"""So many bytes are encoded at once."""
_MOST_MEMBERS = 256
_DEEPEST = 50
_BETWEEN = b" \t\n\r,"


def encoded(raw: bytes, encode: Encode, *, portion: int = PORTION, level: int = 0) -> bytes:
    """Return what *encode*, the encoding of a whole, makes of the JSON value *raw*: objects sorted, the last of equal keys kept.

    *raw* must be JSON, without white space around it. An object of many members is encoded at once, and so is what nests deep.
    """
    if len(raw) < 2 * portion or level > _DEEPEST:
        return encode(raw)
    if raw[:1] == b"[":
        return b"[" + b",".join(_elements(raw, encode, portion, level)) + b"]"
    members = _members(raw) if raw[:1] == b"{" else None
    if members is None:
        return encode(raw)
    named: dict[str, bytes] = {}
    for key, text in members:
        name = encode(key)
        named[loads(name)] = name + b":" + encoded(text, encode, portion=portion, level=level + 1)
    return b"{" + b",".join(named[name] for name in sorted(named)) + b"}"


def _members(raw: bytes) -> list[tuple[bytes, bytes]] | None:
    members = []
    for key, (_, text) in children((JSON, raw)):
        members.append((key, text))
        if len(members) > _MOST_MEMBERS:
            return None
    return members


def _elements(raw: bytes, encode: Encode, portion: int, level: int) -> Iterator[bytes]:
    """Yield the elements of an array encoded, many at once."""
    begun = position = 1
    while (found := _next_elements(raw, position)) is not None:
        single, end = found
        if single is not None and len(single[1]) >= 2 * portion:
            yield from _at_once(raw[begun:position], encode)
            yield encoded(single[1], encode, portion=portion, level=level + 1)
            begun = end
        elif end - begun >= portion:
            yield from _at_once(raw[begun:end], encode)
            begun = end
        position = end
    yield from _at_once(raw[begun:position], encode)


def _next_elements(raw: bytes, position: int) -> tuple[Value | None, int] | None:
    """Return where some elements end that are not large, or the next element and where it ends; None at the end of the array."""
    block = ELEMENTS.match(raw, position)
    return (None, block.end()) if block is not None else next_value(raw, position)


def _at_once(elements: bytes, encode: Encode) -> Iterator[bytes]:
    if elements := elements.strip(_BETWEEN):
        yield encode(b"[" + elements + b"]")[1:-1]
