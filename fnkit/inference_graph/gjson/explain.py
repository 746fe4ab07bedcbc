"""Tell how a path came to its result: what each part of it found, and what a query made of each element.

Nothing here is on the way of a request. The parts are found one after the other, each with the means of the evaluator; where a
pattern or a repeated key offers several values, the one is shown with which the rest of the path finds something.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fnkit.inference_graph.gjson.evaluate import apply_modifier, evaluate, select
from fnkit.inference_graph.gjson.path import (
    Component,
    Expression,
    IndexPart,
    KeyPart,
    Literal,
    Modifier,
    Multipath,
    QueryPart,
    Search,
    read,
)
from fnkit.inference_graph.gjson.result import MISSING, Result, result_of
from fnkit.inference_graph.gjson.scan import CONTAINER, ELEMENT, JSON, MEMBER, Value, parse, value_from
from fnkit.inference_graph.gjson.search import Walk, is_key
from fnkit.inference_graph.gjson.syntax import cut_pipe
from fnkit.inference_graph.gjson.validity import valid

MAX_TRIALS = 100
"""How many elements of an array are shown for one query."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One element that a query looked at: its place, what the left side found in it, and whether it matched."""

    index: int
    left: Result
    matched: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a path and what it found.

    *kind* is `key`, `pattern`, `index`, `count`, `each`, `query`, `modifier`, `literal` or `multipath`. A query has *trials*,
    for its first hundred elements; a multipath has an explanation for each of its paths in *inner*; *note* says why nothing
    was found, where that needs saying.
    """

    text: str
    kind: str
    result: Result
    trials: tuple[Trial, ...] = ()
    inner: tuple[Explanation, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """How *path* came to *result*; *valid* says whether the text was JSON at all."""

    path: str
    result: Result
    parts: tuple[Part, ...]
    valid: bool

    @property
    def matches(self) -> bool:
        """The verdict of KServe's router, were the path a condition: the text is JSON, and something was found."""
        return self.valid and self.result.exists


def explain(document: bytes, path: str) -> Explanation:
    """Return how *path* comes to its result in *document*."""
    try:
        return _explanation(path.encode("utf-8", "surrogatepass"), document)
    except RecursionError:  # the path itself nests some hundred levels deep; get() finds nothing with it either
        return Explanation(path, MISSING, (), valid(document))


def _explanation(path: bytes, text: bytes) -> Explanation:
    expression = read(path)
    parts = tuple(_parts(expression, text))
    return Explanation(_text(path), result_of(evaluate(expression, text)), parts, valid(text))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _parts(start: Expression, text: bytes) -> Iterator[Part]:
    """Yield the parts of an expression, with what stands behind its pipes."""
    expression: Expression | None = start
    while expression is not None:
        if isinstance(expression, Modifier):
            text = apply_modifier(expression, text)
            name = b"@" + expression.name + (b":" + expression.argument if expression.argument else b"")
            yield Part(_text(name), "modifier", result_of(parse(text)))
            expression = expression.rest
        elif isinstance(expression, Literal):
            text = expression.value
            yield Part(_text(b"!" + text), "literal", result_of(parse(text)))
            expression = expression.rest
        elif isinstance(expression, Multipath):
            inner = tuple(_explanation(selector.path, text) for selector in expression.selectors)
            text = select(expression, text)
            yield Part(_multipath_text(expression), "multipath", Result(JSON, text), inner=inner)
            expression = expression.rest
        else:
            yield from _components(expression, text)
            walk = Walk(text, evaluate)
            walk.run(expression.component, lines=expression.lines)
            text = walk.value[1] if walk.value is not None else b""
            expression = walk.pipe


def _multipath_text(multipath: Multipath) -> str:
    paths = (selector.name + b":" + selector.path if selector.name else selector.path for selector in multipath.selectors)
    closing = b"]" if multipath.opening == b"[" else b"}"
    return _text(multipath.opening + b",".join(paths) + closing)


