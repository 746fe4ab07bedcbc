"""Steps that insist, or forgive, or end."""

from __future__ import annotations

from fnkit.engine.construct import suspends
from fnkit.engine.event import Event
from fnkit.errors import MLRunInvalidArgumentError
from fnkit.steps.calls import Function, applied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Assert:
    """Let the body pass if *fn* gives something true for it, otherwise raise AssertionError with *message*."""

    def __init__(self, fn: Function, message: str = "") -> None:
        self._message = message
        self.do = applied(fn, self._check)

    def _check(self, body: object, holds: object) -> object:
        if not holds:
            shown = body.body if isinstance(body, Event) else body
            raise AssertionError(self._message or f"the assertion does not hold for {shown!r}")
        return body


class Recover:
    """An error handler that takes some errors and lets the others through.

    *exceptions* are names of exception classes (of the error's class or a base of it); empty: all. The next body is what *fn* makes of
    the body the failing step was given, or *value*; without both, that body itself.
    """

    def __init__(
        self, exceptions: Iterable[str] | str = (), fn: Function | None = None, value: object = None, context: object = None
    ) -> None:
        if fn is not None and suspends(fn):
            raise MLRunInvalidArgumentError("Recover needs a plain function, not an async one", hint="use a handler of your own")
        self._names = frozenset((exceptions,) if isinstance(exceptions, str) else exceptions)
        self._fn = fn
        self._value = value

    def do_event(self, event: Event) -> Event:
        """Return the event with the body to go on with, or raise its error again."""
        error = event.error
        if isinstance(error, BaseException) and self._names and not self._names & {base.__name__ for base in type(error).__mro__}:
            raise error
        if self._fn is not None:
            event.body = self._fn(event.body)
        elif self._value is not None:
            event.body = self._value
        return event


class Complete:
    """Hand the body on unchanged: the last step of a graph that answers with it."""

    def do(self, body: object) -> object:
        """Return *body*."""
        return body
