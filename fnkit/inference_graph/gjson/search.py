"""Walk a JSON text along the components of a path.

The walk keeps the containers that it is in on a stack of its own. When the rest of a path finds nothing in the container that
a component led into, the walk goes on behind it, for a later key can match as well (a pattern, or the same key again); only
when no container is left has it found nothing.

One rule of GJSON is a surprise: a pipe belongs to the walk as soon as the component before it was reached, even if that
component then found nothing. What stands behind the pipe looks into the empty text.
"""

from __future__ import annotations

from collections.abc import Callable

from fnkit.inference_graph.gjson.keyed import NO_MEMBERS, WORTHWHILE, Members, holds, pattern_of, value_of
from fnkit.inference_graph.gjson.path import Component, Each, Expression, IndexPart, KeyPart, QueryPart, plain_key
from fnkit.inference_graph.gjson.scan import (
    ARRAY_END,
    BLOCK,
    CONTAINER,
    ELEMENT,
    ELEMENTS,
    JSON,
    MEMBER,
    NUMBER,
    OBJECT_END,
    Value,
    container_end,
    next_value,
    value_from,
)
from fnkit.inference_graph.gjson.strings import unescape

Evaluate = Callable[[Expression, bytes], Value | None]
_Frame = tuple[KeyPart | IndexPart, int]
_OPENINGS = (b"{", b"[")


