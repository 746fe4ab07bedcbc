"""Whether a class takes the arguments that a graph gives it, and can be called as a step."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from fnkit.engine.expressions import compile_expression
from fnkit.manifest import Flow, Manifest, Problem, Route, Router, Step
from fnkit.manifest.calls import option_of
from fnkit.manifest.spelling import closest, did_you_mean
from fnkit.project.absent import Absent
from fnkit.serving.authoring import RUNNER

_INJECTED = ("name", "context", "input_path", "result_path", "full_event", "graph_step", "routes")
_STEP_WORDS = (
    "name",
    "handler",
    "function",
    "full_event",
    "input_path",
    "result_path",
    "cycle_to",
    "max_iterations",
    "after",
    "class_name",
    "graph_shape",
)
_METHODS = ("do", "do_event", "select_outlets")


def find_call_problems(manifest: Manifest, objects: Mapping[str, object]) -> tuple[Problem, ...]:
    """Return what is wrong with how the steps of *manifest* call their classes. *objects*: target -> class or function."""
    spec = manifest.spec
    steps = spec.steps if isinstance(spec, Flow) else (spec.step,) if isinstance(spec, Router) else ()
    return tuple(problem for step in steps for problem in _of_step(step, objects))


def _of_step(step: Step, objects: Mapping[str, object]) -> Iterator[Problem]:
    yield from _expressions(step.name, step.handler if not step.target else "", step.args)
    if step.kind == "task":
        yield from _of_class(step.name, step, objects)
    for route in step.routes:
        yield from _expressions(step.name, route.handler if not route.target else "", route.args)
        if step.target == RUNNER:
            yield from _of_model(step.name, route, objects)
        else:
            yield from _of_class(step.name, route, objects)


def _of_class(name: str, used: Step | Route, objects: Mapping[str, object]) -> Iterator[Problem]:
    subject = objects.get(used.target)
    if subject is None or used.target.startswith("fnkit."):
        yield from _of_ready_made(name, used, subject)
        return
    if isinstance(subject, type):
        yield from _arguments(name, subject, used.args)
        if issubclass(subject, Absent):
            return  # its methods may come from where we cannot look
    shown = subject.__name__ if isinstance(subject, type) else type(subject).__name__
    if used.handler:
        if not callable(getattr(subject, used.handler, None)):
            message = f"handler ({used.handler}) specified but doesnt exist in class {shown}"
            yield Problem(name, "no-method", message, did_you_mean(used.handler, _methods(subject)))
    elif not any(callable(getattr(subject, method, None)) for method in _METHODS):
        near = closest("do", _methods(subject)) or next((name for name in _methods(subject)), "")
        hint = f"give it do(self, body), or name the method: handler={near!r}" if near else "give it do(self, body)"
        yield Problem(name, "no-do", f"class {shown} has no method do", hint)


def _of_model(name: str, route: Route, objects: Mapping[str, object]) -> Iterator[Problem]:
    subject = objects.get(route.target)
    if isinstance(subject, type):
        yield from _arguments(name, subject, route.args)
        if not issubclass(subject, Absent) and not any(
            callable(getattr(subject, method, None)) for method in ("predict", "predict_async")
        ):
            message = f"class {subject.__name__} has no method predict"
            yield Problem(name, "no-predict", message, f"derive {subject.__name__} from fnkit.serving.Model")


def _of_ready_made(name: str, used: Step | Route, subject: object) -> Iterator[Problem]:
    if isinstance(subject, type):
        yield from _arguments(name, subject, used.args)


def _methods(subject: object) -> list[str]:
    owner = subject if isinstance(subject, type) else type(subject)
    return [key for key, value in vars(owner).items() if inspect.isfunction(value) and not key.startswith("_")]


def _arguments(step: str, cls: type, args: Mapping[str, object]) -> Iterator[Problem]:
    given = [key[1:] if key.startswith("_") else key for key in args]
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    by_name = [item for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
    known = [item.name for item in by_name]
    for key in given if not takes_any else ():
        if key not in known:
            yield Problem(step, "unknown-argument", f"{cls.__name__} does not take {key!r}", _meant(key, known))
    for item in by_name:
        if item.default is item.empty and item.name not in given and item.name not in _INJECTED:
            message = f"{cls.__name__} needs the argument {item.name!r}"
            yield Problem(step, "missing-argument", message, f"pass {item.name}=...")
    for item in parameters:
        if item.kind is item.POSITIONAL_ONLY and item.default is item.empty:
            message = f"{cls.__name__} takes {item.name!r} by position only, but steps are made with named arguments"
            yield Problem(step, "missing-argument", message, "remove the '/' from its constructor")


def _meant(key: str, known: list[str]) -> str:
    near = closest(key, known) or closest(key, _STEP_WORDS)
    if near:
        return f"did you mean {near!r}?"
    option = option_of(key)
    if option:
        return f"did you mean an option of the calls to this step: call={{{option!r}: ...}}?"
    takes = ", ".join(name for name in known if name not in _INJECTED)
    return f"it takes: {takes}" if takes else "it takes no arguments"


def _expressions(step: str, handler: str, args: Mapping[str, object]) -> Iterator[Problem]:
    texts = [handler, *(value for key, value in args.items() if key.startswith("_") and isinstance(value, str))]
    for text in texts:
        if not text.startswith("("):
            continue
        try:
            compile_expression(text)
        except Exception as error:  # whatever the parser refuses the text with
            hint = str(getattr(error, "hint", "")) or "name a function instead"
            yield Problem(step, "expression", f"the expression {text} cannot be used: {error}", hint)
