"""Go once through JSON of any depth, for the modifiers that look at every level of it.

Both functions read token by token and keep what is open on a stack of their own, so the work is linear in the text (and in what
comes out). They are for text that is JSON.
"""

from __future__ import annotations

import re

from fnkit.inference_graph.gjson.scan import container_end
from fnkit.inference_graph.gjson.strings import unescape
from fnkit.inference_graph.gjson.validity import valid

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_ITEM = re.compile(rb"[\x00-\x20,]*+(?:(\[)|(\])|(" + _STRING + rb"|[^{\[\]\x00-\x20,]++|(\{)))", re.S)
_TOKEN = re.compile(rb"[\x00-\x20,]*+(?:([{\[])|([}\]])|(" + _STRING + rb')[\x00-\x20]*+(:)?+|([^{}\[\]"\x00-\x20,]++))', re.S)
_BRACKETED = re.compile(rb"[{\[]")


def flattened(text: bytes) -> bytes:
    """Return the array *text* with the elements of the arrays in it, at any depth, in their place."""
    pieces = []
    position = depth = 0
    while (found := _ITEM.match(text, position)) is not None:
        position = found.end()
        match found.lastindex:
            case 1:
                depth += 1
            case 2:
                depth -= 1
                if not depth:
                    break
            case _:
                start = found.start(3)
                if found[4] is not None:
                    position = container_end(text, start)
                pieces.append(text[start:position])
    return b"[" + b",".join(pieces) + b"]"


def all_members(text: bytes, key: bytes) -> bytes | None:
    """Return the list of the members *key* of all objects in *text*, in the order of the objects; of equal keys the first counts.

    None if that has to be found out in another way: *text* is no JSON, or there are brackets in its strings.
    """
    if not valid(text):
        return None
    found_in: list[bytes | None] = []  # one place for each object
    frames: list[tuple[int, int, int]] = []  # open containers: own place or -1, place to go into or -1, start
    position, into = 0, -1
    while (found := _TOKEN.match(text, position)) is not None:
        position = found.end()
        kind, place = found.lastindex, frames[-1][0] if frames else -1
        if kind == 1:
            start = position - 1
            own = len(found_in) if text[start] == 0x7B else -1
            found_in += [None] if own >= 0 else []
            frames.append((own, into, start))
            into = -1
        elif kind == 2:
            _, outer, start = frames.pop()
            if outer >= 0:
                found_in[outer] = text[start:position]
        elif kind == 4:
            name = found[3][1:-1]
            if _BRACKETED.search(name):
                return None
            wanted = name == key or (b"\\" in name and unescape(name) == key)
            into = place if wanted and found_in[place] is None else -1
        else:
            value = found[3] or found[5]
            if found[3] and _BRACKETED.search(value):
                return None
            if into >= 0:
                found_in[into] = value
            into = -1
    return b"[" + b",".join(value for value in found_in if value is not None) + b"]"
