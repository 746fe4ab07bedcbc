"""Decide which step runs in which function.

Every step has a *driver*: the function that runs its part of the graph. That is the entry function, or, for what lies
behind a queue, the function that the queue wakes. The mode says which steps leave their driver:

- `step`: each class of the user gets a function, named after the first step with that class. What `function=` declares
  wins; ready-made steps, handler functions, expressions, queues and routers stay with their driver.
- `declared`: only steps with `function=` leave.
- `fused`: none leaves; only what lies behind a queue is outside of the entry function.

In an InferenceGraph the services that are classes are placed: each in a function of its own, named after the service, or only
those with `function:`, or none.
"""

from __future__ import annotations

from fnkit.functions.services import code_services
from fnkit.manifest.model import Document, Flow, Function, Router
from fnkit.records import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from fnkit.manifest.model import FunctionKind, Manifest, Placement, Route, Step

NAME_LIMIT = 40
EVERYWHERE = "*"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def place(manifest: Manifest, mode: Placement) -> Manifest:
    """Return *manifest* with every step placed and its functions complete; placing twice changes nothing.

    Each step's `function` is then the name of its function, or `"*"` for a step that runs wherever it is needed.
    Functions that were declared keep their name, requirements and limits. Raises `ValueError` for an unknown *mode*.
    """
    if mode not in ("step", "declared", "fused"):
        raise ValueError(f"unknown placement {mode!r}, use 'step', 'declared' or 'fused'")
    if manifest.placement:
        return manifest
    entry = _entry(manifest)
    if isinstance(manifest.spec, Flow):
        return _place_flow(manifest, manifest.spec, entry, mode)
    if isinstance(manifest.spec, Router):
        return _place_router(manifest, manifest.spec, entry, mode)
    if manifest.topology == "inference_graph":
        return _place_services(manifest, manifest.spec, entry, mode)
    return replace(manifest, functions=(entry,), placement=mode)


def function_name(text: str, taken: Iterable[str] = ()) -> str:
    """Return *text* as the name of a function: letters, digits and hyphens, at most 40, and none of *taken*."""
    name = "".join(char if char in _LETTERS else "-" for char in text).strip("-") or "function"
    taken = set(taken)
    candidate, number = name[:NAME_LIMIT].rstrip("-"), 1
    while candidate in taken:
        number += 1
        end = f"-{number}"
        candidate = name[: NAME_LIMIT - len(end)].rstrip("-") + end
    return candidate


def _entry(manifest: Manifest) -> Function:
    """Return the entry function, named after the graph."""
    name = function_name(manifest.name)
    for function in manifest.functions:
        if function.kind == "entry":
            return replace(function, name=name)
    return Function(name, "entry", streaming=manifest.streaming)


class _Names:
    """The functions of one graph: what was declared, and the names that are given while placing."""

    def __init__(self, manifest: Manifest, entry: Function) -> None:
        self.entry = entry.name
        self._aliases = {function.name: entry.name for function in manifest.functions if function.kind == "entry"}
        self._aliases[entry.name] = entry.name
        self.declared = {function.name: function for function in manifest.functions if function.kind != "entry"}
        self._given: dict[str, str] = {}

    def of_declared(self, wanted: str) -> str:
        """Return the function that `function=wanted` means.

        A declared function may have been given a longer name than the steps use ("nuclio-log-ds" for "log-ds"): where exactly one
        ends so, it is meant.
        """
        if wanted in self._aliases:
            return self._aliases[wanted]
        if wanted in self.declared:
            return wanted
        longer = [name for name in self.declared if name.endswith(f"-{wanted}")]
        return longer[0] if len(longer) == 1 else self.of_key(f"function {wanted}", wanted)

    def of_key(self, key: str, wanted: str) -> str:
        """Return the name given for *key*, a new one like *wanted* where there is none yet."""
        if key not in self._given:
            taken = {self.entry, *self.declared, *self._given.values()}
            self._given[key] = function_name(wanted, taken)
        return self._given[key]


