"""What of a graph can be carried to another process: JSON values and pickles, and what is said of anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from fnkit.manifest import Flow, Manifest, Problem, Router
from fnkit.manifest.codec import find_foreign
from fnkit.project.steps import is_plain


def is_knot(value: object) -> bool:
    """Tell whether *value* cannot be walked to its end."""
    try:
        is_plain(value)
    except RecursionError:
        return True
    return False


def plain_value(value: object) -> object:
    """Return *value* as JSON reads it back: lists for tuples, plain strings and numbers for members of enumerations."""
    if isinstance(value, Mapping):
        return {key: plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    for plain in (bool, str, int, float):
        if isinstance(value, plain):
            return value if type(value) is plain else plain(getattr(value, "value", value))
    return value


def foreign_arguments(manifest: Manifest) -> Iterator[Problem]:
    """Yield a problem for each argument and parameter that JSON cannot carry."""
    spec = manifest.spec
    steps = spec.steps if isinstance(spec, Flow) else (spec.step,) if isinstance(spec, Router) else ()
    places: list[tuple[str, str, object]] = [("", "parameter", manifest.parameters)]
    places += [(step.name, "argument", step.args) for step in steps]
    places += [(step.name, "argument", route.args) for step in steps for route in step.routes]
    for step_name, what, values in places:
        faults: list[str] = []
        find_foreign(values, what, faults)
        hint = "pass plain JSON values, a class or a function; build anything else in the constructor"
        yield from (Problem(step_name, "argument-value", fault, hint) for fault in faults)


def not_picklable(manifest: Manifest, name: str, reason: str) -> Problem:
    """Return the problem of the object *name*, which cannot be pickled for *reason*."""
    spec = cast("Flow | Router", manifest.spec)
    steps = spec.steps if isinstance(spec, Flow) else (spec.step,)
    target = f"pickle:{name}"
    users = [step.name for step in steps if target in (step.target, step.handler, *step.args.values())]
    hint = "put its class in a .py file of the project, and create what cannot be copied in the constructor"
    return Problem(users[0] if users else "", "not-picklable", f"{name} cannot be carried to another process: {reason}", hint)
