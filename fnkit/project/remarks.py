"""What a graph does that was hardly meant. It runs nevertheless, so these are warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from fnkit.manifest import Flow, Manifest, Problem, Router, Step
from fnkit.manifest.reach import followers_of, starts_of
from fnkit.serving import ModelRunnerSelector
from fnkit.serving.authoring import RUNNER


def find_remarks(
    manifest: Manifest, objects: Mapping[str, object], *, absent: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> tuple[Problem, ...]:
    """Return functions that nothing runs in, and branches whose events are never answered. *objects*: target -> class.

    *absent*: for each function that could be read only, the modules that are not installed here.
    """
    spec = manifest.spec
    found = [*(_unseen(function, modules) for function, modules in absent.items()), *_idle_functions(manifest)]
    if isinstance(spec, Flow):
        found += _unanswered(spec, objects)
    return tuple(found)


def _unseen(function: str, modules: tuple[str, ...]) -> Problem:
    message = f"the code of the function {function!r} has been read, but not tried: {', '.join(modules)} cannot be imported here"
    return Problem(
        "", "not-installed", message, "its bundle brings what its requirements name; to have all of it checked, install them here"
    )


def _idle_functions(manifest: Manifest) -> Iterator[Problem]:
    spec = manifest.spec
    steps = spec.steps if isinstance(spec, Flow) else (spec.step,) if isinstance(spec, Router) else ()
    used = {step.function for step in steps} | {route.function for step in steps for route in step.routes}
    for function in manifest.functions:
        if function.kind != "entry" and function.name not in used:
            message = f"no step runs in the function {function.name!r}, which is built and deployed all the same"
            yield Problem("", "idle-function", message, f"say function={function.name!r} at a step, or take the function out")


def _unanswered(flow: Flow, objects: Mapping[str, object]) -> Iterator[Problem]:
    """Yield each way that `select_outlets` can choose and that ends without an answer, while other ways lead to one."""
    responders = [step.name for step in flow.steps if step.responder]
    if len(responders) != 1:
        return
    (responder,) = responders
    behind = followers_of(flow)
    for step in flow.steps:
        if not _chooses(step, objects) or (step.name != responder and _leads(starts_of(flow), responder, behind, past=step.name)):
            continue
        lost = [name for name in behind[step.name] if not _leads([name], responder, behind)]
        for name in lost if len(lost) < len(behind[step.name]) else ():
            message = (
                f"what it sends to {name!r} alone never reaches {responder!r}, which answers: the client gets 204 and no body"
            )
            hint = "lead its branches to one last step, and let that one respond: add_step(..., after=[...]).respond()"
            yield Problem(step.name, "no-answer", message, hint)


def _leads(starts: Iterable[str], goal: str, behind: Mapping[str, list[str]], *, past: str = "") -> bool:
    """Tell whether a way leads from one of *starts* to *goal*, without the step *past*."""
    pending, seen = list(starts), {past}
    while pending:
        name = pending.pop()
        if name == goal and name not in seen:
            return True
        if name not in seen:
            seen.add(name)
            pending += behind.get(name, ())
    return False


def _chooses(step: Step, objects: Mapping[str, object]) -> bool:
    """Tell whether the class of *step*, or the selector of a model runner, says which way an event takes."""
    if step.target != RUNNER:
        return callable(getattr(objects.get(step.target), "select_outlets", None))
    given = [objects.get(value) for value in step.args.values() if isinstance(value, str)]
    selectors = [item for item in given if isinstance(item, type) and issubclass(item, ModelRunnerSelector)]
    return any(item.select_outlets is not ModelRunnerSelector.select_outlets for item in selectors)
