"""Remark on paths that mean something else than they seem to.

GJSON refuses no path. A condition that is mistyped is simply always true or never, so a tool had better say so before a graph
is deployed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fnkit.inference_graph.gjson import syntax
from fnkit.inference_graph.gjson.path import Component, Expression, Literal, Modifier, Multipath, QueryPart, read

_NUMBER = re.compile(
    rb"[+-]?(?:inf|infinity|[0-9][0-9_]*\.?[0-9_]*(?:e[+-]?[0-9]+)?|\.[0-9]+(?:e[+-]?[0-9]+)?|0x[0-9a-f.]+p[+-]?\d+)", re.I
)
_COMPARISON = re.compile(rb"(?<!\\)(?:[=<>]|!=|&&)")
_SUBSCRIPT = re.compile(rb"(.*)\[([0-9]{1,9})\]", re.S)
_LOGIC = re.compile(rb"&&|\|\|")
_ALWAYS_SOMETHING = frozenset((b"keys", b"values", b"tostr", b"dig"))


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a path that its author may not have meant. *code* is stable, *hint* says what to write instead."""

    code: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


def remarks(path: str) -> tuple[Remark, ...]:
    """Return what is odd about *path* as a condition, each remark once."""
    if not path:
        return (Remark("empty", 'an empty path finds only the key "" of an object', "give the condition a path"),)
    try:
        expression = read(path.encode("utf-8", "surrogatepass"))
        found = [*_unclosed(path.encode("utf-8", "surrogatepass")), *_look(expression), *_always(expression)]
    except RecursionError:
        return (Remark("too-deep", "the path nests hundreds of levels deep and finds nothing", "write a flatter path"),)
    return tuple(dict.fromkeys(found))


def _unclosed(path: bytes) -> Iterator[Remark]:
    if path[:1] in (b"[", b"{"):
        cut = syntax.cut_selectors(path)
        if cut is None:
            yield Remark(
                "unclosed",
                "the multipath is never closed, so the path is empty",
                f"add the closing bracket to {path[:1].decode()}",
            )
        elif cut[1][:1] not in (b"", b".", b"|"):
            dropped = path[: len(path) - len(cut[1])].decode("utf-8", "replace")
            yield Remark("dropped", f"{dropped} is ignored, for no . or | follows it", f"write {dropped}. in front of the rest")


def _look(expression: Expression | None) -> Iterator[Remark]:
    """Yield remarks on every part of an expression."""
    while expression is not None:
        if isinstance(expression, Multipath):
            for selector in expression.selectors:
                yield from _look(selector.expression)
        elif isinstance(expression, Modifier):
            yield from _look(expression.wanted)
        elif not isinstance(expression, Literal):
            yield from _component(expression.component)
            return
        expression = expression.rest


def _component(component: Component | None) -> Iterator[Remark]:
    while component is not None:
        if component.text[:1] != b"#":
            part = component.on_object()
            if part.text[:1] == b"@" and part.text[1:].isalpha():
                name = part.text.decode("utf-8", "replace")
                yield Remark(
                    "unknown-modifier",
                    f"{name} is no modifier, so it is an ordinary key",
                    "one of @" + ", @".join(sorted(m.decode() for m in syntax.MODIFIERS)),
                )
            yield from _key(part.text)
            yield from _look(part.pipe)
            component = part.rest
            continue
        index = component.on_array()
        if component.text[1:2] in (b"(", b"[") and syntax.cut_query(component.text) is None:
            yield Remark(
                "unclosed",
                "the query is never closed, so it takes the first element that is no object or array",
                "add the closing bracket",
            )
            return
        if index.query is not None:
            yield from _query(index.query)
        if index.each is not None:
            yield from _look(index.each.expression)
            yield from _look(index.each.pipe)
        yield from _look(index.pipe)
        component = index.rest


def _key(text: bytes) -> Iterator[Remark]:
    """Yield a remark on a key that looks like what other languages have in its place."""
    shown = text.decode("utf-8", "replace")
    if _COMPARISON.search(text):
        yield Remark("comparison", f"{shown!r} is a key: only a query compares", "[@this].#(a==1)")
    elif found := _SUBSCRIPT.fullmatch(text):
        yield Remark(
            "subscript", f"{shown!r} is a key: an element goes by a dot", f"{found[1].decode('utf-8', 'replace')}.{int(found[2])}"
        )
    elif text == b"$":
        yield Remark("jsonpath", "'$' is a key: a path begins with the document's own keys", "leave $. out")


def _query(query: QueryPart) -> Iterator[Remark]:
    operator, right = query.comparison.operator, query.comparison.right
    shown = right.decode("utf-8", "replace")
    if _LOGIC.search(right) or _LOGIC.search(query.left_text):
        yield Remark(
            "logic",
            "a query knows neither && nor ||: what stands there is plain text",
            "for and: [@this].#(a>1)|[@this].#(b<2); for or: several steps",
        )
    elif right and not operator:
        yield Remark(
            "operator", f"{shown[:1]} is no operator, so the query only asks whether there is a value", "= == != < <= > >= % !%"
        )
    elif operator in (b"<", b"<=", b">", b">=") and not _NUMBER.fullmatch(right) and right[:1] != b"~":
        yield Remark(
            "number", f"{shown!r} is no number, so numbers are compared with 0", "compare with a number, or mean only strings"
        )
    if right[:1] == b"~" and right[1:] not in (b"true", b"false", b"null", b"*"):
        yield Remark("tilde", f"{shown} matches nothing", "~true, ~false, ~null or ~*")
    if right[:1] == b"'":
        yield Remark("quotes", f"the single quotes of {shown} belong to the text", 'use double quotes: "text"')
    yield from _look(query.left)
    yield from _look(query.rest)
    yield from _look(query.rest_pipe)


def _always(expression: Expression) -> Iterator[Remark]:
    """Yield a remark if the last part of the path finds something in whatever it gets."""
    while isinstance(expression, Modifier | Literal | Multipath) and expression.rest is not None:
        expression = expression.rest
    what = ""
    if isinstance(expression, Multipath):
        what = "a multipath always finds something, if only an empty list or object"
    elif isinstance(expression, Literal):
        what = "a literal is always found"
    elif isinstance(expression, Modifier):
        what = f"@{expression.name.decode()} always finds something" if expression.name in _ALWAYS_SOMETHING else ""
    else:
        what = _always_a_list(expression.component)
    if what:
        yield Remark("always-true", f"{what}, so the condition is always true", "ask for one element: [@this].#(a==1)")


def _always_a_list(component: Component | None) -> str:
    while component is not None:
        if component.text[:1] != b"#":
            component = component.on_object().rest
            continue
        part = component.on_array()
        if part.each is not None and part.each.pipe is None:
            return "#.path finds a list in every array, if only an empty one"
        if part.query is not None and part.query.every and part.pipe is None and part.query.rest_pipe is None:
            return "#(...)# finds a list in every array, if only an empty one"
        component = part.rest
    return ""
