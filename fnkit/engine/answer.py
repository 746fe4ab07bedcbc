"""Steps that run in another function: what is called, and what it answers."""

from __future__ import annotations

from fnkit.records import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.engine.event import Event
    from fnkit.engine.response import WireResponse


class Answer:
    """What one step made of one event.

    *outlets* are the names of the next steps that it chose: None means all of them, an empty tuple means none.
    Where *streaming*, *value* is an async iterator of (chunk, outlets). Where *many*, *value* is a list of bodies that go on one by one.
    """

    __slots__ = ("many", "outlets", "streaming", "value")

    def __init__(
        self, value: object, outlets: tuple[str, ...] | None = None, streaming: bool = False, many: bool = False
    ) -> None:
        self.value = value
        self.outlets = outlets
        self.streaming = streaming
        self.many = many

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Answer):
            return NotImplemented
        return self._fields() == other._fields()

    def _fields(self) -> tuple[object, ...]:
        return (self.value, self.outlets, self.streaming, self.many)

    __hash__ = None  # type: ignore[assignment]  # its value may be a dict

    def __repr__(self) -> str:
        return f"Answer(value={self.value!r}, outlets={self.outlets!r}, streaming={self.streaming!r}, many={self.many!r})"


class RemoteStep(Protocol):
    """One step, called from outside of its graph. *needs_loop*: its call may wait for an event loop (True where it is not said)."""

    needs_loop: bool

    async def __call__(self, event: Event) -> Answer:
        """Run the step for *event*; raise what the step raises."""


class QueueWriter(Protocol):
    """Puts an event on a queue. *needs_loop* as for `RemoteStep`."""

    async def __call__(self, event: Event) -> None:
        """Return once the queue has accepted the event."""


class Topology(Protocol):
    """What hosts know of a graph, whatever its kind. *needs_loop*: False where `drive(topology(event))` runs it without an event loop."""

    needs_loop: bool

    async def __call__(self, event: Event) -> WireResponse:
        """Answer *event*. Errors of users are answers too, or a fault after the head."""

    async def close(self) -> None:
        """Stop what is under way."""