class Walk:
    """One walk through *text*; `value` and `pipe` are its outcome."""

    __slots__ = ("_evaluate", "_frames", "_position", "_text", "pipe", "value")

    def __init__(self, text: bytes, evaluate: Evaluate) -> None:
        self.value: Value | None = None
        self.pipe: Expression | None = None
        self._text = text
        self._evaluate = evaluate
        self._frames: list[_Frame] = []
        self._position = 0

    def run(self, component: Component, *, lines: bool) -> None:
        """Follow *component* into the first container of the text or, with *lines*, into the text as a list."""
        if lines:
            self._enter(component, is_object=False)
        elif found := CONTAINER.search(self._text):
            self._position = found.end()
            self._enter(component, is_object=found[0] == b"{")
        frames = self._frames
        while frames:
            part, seen = frames.pop()
            if self._in_object(part) if isinstance(part, KeyPart) else self._in_array(part, seen):
                return

    def _enter(self, component: Component, *, is_object: bool) -> None:
        part = component.on_object() if is_object else component.on_array()
        if part.pipe is not None:
            self.pipe = part.pipe
        self._frames.append((part, 0))

    def _in_object(self, part: KeyPart) -> bool:
        """Read members until the part is found (True), leads into a container, or the object ends (False)."""
        text, key, matches, rest, position = self._text, part.key, part.matches, part.rest, self._position
        match = MEMBER.match
        while (found := match(text, position)) is not None:
            name = found[1]
            if name != key if matches is None and b"\\" not in name else not is_key(part, name):
                position = container_end(text, found.end() - 1) if found.lastindex == 3 else found.end()
            elif rest is None:
                self.value, _ = value_from(text, found, 2)
                return True
            elif found.lastindex == 3:
                self._position = found.end()
                self._frames.append((part, 0))
                self._enter(rest, is_object=text[found.end() - 1] == 0x7B)
                return False
            else:
                position = found.end()
        end = OBJECT_END.match(text, position)
        self._position = end.end() if end else len(text)
        return False

    def _in_array(self, part: IndexPart, seen: int) -> bool:
        if part.query is not None:
            return self._query(part.query)
        if part.each is not None:
            return self._each(part.each)
        if part.count:
            return self._count()
        return self._index(part, seen)

    def _index(self, part: IndexPart, seen: int) -> bool:
        """Skip to the element that the part names; *seen* elements were read before."""
        text, index, rest, position = self._text, part.index, part.rest, self._position
        while index - seen >= BLOCK and (block := ELEMENTS.match(text, position)) is not None:
            position, seen = block.end(), seen + BLOCK
        while (found := ELEMENT.match(text, position)) is not None:
            if seen != index:
                position = container_end(text, found.end() - 1) if found.lastindex == 2 else found.end()
            elif rest is None:
                self.value, _ = value_from(text, found, 1)
                return True
            elif found.lastindex == 2:
                self._position = found.end()
                self._frames.append((part, seen + 1))
                self._enter(rest, is_object=text[found.end() - 1] == 0x7B)
                return False
            else:
                position = found.end()
            seen += 1
        self._end_array(position)
        return False

    def _end_array(self, position: int) -> bool:
        """Step behind the array's end; False if there is none, because a string is never closed."""
        end = ARRAY_END.match(self._text, position) if position <= len(self._text) else None
        self._position = end.end() if end else len(self._text)
        return end is not None

    def _count(self) -> bool:
        text, position, count = self._text, self._position, 0
        while (block := ELEMENTS.match(text, position)) is not None:
            position, count = block.end(), count + BLOCK
        while (found := ELEMENT.match(text, position)) is not None:
            position = container_end(text, found.end() - 1) if found.lastindex == 2 else found.end()
            count += 1
        if not self._end_array(position):
            return False
        self.value = (NUMBER, b"%d" % count)
        return True

    def _each(self, each: Each) -> bool:
        """Collect what the expression finds in every element."""
        text, position, expression = self._text, self._position, each.expression
        pieces: list[bytes] = []
        part = plain_key(expression)
        members = Members(part.key) if part is not None else NO_MEMBERS
        while True:
            if (keyed := members.match(text, position)) is not None:
                result, position = value_of(keyed), keyed.end()
            elif (found := ELEMENT.match(text, position)) is not None:
                element, position = value_from(text, found, 1)
                result = self._find(expression, part, element[1])
                position = members.behind_others(text, position, element[1])
            else:
                break
            if result is not None:
                pieces.append(result[1])
        if not self._end_array(position):
            return False
        # gjson looks once more behind the last element, at whatever is there if it is not the closing bracket
        behind = text[position:].lstrip(b" \t\r\n") if text[position : position + 1] != b"]" else b""
        if behind and behind[:1] != b"]" and (stray := next_value(behind, 0)) is not None:
            result = self._evaluate(each.expression, stray[0][1])
            pieces += [result[1]] if result is not None else []
        if each.pipe is not None:
            self.pipe = each.pipe
        self.value = (JSON, b"[" + b",".join(pieces) + b"]")
        return True

    def _query(self, query: QueryPart) -> bool:
        """Test the elements; the first match ends the whole walk, the list of all matches does not."""
        text, position, test, left_key = self._text, self._position, query.comparison.test, query.plain_key
        pieces: list[bytes] = []
        members = Members(left_key.key) if left_key is not None else NO_MEMBERS
        skips = bool(query.left_text) and not test(None)  # what has no members does not match
        while True:
            if (keyed := members.match(text, position)) is not None:
                position = keyed.end()
                if not holds(query.comparison, keyed):
                    continue
                element = JSON, text[text.index(b"{", keyed.start()) : position]
            elif (found := ELEMENT.match(text, position)) is not None:
                element, position = value_from(text, found, 1)
                if skips:
                    position = members.behind_others(text, position, element[1])
                left: Value | None = element if element[0] != JSON else self._find(query.left, left_key, element[1])
                if (element[0] != JSON and query.left_text) or not test(left):
                    continue
            else:
                break
            result = self._behind(query, element, often=len(pieces) >= WORTHWHILE)
            if not query.every:
                self.value = result
                return True
            if result is not None:
                pieces.append(result[1])
        if self._end_array(position) and query.every and self.value is None:
            self.value = (JSON, b"[" + b",".join(pieces) + b"]")
        return False

    def _behind(self, query: QueryPart, element: Value, *, often: bool) -> Value | None:
        """Return what stands behind the query in an *element* that it matched; with *often* it matched many before."""
        if query.rest is None:
            return element
        if query.rest_pipe is not None:
            self.pipe = query.rest_pipe
        pattern = pattern_of(query.rest_key.key) if often and query.rest_key is not None else None
        if pattern is not None and (keyed := pattern.fullmatch(element[1])) is not None:
            return value_of(keyed)
        return self._find(query.rest, query.rest_key, element[1])

    def _find(self, expression: Expression, part: KeyPart | None, text: bytes) -> Value | None:
        """Return what *expression* finds; *part* is its only key, if it is one."""
        if part is not None and text[:1] in _OPENINGS:
            return _member(text, part) if text[:1] == b"{" else None
        return self._evaluate(expression, text)


def _member(text: bytes, part: KeyPart) -> Value | None:
    """Return the first member of the object *text* that *part* names: the walk for a key alone, without its means."""
    key, position, match = part.key, 1, MEMBER.match
    while (found := match(text, position)) is not None:
        name = found[1]
        if name == key or (b"\\" in name and unescape(name) == key):
            return value_from(text, found, 2)[0]
        position = container_end(text, found.end() - 1) if found.lastindex == 3 else found.end()
    return None


def is_key(part: KeyPart, name: bytes) -> bool:
    """Tell whether the raw key *name* is the key that the part names, or matches its pattern."""
    if b"\\" in name:
        name = unescape(name)
    return part.matches(name) if part.matches is not None else part.key == name
