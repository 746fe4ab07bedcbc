"""Every check of a graph that needs nothing but its manifest, all faults at once."""

from __future__ import annotations

import re

from fnkit.manifest.calls import find_call_faults
from fnkit.manifest.model import Flow, Manifest, Router, Step
from fnkit.manifest.problem import Problem
from fnkit.manifest.reach import find_cycle, followers_of, reachable, resolve_function
from fnkit.manifest.spelling import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


_FUNCTION_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_FUNCTION_NAME_LENGTH = 40
_RESERVED = ("Complete", "$prev")


def find_problems(manifest: Manifest) -> tuple[Problem, ...]:
    """Return everything that is wrong with the graph of *manifest*, in the order of its steps; () if nothing is.

    The spec of an `inference_graph` or a `gateway` is checked by its own package.
    """
    problems = [*_names_of_functions(manifest)]
    if isinstance(manifest.spec, Router):
        router = manifest.spec.step
        problems += [*_routes(router), *find_call_faults(router), *_functions(manifest, (router,))]
    elif isinstance(manifest.spec, Flow):
        flow = manifest.spec
        problems += [
            *_names(flow),
            *_links(flow),
            *(problem for step in flow.steps for problem in _one_step(step)),
            *_loops(flow),
            *_unreachable(flow),
            *_responders(flow),
            *_engine(flow),
            *_queues(flow),
            *_functions(manifest, flow.steps),
            *_route_keys(flow),
        ]
    return tuple(dict.fromkeys(problems))


def _names_of_functions(manifest: Manifest) -> Iterator[Problem]:
    seen: set[str] = set()
    for function in manifest.functions:
        name = function.name
        if function.kind != "entry" and not (_FUNCTION_NAME.fullmatch(name) and len(name) <= _FUNCTION_NAME_LENGTH):
            yield Problem(
                "",
                "function-name",
                f"{name!r} cannot be the name of a function",
                f"use letters, digits and hyphens, at most {_FUNCTION_NAME_LENGTH}",
            )
        if name in seen:
            yield Problem("", "duplicate-function", f"two functions are called {name!r}", "give one of them another name")
        seen.add(name)


def _names(flow: Flow) -> Iterator[Problem]:
    if not flow.steps:
        yield Problem("", "no-steps", "the graph has no steps", "add one: graph.to(MyStep).respond()")
    seen: set[str] = set()
    for step in flow.steps:
        if step.name in seen:
            yield Problem(step.name, "duplicate-step", "two steps have this name", "give one of them another name=")
        seen.add(step.name)
        if step.name in _RESERVED or step.name != step.name.strip() or not step.name.isprintable():
            yield Problem(step.name, "step-name", f"{step.name!r} cannot be the name of a step", "give it another name=")


def _links(flow: Flow) -> Iterator[Problem]:
    names = [step.name for step in flow.steps]
    for step in flow.steps:
        for name in step.after:
            if name not in names:
                message = f"it comes after {name!r}, but there is no step of that name"
                yield Problem(step.name, "missing-step", message, did_you_mean(name, [n for n in names if n != step.name]))
        if step.on_error and step.on_error not in names:
            message = f"its error handler {step.on_error!r} is not a step"
            yield Problem(step.name, "missing-step", message, did_you_mean(step.on_error, names))
        if step.on_error == step.name:
            yield Problem(step.name, "own-handler", "it is its own error handler", "handle its errors in another step")
    if flow.on_error and flow.on_error not in names:
        message = f"the graph's error handler {flow.on_error!r} is not a step"
        yield Problem("", "missing-step", message, did_you_mean(flow.on_error, names))


def _one_step(step: Step) -> Iterator[Problem]:
    if step.kind == "router":
        yield from _routes(step)
    elif step.kind == "queue" and "path" not in step.args:
        yield Problem(
            step.name,
            "queue-path",
            "path=<stream path or None> must be specified for queues",
            'for example path="kafka://broker:9092/topic", or path="" for a local queue',
        )
    elif step.kind == "task" and not (step.target or step.handler):
        yield Problem(step.name, "no-code", "it has neither a class nor a handler", "pass class_name= or handler=")
    yield from find_call_faults(step)
    if step.max_iterations is not None and step.max_iterations < 1:
        yield Problem(step.name, "max-iterations", f"max_iterations is {step.max_iterations}", "use at least 1")


def _routes(router: Step) -> Iterator[Problem]:
    if not router.routes:
        yield Problem(
            router.name,
            "no-routes",
            "You have to add models to the router step before initializing it",
            "add one with fn.add_model(key, ...) or add_route(key, ...)",
        )
    for route in router.routes:
        if not (route.target or route.handler):
            message = f"the route {route.key!r} has neither a class nor a handler"
            yield Problem(router.name, "no-code", message, "pass class_name= or handler=")


