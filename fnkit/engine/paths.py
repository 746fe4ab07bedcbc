"""`input_path` and `result_path`: dotted paths into a body."""

from __future__ import annotations


def read_path(body: object, path: str) -> object:
    """Return what lies at the dotted *path* of *body*; a missing key gives None.

    TypeError where *body* is not dict-like at all.
    """
    if not path:
        return body
    if not hasattr(body, "__getitem__"):
        raise TypeError("input_path parameter supports only dict-like event bodies")
    value: object = body
    for key in path.split("."):
        if not isinstance(value, dict):
            getter = getattr(value, "get", None)
            if getter is None:
                return None
            value = getter(key)
        else:
            value = value.get(key)
    return value


def write_path(body: object, path: str, result: object) -> object:
    """Put *result* at the dotted *path* of *body*, making the dicts on the way, and return *body*.

    A result that is the body itself is put there as a copy of its first level: a body never contains itself.
    """
    if not path:
        return result
    if not isinstance(body, dict):
        raise TypeError(f"result_path '{path}' needs a dict as the body, not {type(body).__name__}")
    if result is body:
        result = dict(body)
    place = body
    *parents, last = path.split(".")
    for key in parents:
        below = place.get(key)
        if not isinstance(below, dict):
            below = place[key] = {}
        place = below
    place[last] = result
    return body
