"""Steps that let some events pass and drop the others. A client whose event is dropped is answered 204."""

from __future__ import annotations

from fnkit.engine.event import Event
from fnkit.engine.powers import DROP
from fnkit.errors import MLRunInvalidArgumentError
from fnkit.steps.calls import Function, applied


class Filter:
    """Let those bodies pass for which *fn* gives something true; with *input_path* it is asked about that part of the body."""

    keeps_body = True

    def __init__(self, fn: Function, input_path: str | None = None) -> None:
        self.do = applied(fn, lambda body, keep: body if keep else DROP, input_path)


class SampleWindow:
    """Let one event pass of each *window_size* events: the first, or the last (*emit_period* `"first"` or `"last"`).

    With *key* the events are counted apart for each value of that key of the body. *emit_before_termination*: when the flow
    ends, the last event that was held back goes on.
    """

    def __init__(
        self, window_size: int, emit_period: object = "first", emit_before_termination: bool = False, key: str | None = None
    ) -> None:
        if isinstance(window_size, bool) or not isinstance(window_size, int) or window_size < 1:
            raise MLRunInvalidArgumentError(f"SampleWindow needs a window_size of 1 or more, not {window_size!r}")
        period = str(getattr(emit_period, "name", emit_period)).lower()
        if period not in ("first", "last"):
            raise MLRunInvalidArgumentError(f"SampleWindow knows the emit_period 'first' and 'last', not {emit_period!r}")
        self._size = window_size
        self._chosen = 0 if period == "first" else window_size - 1
        self._before_end = emit_before_termination
        self._key = key
        self._seen: dict[object, int] = {}
        self._held: object = DROP

    def do(self, body: object) -> object:
        """Return the body if its turn has come, otherwise drop it."""
        key = self._key_of(body)
        place = self._seen.get(key, 0)
        self._seen[key] = (place + 1) % self._size
        passes = place == self._chosen
        self._held = DROP if passes else body
        return body if passes else DROP

    def finish(self) -> object:
        """Return the event that was held back last, if that is wanted."""
        held, self._held = self._held, DROP
        if isinstance(held, Event):
            held = held.body
        return held if self._before_end else DROP

    def _key_of(self, subject: object) -> object:
        body = subject.body if isinstance(subject, Event) else subject
        return body.get(self._key) if self._key is not None and isinstance(body, dict) else None