def _place_flow(manifest: Manifest, flow: Flow, entry: Function, mode: Placement) -> Manifest:
    names = _Names(manifest, entry)
    drivers = _drivers(flow, names)
    homes = {step.name: _home(step, drivers[step.name], names, mode) for step in flow.steps}
    steps = tuple(
        replace(step, function=homes[step.name], routes=tuple(_place_route(route, names, mode) for route in step.routes))
        for step in flow.steps
    )
    behind = {name for name in drivers.values() if name != entry.name}
    functions = _functions(entry, steps, names, behind, mode)
    if mode == "fused":
        functions = _with_requirements(functions, flow, names)
    return replace(manifest, spec=replace(flow, steps=steps), functions=functions, placement=mode)


def _place_route(route: Route, names: _Names, mode: Placement) -> Route:
    """Return *route* in the function that `function=` says; `""`: it runs beside its router."""
    apart = mode != "fused" and route.function not in ("", EVERYWHERE)
    return replace(route, function=names.of_declared(route.function) if apart else "")


def _with_requirements(functions: tuple[Function, ...], flow: Flow, names: _Names) -> tuple[Function, ...]:
    """Return *functions*, each with the requirements of those whose steps it has taken over."""
    taken: dict[str, list[str]] = {function.name: list(function.requirements) for function in functions}
    for step in flow.steps:
        said = {step.function, *(route.function for route in step.routes)} - {"", EVERYWHERE}
        meant = sorted(name for name in map(names.of_declared, said) if name in names.declared)
        for function in functions:
            if step.name in function.steps:
                taken[function.name] += [
                    line for name in meant if name != function.name for line in names.declared[name].requirements
                ]
    return tuple(replace(function, requirements=tuple(dict.fromkeys(taken[function.name]))) for function in functions)


def _drivers(flow: Flow, names: _Names) -> dict[str, str]:
    """Return for each step the function that runs its part of the graph."""
    queues = {step.name for step in flow.steps if step.kind == "queue"}
    guarded = {step.on_error: step.name for step in flow.steps if step.on_error}
    drivers: dict[str, str] = {}
    pending = list(flow.steps)
    while pending:
        waiting = []
        for step in pending:
            before = [name for name in step.after if name not in step.cycle_from]
            if not before and step.name in guarded:
                before = [guarded[step.name]]
            if any(name in queues for name in before):
                drivers[step.name] = _woken(step, names)
            elif not before:
                drivers[step.name] = names.entry
            elif before[0] in drivers:
                drivers[step.name] = drivers[before[0]]
            else:
                waiting.append(step)
        if len(waiting) == len(pending):  # an edge to nowhere: the checks of the manifest say so
            return drivers | dict.fromkeys((step.name for step in waiting), names.entry)
        pending = waiting
    return drivers


def _woken(step: Step, names: _Names) -> str:
    """Return the function that a queue wakes to run *step*."""
    if step.function and step.function != EVERYWHERE:
        return names.of_declared(step.function)
    return names.of_key(f"behind {step.name}", step.name)


def _home(step: Step, driver: str, names: _Names, mode: Placement) -> str:
    if step.function == EVERYWHERE:
        return EVERYWHERE
    if mode == "fused":
        return driver
    if step.function:
        return names.of_declared(step.function)
    if mode == "declared" or not _has_own_class(step) or driver != names.entry:
        return driver
    return names.of_key(f"class {step.target}", step.name)


def _has_own_class(step: Step) -> bool:
    """Tell whether *step* runs a class of the user, not one of ours."""
    return step.kind == "task" and bool(step.target) and not step.target.startswith(("fnkit.", "fnkit:"))


