"""Steps that make several events of one, or one of several."""

from __future__ import annotations

from fnkit.engine.event import Event
from fnkit.engine.powers import DROP, Many
from fnkit.errors import MLRunInvalidArgumentError
from fnkit.lean import Iterable, import_module
from fnkit.steps.calls import Function, applied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fnkit.steps.clock import Clock


class FlatMap:
    """Send on each element of what *fn* makes of the body, as an event of its own. The first that arrives answers the client."""

    def __init__(self, fn: Function) -> None:
        self.do = applied(fn, _each)


class Flatten:
    """Send on each element of the body, as an event of its own."""

    def do(self, body: object) -> Many:
        """Return the elements."""
        return _each(body, body.body if isinstance(body, Event) else body)


def _each(_subject: object, elements: object) -> Many:
    if not isinstance(elements, Iterable) or isinstance(elements, str | bytes):
        raise TypeError(f"cannot send on the elements of a {type(elements).__name__}: a list or another iterable is needed")
    return Many(elements)


class Batch:
    """Hold bodies back and send them on together, as a list.

    A list is sent when *max_events* bodies are there (None: no limit), or *flush_after_seconds* after its first body; what is left
    goes on when the flow ends. With *key_field* (a key of the body, or a function of the body) each value has a list of its own.
    The client whose event fills the list is answered with what becomes of the list, the others are answered 204 at once.

    The clock runs only while the function's environment runs: between calls of a serverless function it stands still.
    """

    def __init__(
        self,
        max_events: int | None = None,
        flush_after_seconds: float | None = None,
        key_field: str | Callable[[object], object] | None = None,
    ) -> None:
        if max_events is not None and max_events < 1:
            raise MLRunInvalidArgumentError(f"Batch needs max_events of 1 or more, not {max_events}")
        self._limit = max_events
        self._key_field = key_field
        self._held: dict[object, list[object]] = {}
        self._emit: Callable[[object], None] | None = None
        self._clock: Clock | None = None
        self.do: Function = self._take
        if flush_after_seconds is not None:
            self._clock = import_module("fnkit.steps.clock").Clock(flush_after_seconds, self._ring)
            self.do = self._take_later

    def attach(self, emit: Callable[[object], None]) -> None:
        """Take the function that starts an event behind this step."""
        self._emit = emit

    def finish(self) -> object:
        """Return the lists that are not full."""
        held, self._held = self._held, {}
        if self._clock is not None:
            self._clock.stop()
        return Many(list(held.values())) if held else DROP

    async def _take_later(self, body: object) -> object:
        """As `_take`; a clock needs an event loop, which only an async step has for sure."""
        return self._take(body)

    def _take(self, subject: object) -> object:
        body = subject.body if isinstance(subject, Event) else subject
        key = self._key_of(body)
        batch = self._held.setdefault(key, [])
        batch.append(body)
        if self._limit is None or len(batch) < self._limit:
            if len(batch) == 1 and self._clock is not None:
                self._clock.start(key)
            return DROP
        del self._held[key]
        if self._clock is not None:
            self._clock.stop(key)
        if isinstance(subject, Event):
            subject.body = batch
            return subject
        return batch

    def _ring(self, key: object) -> None:
        batch = self._held.pop(key, None)
        if batch and self._emit is not None:
            self._emit(batch)

    def _key_of(self, body: object) -> object:
        if callable(self._key_field):
            return self._key_field(body)
        return body.get(self._key_field) if self._key_field is not None and isinstance(body, dict) else None
