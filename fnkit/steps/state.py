"""Steps that remember. What they remember lives in one environment, as long as it lives."""

from __future__ import annotations

from collections.abc import Awaitable
from copy import deepcopy

from fnkit.engine.construct import suspends
from fnkit.engine.event import Event
from fnkit.engine.powers import DROP
from fnkit.records import cast
from fnkit.steps.calls import Function, applied


class MapWithState:
    """Go on with the first of what *fn* returns for body and state; the second is the next state.

    *fn(body, state)* returns the pair (next body, next state). With *group_by_key* every key of events (`event.key`) has a state of
    its own, which begins as a copy of *initial_state*.
    """

    def __init__(self, initial_state: object, fn: Function, group_by_key: bool = False) -> None:
        self._initial = initial_state
        self._states: dict[object, object] = {}
        self._fn = fn
        waits = suspends(fn)
        if group_by_key:
            self.do_event: Function = self._event_later if waits else self._event
        else:
            self.do: Function = self._later if waits else self._now

    def _now(self, subject: object) -> object:
        return self._keep(None, self._fn(subject, self._state(None)))

    async def _later(self, subject: object) -> object:
        return self._keep(None, await cast(Awaitable[object], self._fn(subject, self._state(None))))

    def _event(self, event: Event) -> Event:
        event.body = self._keep(event.key, self._fn(event.body, self._state(event.key)))
        return event

    async def _event_later(self, event: Event) -> Event:
        result = await cast(Awaitable[object], self._fn(event.body, self._state(event.key)))
        event.body = self._keep(event.key, result)
        return event

    def _state(self, key: object) -> object:
        if key not in self._states:
            self._states[key] = deepcopy(self._initial)
        return self._states[key]

    def _keep(self, key: object, result: object) -> object:
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError("MapWithState needs a function that returns a pair: the next body and the next state")
        body, self._states[key] = result
        return body


class Reduce:
    """Gather all bodies into one value: `value = fn(value, body)`, beginning with *initial_value*.

    It ends each event's way; the value is the result of the flow (`mock.wait_for_completion()`).
    """

    def __init__(self, initial_value: object, fn: Function) -> None:
        self._value = initial_value
        self._fn = fn
        self.do: Function = self._later if suspends(fn) else self._now

    def _now(self, body: object) -> object:
        self._value = self._fn(self._value, body)
        return DROP

    def finish(self) -> object:
        """Return the value."""
        return self._value

    async def _later(self, body: object) -> object:
        self._value = await cast(Awaitable[object], self._fn(self._value, body))
        return DROP


class ForEach:
    """Call *fn* with the body (with *input_path*: that part of it) for what it does, and go on with the body."""

    keeps_body = True

    def __init__(self, fn: Function, input_path: str | None = None) -> None:
        self.do = applied(fn, lambda body, _result: body, input_path)
