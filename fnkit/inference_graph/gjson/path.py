"""Read GJSON paths.

A path means something only together with the text it meets: its first component is read in one way when that text is an
object and in another when it is an array (`#(a.b==1).c` is a query on an array, and on an object the key `#(a`). So a
`Component` keeps the text of the path and reads it when, and only when, it meets an object or an array for the first time;
after that it is compiled. What does not depend on the document, modifiers, literals and multipaths, is an `Expression`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from fnkit.inference_graph.gjson import syntax
from fnkit.inference_graph.gjson.glob import matcher
from fnkit.inference_graph.gjson.query import Comparison, compare


@dataclass(frozen=True, slots=True)
class Modifier:
    """`@name:argument`: the text is transformed, and *rest* looks into the outcome.

    *wanted* is the argument of `@dig`, which is a path; with the other modifiers it is of no use.
    """

    name: bytes
    argument: bytes
    wanted: Expression | None
    rest: Expression | None


@dataclass(frozen=True, slots=True)
class Literal:
    """`!value`: the text is forgotten, and *rest* looks into *value*."""

    value: bytes
    rest: Expression | None


@dataclass(frozen=True, slots=True)
class Selector:
    """One path of a multipath, and the name of its value in an object (empty: after the last component)."""

    name: bytes
    path: bytes
    expression: Expression


@dataclass(frozen=True, slots=True)
class Multipath:
    """`[path,path]` or `{"name":path}`: a new array or object of what the paths find."""

    opening: bytes
    selectors: tuple[Selector, ...]
    rest: Expression | None


@dataclass(frozen=True, slots=True)
class Search:
    """Keys, indexes and queries; with *lines*, the text is a sequence of values (JSON lines)."""

    component: Component
    lines: bool


Expression = Modifier | Literal | Multipath | Search


@dataclass(frozen=True, slots=True)
class KeyPart:
    """A component on an object: a key or, if *matches* is set, a pattern of keys. *name* is the key as characters."""

    text: bytes
    key: bytes
    name: str
    matches: Callable[[bytes], bool] | None
    rest: Component | None
    pipe: Expression | None


@dataclass(frozen=True, slots=True)
class Each:
    """`#.rest`: the list of what *expression* finds in every element; *pipe* then looks into the list."""

    expression: Expression
    pipe: Expression | None


@dataclass(frozen=True, slots=True)
class QueryPart:
    """`#(left op right)`: the first element that fulfils the comparison, or with *every* the list of all.

    *rest* looks into each element that was found, *rest_pipe* is then the pipe that stood behind it.
    *plain_key* is the left side on an object, if it is one key and nothing more; so is *rest_key* for *rest*.
    """

    left_text: bytes
    left: Expression
    plain_key: KeyPart | None
    comparison: Comparison
    every: bool
    rest: Expression | None
    rest_pipe: Expression | None
    rest_key: KeyPart | None


@dataclass(frozen=True, slots=True)
class IndexPart:
    """A component on an array: an index (-1: none), `#` for the count, `#.` or a query."""

    text: bytes
    rest_text: bytes
    index: int
    count: bool
    each: Each | None
    query: QueryPart | None
    rest: Component | None
    pipe: Expression | None


class Component:
    """The text of a path from one component on, read for an object or an array when it meets one."""

    __slots__ = ("_index", "_key", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._key: KeyPart | None = None  # read on first use: most components meet one kind of container only
        self._index: IndexPart | None = None

    def on_object(self) -> KeyPart:
        """Return the component as an object reads it."""
        if self._key is None:
            self._key = _read_key(self.text)
        return self._key

    def on_array(self) -> IndexPart:
        """Return the component as an array reads it."""
        if self._index is None:
            self._index = _read_index(self.text)
        return self._index


_UINT64 = 1 << 64
_SPECIAL = re.compile(rb"[.|\\*?]")


def read(path: bytes) -> Expression:
    """Read a path from its start, as far as no document is needed for it."""
    heads: list[Modifier | Literal | Multipath] = []
    following: bytes | None = path
    expression: Expression | None = None
    while following is not None:
        head, following = _read_head(following)
        if isinstance(head, Search):
            expression = head
        else:
            heads.append(head)
    for head in reversed(heads):
        expression = replace(head, rest=expression)
    return expression or Search(Component(path), False)


def _read_head(path: bytes) -> tuple[Expression, bytes | None]:
    """Read a modifier, literal or multipath, without what follows it; or else a search, which is the rest of the path."""
    if len(path) > 1:
        if path[:1] == b"@" and (modifier := syntax.cut_modifier(path)) is not None:
            name, argument, follows = modifier
            return Modifier(name, argument, read(argument) if name == b"dig" else None, None), _rest(follows)
        if path[:1] == b"!" and (literal := syntax.cut_literal(path)) is not None:
            value, follows = literal
            return Literal(value, None), _rest(follows)
        if path[:1] in (b"[", b"{"):
            cut = syntax.cut_selectors(path)
            if cut is not None and cut[1][:1] in (b"", b".", b"|"):
                selectors = tuple(Selector(name, text, read(text)) for name, text in cut[0])
                return Multipath(path[:1], selectors, None), _rest(cut[1])
            path = cut[1] if cut is not None else b""  # gjson goes on with what it has not read yet
    lines = path[:2] == b".."
    return Search(Component(path[2:] if lines else path), lines), None


def _rest(follows: bytes) -> bytes | None:
    return follows[1:] if follows[:1] in (b".", b"|") else None


def _read_key(path: bytes) -> KeyPart:
    """Read the component up to the first dot or pipe that is not escaped."""
    key: list[bytes] = []
    pattern, position, start = False, 0, 0
    while found := _SPECIAL.search(path, position):
        position = found.end()
        special = found[0]
        if special == b"\\":
            key += (path[start : position - 1], path[position : position + 1])
            position += 1
            start = position
        elif special in (b"*", b"?"):
            pattern = True
        else:
            key.append(path[start : position - 1])
            return _key_part(path[: position - 1], b"".join(key), pattern, special, path[position:])
    key.append(path[start:])
    return _key_part(path, b"".join(key), pattern, b"", b"")


def _key_part(text: bytes, key: bytes, pattern: bool, separator: bytes, follows: bytes) -> KeyPart:
    matches = matcher(key) if pattern else None
    name = key.decode("utf-8", "surrogateescape")  # with surrogates it is no key of a decoded document
    if separator == b"|" or (separator == b"." and syntax.starts_pipe(follows)):
        return KeyPart(text, key, name, matches, None, read(follows))
    return KeyPart(text, key, name, matches, Component(follows) if separator else None, None)


def _read_index(path: bytes) -> IndexPart:
    """Read the component up to the first dot or pipe outside of its query."""
    hash_seen, query, end = False, None, 0
    while end < len(path):
        character = path[end : end + 1]
        if character in b"|.":
            break
        if character == b"#":
            hash_seen = True
            if end == 0 and path[1:2] in (b"(", b"["):
                query = syntax.cut_query(path)
                if query is None:
                    end = len(path)
                    query = syntax.QueryText(b"", b"", b"", end)
                    break
                end = query.end - 1
        end += 1
    text, separator, follows = path[:end], path[end : end + 1], path[end + 1 :]
    piped = separator == b"|" or (separator == b"." and not hash_seen and syntax.starts_pipe(follows))
    pipe = read(follows) if piped else None
    more = follows if separator and not piped else None
    if query is not None:
        return IndexPart(text, follows, -1, False, None, _query_part(query, text, more), None, pipe)
    if hash_seen:
        each = _each(more) if text == b"#" and more is not None else None
        return IndexPart(text, follows, -1, text == b"#" and each is None, each, None, None, pipe)
    index = _index(text)
    return IndexPart(text, follows, index, False, None, None, Component(more) if more is not None else None, pipe)


def _index(text: bytes) -> int:
    """Return the index that *text* names, -1 for none. Numbers wrap at 64 bits, as gjson's do."""
    if not text.isdigit():
        return -1
    index = int(text[-4000:]) % _UINT64
    return index if index < _UINT64 // 2 else -1


def _each(path: bytes) -> Each:
    left, right = syntax.cut_pipe(path)
    return Each(read(left), None if right is None else read(right))


def _query_part(query: syntax.QueryText, text: bytes, more: bytes | None) -> QueryPart:
    rest = rest_pipe = None
    if more is not None:
        left, right = syntax.cut_pipe(more)
        rest, rest_pipe = read(left), None if right is None else read(right)
    every = text[query.end : query.end + 1] == b"#"
    comparison = compare(query.operator, query.right)
    left_side = read(query.left)
    rest_key = plain_key(rest) if rest is not None else None
    return QueryPart(query.left, left_side, plain_key(left_side), comparison, every, rest, rest_pipe, rest_key)


def plain_key(expression: Expression) -> KeyPart | None:
    """Return *expression* as an object reads it, if that is one key and nothing more, and if it finds nothing in arrays."""
    if not isinstance(expression, Search) or expression.lines:
        return None
    part = expression.component.on_object()
    if part.matches is not None or part.rest is not None or part.pipe is not None:
        return None
    in_array = expression.component.on_array()
    finds_elements = in_array.index >= 0 or in_array.count or in_array.query is not None or in_array.each is not None
    return None if finds_elements or in_array.pipe is not None else part
