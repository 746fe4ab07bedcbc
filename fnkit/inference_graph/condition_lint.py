"""Conditions that do not ask what their author meant: brackets, `&&`, and paths that are always true."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAIRS = {"(": ")", "[": "]", "{": "}"}


def find_condition_faults(condition: str) -> tuple[str, ...]:
    """Return what is suspicious in *condition*, one sentence each."""
    return tuple(_faults(condition))


def _faults(condition: str) -> Iterator[str]:
    bare, balance = _without_strings(condition)
    if balance:
        yield f"{balance} in {condition!r}: it will match nothing, or not what you mean"
    for operator, remedy in (("&&", "chain queries with pipes: [@this].#(a>1)|[@this].#(b<2)"), ("||", "use several steps")):
        if operator in bare:
            yield f"GJSON has no {operator}: it belongs to the value on the right, and a number is then read as 0; {remedy}"
    for operator in ("===", "=>", "=<"):
        if operator in bare:
            yield f"GJSON has no operator {operator}"
    if condition != condition.strip():
        yield "spaces around a condition belong to its first and last key"
    yield from _always(bare.strip())


def _always(bare: str) -> Iterator[str]:
    if bare.startswith("{") or (bare.startswith("[") and bare.endswith("]") and bare.count("[") == 1):
        yield "a list or an object of paths exists whatever is found: this condition always holds"
    elif bare.startswith("!"):
        yield "a literal exists always: this condition always holds"
    elif bare.endswith(")#"):
        yield "#(...)# gives a list, perhaps an empty one, which exists: on a list this condition always holds; write #(...)"
    elif bare == "@this":
        return


def _without_strings(condition: str) -> tuple[str, str]:
    """Return *condition* with the content of its strings and its escapes left out, and what is wrong with its brackets."""
    kept: list[str] = []
    closers: list[str] = []
    quoted = False
    at = 0
    while at < len(condition):
        char = condition[at]
        if char == "\\":
            at += 2
            continue
        if char == '"' and closers:
            quoted = not quoted
        elif not quoted:
            kept.append(char)
            if char in _PAIRS:
                closers.append(_PAIRS[char])
            elif char in ")]}" and closers and char != closers.pop():
                return "".join(kept), f"mismatched {char!r}"
        at += 1
    if quoted:
        return "".join(kept), "an unclosed string"
    return "".join(kept), f"a missing {closers[-1]!r}" if closers else ""
