"""Copy a body for a branch, so that branches cannot see each other's changes.

The semantics are those of `copy.deepcopy`, without its price for what most bodies are: JSON-like values of exactly the built-in types.
"""

from __future__ import annotations

from fnkit.lean import import_module

_WHOLE = frozenset((str, bytes, int, float, bool, complex, type(None)))
_DEEP = 60  # levels; what is nested deeper is left to deepcopy and its memory of visited objects


def isolate(body: object) -> object:
    """Return a deep copy of *body*; what cannot be changed is not copied. TypeError for what cannot be copied (locks, files...)."""
    if body.__class__ in _WHOLE:
        return body
    memo: dict[int, object] = {}
    try:
        return _copy(body, memo, _DEEP)
    except _NotPlainError:
        return import_module("copy").deepcopy(body)  # few bodies need it


class _NotPlainError(Exception):
    """The body holds something that is not one of the built-in types."""


def _copy(value: object, memo: dict[int, object], levels: int) -> object:
    kind = value.__class__
    if kind in _WHOLE:
        return value
    known = memo.get(id(value))
    if known is not None:
        return known
    if levels == 0:
        raise _NotPlainError
    if isinstance(value, dict) and kind is dict:
        copied: dict[object, object] = {}
        memo[id(value)] = copied
        for key, item in value.items():
            copied[key if key.__class__ in _WHOLE else _copy(key, memo, levels - 1)] = (
                item if item.__class__ in _WHOLE else _copy(item, memo, levels - 1)
            )
        return copied
    if isinstance(value, list) and kind is list:
        items: list[object] = []
        memo[id(value)] = items
        items.extend([item if item.__class__ in _WHOLE else _copy(item, memo, levels - 1) for item in value])
        return items
    raise _NotPlainError
