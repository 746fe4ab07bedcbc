"""Turn a function of the user, plain or `async`, into the `do` of a step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fnkit.engine.construct import suspends
from fnkit.engine.event import Event
from fnkit.engine.paths import read_path
from fnkit.records import cast

Function = Callable[..., object]


def applied(function: Function, finish: Callable[[object, object], object], input_path: str | None = None) -> Function:
    """Return a `do` that calls *function* with the body and answers `finish(body, result)`; async where *function* is.

    With *input_path* the function gets only that part of a body, *finish* all of it: for steps that set `keeps_body`.
    """
    path = input_path or ""
    if suspends(function):

        async def later(body: object) -> object:
            return finish(body, await cast(Awaitable[object], function(_part(body, path))))

        return later
    if path:
        return lambda body: finish(body, function(_part(body, path)))
    return lambda body: finish(body, function(body))


def _part(subject: object, path: str) -> object:
    return subject if isinstance(subject, Event) else read_path(subject, path)


def rewritten(subject: object, change: Callable[[object], object]) -> object:
    """Return *subject* with its body changed: an event (of a step with `full_event`) keeps its identity, a body is replaced."""
    if isinstance(subject, Event):
        subject.body = change(subject.body)
        return subject
    return change(subject)


def need_dict(body: object, step: str) -> dict[str, object]:
    """Return *body*, which must be a dict for *step* to work."""
    if not isinstance(body, dict):
        raise TypeError(f"{step} needs a dict as the body, not {type(body).__name__}")
    return body
