"""Steps that decide where an event goes."""

from __future__ import annotations

from collections import namedtuple

from fnkit.engine.event import Event
from fnkit.errors import MLRunInvalidArgumentError, MLRunInvalidArgumentTypeError, MLRunRuntimeError
from fnkit.steps.calls import Function, applied, rewritten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal


class Choice:
    """The base of steps that route and nothing else: `select_outlets(body)` returns the names of the next steps.

    A string is one name. An empty list drops the event: a client that waits is answered 204. None is a TypeError.
    """

    fnkit_power: Literal["choice"] = "choice"

    def select_outlets(self, event: object) -> Sequence[str] | str:
        """Return the names of the next steps; subclasses say which."""
        raise NotImplementedError(f"{type(self).__name__} has no method select_outlets(self, body)")


class ChoiceByField(Choice):
    """Route by the value that the body has in *field_name*: the name of a next step, or a list of names."""

    def __init__(self, field_name: str) -> None:
        self.field_name = field_name

    def select_outlets(self, event: object) -> Sequence[str] | str:
        """Return the field's value. The errors carry the status that MLRun gives them (400, or 500 where the field is missing)."""
        body = event.body if isinstance(event, Event) else event
        if not isinstance(body, dict):
            raise MLRunInvalidArgumentError(f"ChoiceByField needs a dict as the body, not {type(body).__name__}")
        field = f"'{self.field_name}'"
        if self.field_name not in body:
            raise MLRunRuntimeError(f"Field {field} is not contained in the event keys {list(body)}.")
        value = body[self.field_name]
        if value is None:
            raise MLRunInvalidArgumentError(f"Field {field} exists but its value is None.")
        if not isinstance(value, str | list | tuple):
            kind = type(value).__name__
            raise MLRunInvalidArgumentTypeError(
                f"Field {field} must be a string or list of strings but is instead of type '{kind}'."
            )
        if not value and not isinstance(value, str):
            raise MLRunRuntimeError(f"The value of the key {field} cannot be an empty {type(value).__name__}.")
        if not all(isinstance(name, str) for name in value):
            raise MLRunInvalidArgumentTypeError(f"Field {field} must be a list or tuple of strings but contains different types.")
        return value


class Partitioned(namedtuple("Partitioned", ("left", "right"))):
    """What `Partition` makes of a body: it stands on one side, the other is None."""

    __slots__ = ()


class Partition:
    """Put the body on the left where *predicate* holds for it, otherwise on the right: the next body is `Partitioned`."""

    def __init__(self, predicate: Function) -> None:
        self.do = applied(predicate, _partitioned)


def _partitioned(subject: object, holds: object) -> object:
    return rewritten(subject, lambda body: Partitioned(body, None) if holds else Partitioned(None, body))
