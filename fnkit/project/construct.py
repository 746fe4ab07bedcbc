"""Construct the steps of a graph once, to see whether their constructors work. Only ever done in the loader's child process."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from fnkit.engine import Context
from fnkit.engine.construct import build_step
from fnkit.engine.routes import build_routes
from fnkit.manifest import Flow, Manifest, Problem, Router, Step


def find_construction_problems(
    manifest: Manifest, objects: Mapping[str, object], *, absent: Collection[str] = ()
) -> tuple[Problem, ...]:
    """Return a problem for each step whose class cannot be constructed as the graph says. *objects*: target -> class.

    *absent*: the functions whose requirements are not installed here, so that nothing of theirs can be constructed.
    """
    spec = manifest.spec
    steps = spec.steps if isinstance(spec, Flow) else (spec.step,) if isinstance(spec, Router) else ()
    context = Context(parameters=manifest.parameters, is_mock=True, project=manifest.project)
    possible = [step for step in steps if not _needs(step, manifest.name, absent)]
    return tuple(problem for step in possible for problem in _of_step(step, context, objects))


def _needs(step: Step, entry: str, absent: Collection[str]) -> bool:
    """Tell whether *step*, or a route of it, is of one of the functions *absent*; the code of the entry function is everybody's."""
    functions = {step.function, *(route.function for route in step.routes)}
    return entry in absent or not functions.isdisjoint(absent)


def _of_step(step: Step, context: Context, objects: Mapping[str, object]) -> Iterator[Problem]:
    if step.kind == "queue":
        return
    try:
        more = {"routes": build_routes(step, context, [objects], None)} if step.kind == "router" else {}
        build_step(step, context, [objects], **more)
    except Exception as error:  # whatever the user's constructor raises
        cause = error.__cause__ if isinstance(error, TypeError) and error.__cause__ is not None else error
        frame = traceback.extract_tb(cause.__traceback__)[-1]
        message = f"its constructor fails: {type(cause).__name__}: {cause}"
        yield Problem(step.name, "constructor", message, f"raised at {Path(frame.filename).name}:{frame.lineno}")