def _functions(
    entry: Function, steps: tuple[Step, ...], names: _Names, behind: set[str], mode: Placement
) -> tuple[Function, ...]:
    """Return the entry function, then the others in the order of their first step."""
    homes = [home for step in steps for home in (step.function, *(route.function for route in step.routes))]
    wanted = [home for home in homes if home not in ("", EVERYWHERE, entry.name)]
    if mode != "fused":
        wanted += list(names.declared)
    found = []
    for name in dict.fromkeys(wanted):
        declared = names.declared.get(name)
        mine = _names_in(steps, name)
        if declared is not None:
            found.append(replace(declared, steps=mine))
        else:
            parts: list[Step | Route] = [*steps, *(route for step in steps for route in step.routes)]
            first = next(item for item in parts if item.function == name)
            kind: FunctionKind = "child" if name in behind else "step"
            found.append(replace(entry, name=name, kind=kind, steps=mine, module=_module(first) or entry.module, streaming=False))
    return (replace(entry, steps=_names_in(steps, entry.name)), *found)


def _names_in(steps: tuple[Step, ...], name: str) -> tuple[str, ...]:
    """Return the steps of the function *name*, and the keys of the routes that it runs for a router in another one."""
    routes = [route.key for step in steps for route in step.routes if route.function == name != step.function]
    return (*(step.name for step in steps if step.function in (name, EVERYWHERE)), *routes)


def _module(step: Step | Route) -> str:
    """Return the module of the class of a step or route; `""` when it comes from a pickle, or has none."""
    module, _, _ = (step.target or step.handler).partition(":")
    return "" if module == "pickle" or module.startswith("(") else module


def _joined(manifest: Manifest, entry: Function) -> tuple[str, ...]:
    """Return the requirements of *entry* and of all functions that were declared."""
    lines = list(entry.requirements)
    for function in manifest.functions:
        if function.kind != "entry":
            lines += function.requirements
    return tuple(dict.fromkeys(lines))


def _place_router(manifest: Manifest, router: Router, entry: Function, mode: Placement) -> Manifest:
    """Place a router: itself in the entry function, its routes where `function=` says; the others keep `""` and run beside it."""
    names = _Names(manifest, entry)
    routes = tuple(
        replace(route, function="" if mode == "fused" or not route.function else names.of_declared(route.function))
        for route in router.step.routes
    )
    wanted = [route.function for route in routes if route.function not in ("", EVERYWHERE, entry.name)]
    if mode != "fused":
        wanted += list(names.declared)
    found = []
    for name in dict.fromkeys(wanted):
        base = names.declared.get(name) or replace(entry, name=name, kind="step", streaming=False)
        found.append(replace(base, steps=tuple(route.key for route in routes if route.function in (name, EVERYWHERE))))
    entry = replace(entry, steps=(router.step.name,))
    if mode == "fused":
        entry = replace(entry, requirements=_joined(manifest, entry))
    step = replace(router.step, function=entry.name, routes=routes)
    return replace(manifest, spec=Router(step), functions=(entry, *found), placement=mode)


def _place_services(manifest: Manifest, document: Document, entry: Function, mode: Placement) -> Manifest:
    """Place the classes that are services; the functions' `steps` are then names of services."""
    names = _Names(manifest, entry)
    services = code_services(document.spec)
    homes: dict[str, str] = {}
    for name, code in services.items():
        if mode == "fused" or not (code.function or mode == "step"):
            homes[name] = entry.name
        else:
            homes[name] = names.of_declared(code.function) if code.function else names.of_key(f"service {name}", name)

    def requirements(steps: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*entry.requirements, *(line for step in steps for line in services[step].requirements))))

    placed = []
    for home in dict.fromkeys((entry.name, *homes.values())):
        steps = tuple(name for name in services if homes[name] == home)
        function = replace(entry, steps=steps, requirements=requirements(steps))
        if home != entry.name:
            function = replace(function, name=home, kind="step", module=services[steps[0]].module)
        placed.append(function)
    return replace(manifest, functions=tuple(placed), placement=mode)
