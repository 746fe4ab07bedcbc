"""Cut the text of a path into its pieces.

Every function takes the text of a path and returns texts; none looks at a document. Nothing is ever refused: text that makes
no sense is a key that no document has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fnkit.inference_graph.gjson.scan import container_end
from fnkit.inference_graph.gjson.strings import unescape

MODIFIERS = frozenset(
    (
        b"pretty",
        b"ugly",
        b"reverse",
        b"this",
        b"flatten",
        b"join",
        b"valid",
        b"keys",
        b"values",
        b"tostr",
        b"fromstr",
        b"group",
        b"dig",
    )
)
"""The names that may stand behind `@`."""

_SPACES = bytes(range(0x21))
_NAME_END = re.compile(rb"[.|:]")
_LITERAL_END = re.compile(rb"[.|]")
_OPERATOR = re.compile(rb"!=|!%|<=|>=|==|[<>=%]|!\Z")
_WORDS = frozenset((b"true", b"false", b"null", b"nan", b"inf"))


@dataclass(frozen=True, slots=True)
class QueryText:
    """The pieces of `#(left operator right)`; *end* is where the closing bracket ends."""

    left: bytes
    operator: bytes
    right: bytes
    end: int


def cut_query(path: bytes) -> QueryText | None:
    """Cut the query that *path* starts with; None if its bracket is never closed."""
    depth, operator_at, escaped = 1, 0, False
    position = 2
    while position < len(path):
        character = path[position : position + 1]
        if depth == 1 and not operator_at and character in b"!=<>%":
            operator_at = position
        elif character == b"\\":
            position += 1
        elif character in b"[(":
            depth += 1
        elif character in b"])":
            depth -= 1
            if not depth:
                return _cut_operator(path, operator_at, position, escaped)
        elif character == b'"':
            position, has_escape = _quote_end(path, position)
            escaped = escaped or has_escape
        position += 1
    return None


def _cut_operator(path: bytes, operator_at: int, close: int, escaped: bool) -> QueryText:
    if not operator_at:
        return QueryText(path[2:close].strip(_SPACES), b"", b"", close + 1)
    left = path[2:operator_at].strip(_SPACES)
    right = path[operator_at:close].strip(_SPACES)
    found = _OPERATOR.match(right)
    operator = found[0] if found else b""
    right = right[len(operator) :].strip(_SPACES)
    if len(right) >= 2 and right[:1] == right[-1:] == b'"':
        right = unescape(right[1:-1]) if escaped else right[1:-1]
    return QueryText(left, b"=" if operator == b"==" else operator, right, close + 1)


def _quote_end(path: bytes, position: int) -> tuple[int, bool]:
    """Return where the quoted text that opens at *position* has its closing quote, and whether there is an escape in it."""
    escaped = False
    position += 1
    while position < len(path) and path[position] != 0x22:
        if path[position] == 0x5C:
            escaped = True
            position += 1
        position += 1
    return position, escaped


def starts_pipe(path: bytes) -> bool:
    """What follows a dot acts as if it followed a pipe: a modifier or a multipath."""
    if path[:1] == b"@":
        return path[1 : _end(_NAME_END, path, 1)] in MODIFIERS
    return path[:1] in (b"[", b"{")


def cut_pipe(path: bytes) -> tuple[bytes, bytes | None]:
    """Split *path* at its first pipe that is in no query; the second piece is None if there is none."""
    if b"|" not in path:
        return path, None
    if path[:1] == b"{":
        # gjson measures what follows the brace as if it were the container, whatever byte it starts with
        end = _quote_end(path, 1)[0] + 1 if path[1:2] == b'"' else container_end(path, 1)
        return (path[:end], path[end + 1 :]) if path[end : end + 1] == b"|" else (path, None)
    position = 0
    while position < len(path):
        character = path[position]
        if character == 0x5C:
            position += 1
        elif character == 0x7C:
            return path[:position], path[position + 1 :]
        elif character == 0x2E:
            if position == len(path) - 1:
                break
            if path[position + 1] == 0x23:
                position = _behind_query(path, position + 2)
        position += 1
    return path, None


def _behind_query(path: bytes, position: int) -> int:
    """Return where the query ends whose bracket opens at *position*; *position* itself if none does."""
    opening = path[position : position + 1]
    if opening not in (b"(", b"["):
        return position
    closing = b")" if opening == b"(" else b"]"
    depth = 1
    position += 1
    while position < len(path):
        character = path[position : position + 1]
        if character == b"\\":
            position += 1
        elif character == opening:
            depth += 1
        elif character == closing:
            depth -= 1
            if not depth:
                break
        elif character == b'"':
            position, _ = _quote_end(path, position)
        position += 1
    return position


def cut_selectors(path: bytes) -> tuple[list[tuple[bytes, bytes]], bytes] | None:
    """Cut the multipath that *path* starts with into (name, path) pairs and what follows; None if it is never closed."""
    selectors: list[tuple[bytes, bytes]] = []
    depth, start, colon, modifier = 1, 1, 0, False
    position = 1
    while position < len(path):
        character = path[position : position + 1]
        if character == b"\\":
            position += 1
        elif character == b"@":
            modifier = modifier or path[position - 1 : position] in (b".", b"|")
        elif character == b":":
            if not modifier and not colon and depth == 1:
                colon = position
        elif character == b'"':
            position, _ = _quote_end(path, position)
        elif character in b"[({":
            depth += 1
        elif character in b"])}":
            depth -= 1
        if (character == b"," and depth == 1) or not depth:
            selectors.append(_selector(path, start, colon, position))
            start, colon, modifier = position + 1, 0, False
            if not depth:
                return selectors, path[position + 1 :]
        position += 1
    return None


def _selector(path: bytes, start: int, colon: int, end: int) -> tuple[bytes, bytes]:
    return (path[start:colon], path[colon + 1 : end]) if colon else (b"", path[start:end])


def cut_modifier(path: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Cut `@name:argument` off *path*: name, argument and what follows; None if no modifier has that name."""
    end = _end(_NAME_END, path, 1)
    name = path[1:end]
    if name not in MODIFIERS:
        return None
    if path[end : end + 1] != b":":
        return name, b"", path[end:]
    rest = path[end + 1 :]
    if rest[:1] in (b"{", b"["):
        end = container_end(rest, 0)
    elif rest[:1] == b'"':
        end = min(_quote_end(rest, 0)[0] + 1, len(rest))
    else:
        end = rest.find(b"|")
        end = len(rest) if end < 0 else end
    return name, rest[:end], rest[end:]


def cut_literal(path: bytes) -> tuple[bytes, bytes] | None:
    """Cut `!literal` off *path*: the literal and what follows; None if it is none.

    A string or a number swallows what follows it up to the next closing bracket.
    """
    text = path[1:]
    if text[:1] and text[:1] in b'{["+-0123456789':
        end = container_end(text, 0)
        return text[:end], text[end:]
    end = _end(_LITERAL_END, text, 0)
    return (text[:end], text[end:]) if text[:end].lower() in _WORDS else None


def _end(pattern: re.Pattern[bytes], path: bytes, start: int) -> int:
    found = pattern.search(path, start)
    return found.start() if found else len(path)


def default_name(path: bytes) -> bytes:
    """Return the name of a value in a multipath that has none: the last component of its path, `_` if that is no plain name."""
    position = len(path) - 1
    while position >= 0:
        if path[position] in b"|." and path[position - 1 : position] != b"\\":
            break
        position -= 1
    name = path[position + 1 :]
    return b"_" if re.search(rb"[\x00-\x1f\[\]{}()#|!]", name) else name
