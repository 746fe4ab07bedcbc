"""Steps that turn one body into another."""

from __future__ import annotations

from functools import wraps

from fnkit.engine.event import Event
from fnkit.engine.powers import DROP, Drop
from fnkit.lean import Mapping
from fnkit.records import cast
from fnkit.steps.calls import Function, applied, need_dict, rewritten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    F = TypeVar("F", bound=Callable[..., object])

_NOT_PLAIN = 0x20 | 0x80 | 0x100 | 0x200  # CO_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE, CO_ASYNC_GENERATOR


class Map:
    """Go on with what *fn* makes of the body. *fn* may be `async`, and may be a generator: then the step streams."""

    def __init__(self, fn: Function) -> None:
        self.do = fn


class MapClass:
    """The base of steps that may drop events: `return self.filter()` in `do` ends the event's way.

    A plain `do` may also call `self.filter()` and return anything; an `async def do` has to return what `filter()` gives.
    """

    _dropped = False

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        own = cls.__dict__.get("do")
        if own is not None and not own.__code__.co_flags & _NOT_PLAIN:
            setattr(cls, "do", _dropping(own))  # noqa: B010  # not for a type checker: the method keeps its signature

    def filter(self) -> Drop:
        """Drop the event that `do` is working on."""
        self._dropped = True
        return DROP

    def do(self, body: object) -> object:
        """Return the next body; subclasses say how."""
        raise NotImplementedError(f"{type(self).__name__} has no method do(self, body)")


def _dropping(do: F) -> F:
    @wraps(do)
    def checked(self: MapClass, *args: object, **options: object) -> object:
        result = do(self, *args, **options)
        if self._dropped:
            self._dropped = False
            return DROP
        return result

    return cast("F", checked)  # the same signature, by construction


class Extend:
    """Add to the body, a dict, what *fn* returns for it (with *input_path*: for that part of it), another dict."""

    keeps_body = True

    def __init__(self, fn: Function, input_path: str | None = None) -> None:
        self.do = applied(fn, _extended, input_path)


def _extended(subject: object, more: object) -> object:
    def extend(body: object) -> object:
        if not isinstance(more, Mapping):
            raise TypeError(f"Extend needs a function that returns a dict, not {type(more).__name__}")
        return {**need_dict(body, "Extend"), **more}

    return rewritten(subject, extend)


class Rename:
    """Rename keys of the body: *mapping* is old name -> new name; keys that are not there are passed over."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._mapping = dict(mapping)

    def do(self, body: object) -> object:
        """Return the body with its keys renamed, the renamed ones last."""
        return rewritten(body, self._rename)

    def _rename(self, body: object) -> object:
        old = need_dict(body, "Rename")
        kept = {key: value for key, value in old.items() if key not in self._mapping}
        return kept | {new: old[key] for key, new in self._mapping.items() if key in old}


class DropColumns:
    """Remove the keys *columns* from the body; keys that are not there are passed over."""

    def __init__(self, columns: Iterable[str] | str) -> None:
        self._columns = frozenset((columns,) if isinstance(columns, str) else columns)

    def do(self, body: object) -> object:
        """Return the body without those keys."""
        return rewritten(
            body, lambda old: {key: value for key, value in need_dict(old, "DropColumns").items() if key not in self._columns}
        )


class ReifyMetadata:
    """Write attributes of the event into the body.

    *mapping* is attribute -> key of the body, or only names of attributes: `["id", "path"]`.
    """

    def __init__(self, mapping: Mapping[str, str] | Iterable[str]) -> None:
        self._mapping = dict(mapping) if isinstance(mapping, Mapping) else {name: name for name in mapping}

    def do_event(self, event: Event) -> Event:
        """Return the event with its attributes in the body."""
        found = {key: getattr(event, attribute) for attribute, key in self._mapping.items()}
        event.body = {**need_dict(event.body, "ReifyMetadata"), **found}
        return event