def _components(search: Search, text: bytes) -> Iterator[Part]:
    """Yield the components of a search up to the first that finds nothing."""
    component: Component | None = search.component
    lines = search.lines
    while component is not None:
        found = CONTAINER.search(text)
        if found is None and not lines:
            yield Part(_text(component.text), "key", MISSING, note="there is no object or array to look into")
            return
        position = 0 if lines or found is None else found.end()
        if lines or (found is not None and found[0] == b"["):
            part = component.on_array()
            if part.query is not None:
                yield from _query_parts(part, part.query, text, position)
                return
            shown, value = _index_part(part, component, text, position, lines=lines)
        else:
            shown, value = _key_part(component.on_object(), text, position)
        yield shown
        if value is None or shown.kind in ("count", "each"):
            return
        component = component.on_array().rest if shown.kind == "index" else component.on_object().rest
        text, lines = value[1], False


def _key_part(part: KeyPart, text: bytes, position: int) -> tuple[Part, Value | None]:
    """Return the component with the member that it ends up with."""
    candidates = [value for name, value in _members(text, position) if is_key(part, name)]
    value = candidates[0] if candidates else None
    if part.rest is not None and len(candidates) > 1:
        rest = Search(part.rest, lines=False)
        value = next((one for one in candidates if one[0] == JSON and evaluate(rest, one[1]) is not None), value)
    kind = "pattern" if part.matches is not None else "key"
    note = "" if candidates else "no key matches" if part.matches is not None else "there is no such key"
    return Part(_text(part.text), kind, result_of(value), note=note), value


def _index_part(part: IndexPart, component: Component, text: bytes, position: int, *, lines: bool) -> tuple[Part, Value | None]:
    if part.each is not None or part.count:
        walk = Walk(text, evaluate)
        walk.run(component, lines=lines)
        kind, shown = ("count", part.text) if part.each is None else ("each", b"#." + cut_pipe(part.rest_text)[0])
        return Part(_text(shown), kind, result_of(walk.value)), walk.value
    elements = list(_elements(text, position)) if part.index >= 0 else []
    value = elements[part.index] if 0 <= part.index < len(elements) else None
    note = "" if value is not None else "this is an array: only an index, # or a query finds something in it"
    if part.index >= 0 and value is None:
        note = f"the array has {len(elements)} elements"
    return Part(_text(part.text), "index", result_of(value), note=note), value


def _query_parts(part: IndexPart, query: QueryPart, text: bytes, position: int) -> Iterator[Part]:
    """Yield the query and, if it finds one element, what stands behind it."""
    trials: list[Trial] = []
    matched: list[bytes] = []
    first: Value | None = None
    for index, element in enumerate(_elements(text, position)):
        left, verdict = _try(query, element)
        if len(trials) < MAX_TRIALS:
            trials.append(Trial(index, result_of(left), verdict))
        if verdict:
            matched.append(element[1])
            first = first or element
            if not query.every:
                break
    result = Result(JSON, b"[" + b",".join(matched) + b"]") if query.every else result_of(first)
    yield Part(_text(part.text), "query", result, trials=tuple(trials), note="" if matched else "no element matches")
    if query.rest is not None and first is not None and not query.every:
        yield from _parts(query.rest, first[1])
    elif query.rest is not None and query.every:
        pieces = (evaluate(query.rest, element) for element in matched)
        found = Result(JSON, b"[" + b",".join(piece[1] for piece in pieces if piece is not None) + b"]")
        yield Part(_text(cut_pipe(part.rest_text)[0]), "each", found)


def _try(query: QueryPart, element: Value) -> tuple[Value | None, bool]:
    if element[0] == JSON:
        left = evaluate(query.left, element[1])
        return left, query.comparison.test(left)
    if query.left_text:
        return None, False
    return element, query.comparison.test(element)


def _members(text: bytes, position: int) -> Iterator[tuple[bytes, Value]]:
    while (found := MEMBER.match(text, position)) is not None:
        value, position = value_from(text, found, 2)
        yield found[1], value


def _elements(text: bytes, position: int) -> Iterator[Value]:
    while (found := ELEMENT.match(text, position)) is not None:
        value, position = value_from(text, found, 1)
        yield value