def _loops(flow: Flow) -> Iterator[Problem]:
    if flow.allow_cyclic:
        return
    cycle = find_cycle(flow)
    if cycle:
        yield Problem(
            cycle[0],
            "loop",
            f"Error, loop detected in step {cycle[0]}, graph must be acyclic (DAG)",
            f"the loop is {' -> '.join((*cycle, cycle[0]))}; allow it with allow_cyclic=True and cycle_to=, or take one step out",
        )


def _unreachable(flow: Flow) -> Iterator[Problem]:
    reached = reachable(flow)
    if not flow.allow_cyclic:
        reached |= reachable(flow, find_cycle(flow))  # the refused loop is their problem
    names = {step.name for step in flow.steps}
    for step in flow.steps:
        if step.name not in reached and all(name in names for name in step.after):
            hint = f"it comes only after {', '.join(step.after)}, which no start step leads to"
            yield Problem(step.name, "unreachable", "no event ever reaches it", hint)


def _responders(flow: Flow) -> Iterator[Problem]:
    responders = [step.name for step in flow.steps if step.responder]
    if len(responders) > 1:
        yield Problem(
            "",
            "two-responders",
            f"there are more than one responder steps in the graph ({','.join(responders)})",
            "only one step can answer the client: remove the other .respond()",
        )
    if flow.allow_cyclic:
        return
    behind = followers_of(flow)
    for name in responders:
        if behind.get(name):
            yield Problem(
                name,
                "responder-mid-graph",
                f"it answers the client, but {', '.join(behind[name])} would still come after it",
                "call .respond() on the last step of the way, or set allow_cyclic=True and leave by the outlet 'Complete'",
            )


def _engine(flow: Flow) -> Iterator[Problem]:
    if flow.max_iterations is not None and flow.max_iterations < 1:
        yield Problem("", "max-iterations", f"max_iterations is {flow.max_iterations}", "use at least 1")
    if flow.engine != "sync":
        return
    if flow.allow_cyclic:
        message = "Cyclic graphs are not supported with sync engine, please use async engine"
        yield Problem("", "sync-cycles", message, 'set engine="async"')
    behind = followers_of(flow)
    starts = [step.name for step in flow.steps if not step.after and not _is_handler(flow, step.name)]
    crowded = set(starts[1:]) | {name for names in behind.values() for name in names[1:]}
    joined = [step for step in flow.steps if len(step.after) > 1]
    for step in joined or flow.steps:
        if step in joined or step.name in crowded:
            message = f"synchronous flow engine doesnt support branches use async for step {step.name}"
            if step.name in starts:
                message = "sync engine can only have one starting step (without .after)"
            yield Problem(step.name, "sync-branches", message, 'set engine="async"')


def _is_handler(flow: Flow, name: str) -> bool:
    return flow.on_error == name or any(step.on_error == name for step in flow.steps)


def _queues(flow: Flow) -> Iterator[Problem]:
    queues = {step.name for step in flow.steps if step.kind == "queue"}
    readers: dict[str, set[str]] = {}
    for step in flow.steps:
        before = queues.intersection(step.after)
        if before and step.kind != "queue" and not step.function:
            message = f"step '{step.name}' must specify a function, because it follows a queue step"
            yield Problem(step.name, "queue-function", message, "pass function= and declare it with fn.add_child_function(...)")
        for queue in before if step.function else ():
            readers.setdefault(step.function, set()).add(queue)
    for function, names in sorted(readers.items()):
        if len(names) > 1:
            message = f"function ({function}) cannot read from multiple queues"
            yield Problem("", "many-queues", message, f"it reads {', '.join(sorted(names))}: use a function for each")


def _functions(manifest: Manifest, steps: tuple[Step, ...]) -> Iterator[Problem]:
    known = [function.name for function in manifest.functions]
    if manifest.placement:
        return
    used = [(step.name, home) for step in steps for home in (step.function, *(route.function for route in step.routes))]
    for name, wanted in dict.fromkeys(used):
        if wanted in ("", "*") or resolve_function(wanted, known):
            continue
        children = [function.name for function in manifest.functions if function.kind == "child"]
        near = _near_functions(wanted, children)
        yield Problem(
            name,
            "unknown-function",
            f"function {wanted} is used in steps and is not defined, "
            "use the .add_child_function() to specify child function attributes",
            near,
        )


def _route_keys(flow: Flow) -> Iterator[Problem]:
    """Yield routes in functions of their own that could be mistaken for something else: they are called by their keys alone."""
    taken = {step.name for step in flow.steps}
    for step in flow.steps:
        for route in step.routes if step.kind == "router" else ():
            if route.function and route.key in taken:
                message = f"the route {route.key!r} runs in a function of its own, and another step or route is called so too"
                yield Problem(step.name, "route-key", message, "give one of them another name")
            if route.function:
                taken.add(route.key)


def _near_functions(wanted: str, children: list[str]) -> str:
    """Return which of the functions *children* the name *wanted* may mean."""
    several = [name for name in children if name.endswith(f"-{wanted}")]
    if several:
        return f"{' and '.join(several)} end so: write the whole name of one of them"
    return did_you_mean(wanted, children) or f"declare it: fn.add_child_function({wanted!r}, file)"
