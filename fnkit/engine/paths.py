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
    TypeError where *body* is no dict, and where something else than a dict lies on the way: nothing is overwritten to make room.
    """
    if not path:
        return result
    if not isinstance(body, dict):
        raise TypeError("result_path parameter supports only dict-like event bodies")
    if result is body:
        result = dict(body)
    place = body
    *parents, last = path.split(".")
    for key in parents:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise TypeError(f"'{type(place).__name__}' object does not support item assignment")
    place[last] = result
    return body
