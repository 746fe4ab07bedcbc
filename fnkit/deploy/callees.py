"""Which functions of a graph call which others: those are made first, so that who calls them can be told their versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fnkit.manifest import Flow, Function, Manifest
from fnkit.manifest.calls import drivers_of


def find_callees(manifest: Manifest) -> Mapping[str, frozenset[str]]:
    """Return for each function of the placed *manifest* the functions that it calls; the entry function may call them all."""
    names = [function.name for function in manifest.functions]
    called: dict[str, set[str]] = {name: set() for name in names}
    called[manifest.entry.name] = set(names)
    if isinstance(manifest.spec, Flow):
        drivers = drivers_of(manifest.spec)
        for step in manifest.spec.steps:
            called.get(drivers.get(step.name, ""), set()).add(step.function)
            called.get(step.function, set()).update(route.function for route in step.routes)
    return {name: frozenset(others.intersection(names) - {name}) for name, others in called.items()}


def in_order(functions: Iterable[Function], callees: Mapping[str, frozenset[str]]) -> tuple[Function, ...]:
    """Return *functions* so that each comes after those that it calls, the entry function last of all.

    Functions that call each other in a circle stand as they were: who comes first calls the other's latest code.
    """
    waiting = sorted(functions, key=lambda function: function.kind == "entry")
    ordered: list[Function] = []
    while waiting:
        left = {function.name for function in waiting}
        ready = next((one for one in waiting if left.isdisjoint(callees.get(one.name, ()))), waiting[0])
        waiting.remove(ready)
        ordered.append(ready)
    return tuple(ordered)
