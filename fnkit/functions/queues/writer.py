"""The queue step of a graph: makes a message of an event and returns when the queue has accepted it."""

from __future__ import annotations

import os
from importlib import import_module
from json import dumps

from fnkit.engine.construct import resolve_handler
from fnkit.errors import GraphError
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.senders import Sender, open_sender
from fnkit.functions.queues.spec import QueueSpec, read_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fnkit.engine import Event
    from fnkit.engine.resolve import Namespace
    from fnkit.manifest.model import Flow, Step

    Sharder = Callable[[Event], object]

_WRAPPER = "full_event_wrapper"
_CARRIED = ("traceparent", "tracestate", "baggage", "x-amzn-trace-id")  # headers that go with a message
_NUMBERED = ("kafka", "v3io")  # the parts of their topics and streams have numbers
_ID_LENGTH = 128  # of the identifiers that SQS takes


class EventWriter:
    """Writes events to one queue; to a slow one from a thread, so that other events go on meanwhile. *sharder*: see `to_message`."""

    def __init__(self, spec: QueueSpec, sender: Sender, *, wrap: bool, sharder: Sharder | None = None) -> None:
        self.sender = sender
        self.needs_loop = sender.slow
        self._spec, self._wrap, self._sharder = spec, wrap, sharder

    async def __call__(self, event: Event) -> None:
        """Send *event*; `QueueError` when the queue did not accept it."""
        message = to_message(event, self._spec, wrap=self._wrap, sharder=self._sharder)
        if self.needs_loop:
            from asyncio import to_thread  # only graphs that have an event loop pay for asyncio

            await to_thread(self.sender.send, [message])
        else:
            self.sender.send([message])


def to_message(event: Event, spec: QueueSpec, *, wrap: bool, sharder: Sharder | None = None) -> Message:
    """Return *event* as a message.

    With *wrap* its id and key go along with the body, in the JSON object that the reading side unwraps, and so does which visit of the
    event this is, where an engine knows it; otherwise the body alone: bytes and text as they are, everything else as JSON. The message is
    named after the visit: one event can become many messages, and a queue that drops duplicates must not drop these.
    *sharder* chooses the key of the message, or by an integer its partition.
    """
    key, partition = _place(event, spec, sharder)
    body = event.body
    visit = event.idempotency_key
    headers = {name: value for name in _CARRIED if (value := event.header(name))}
    if wrap:
        whole: dict[str, object] = {_WRAPPER: True, "body": body, "key": key, "id": event.id}
        if visit != event.id:
            whole["visit"] = visit
        if headers:
            whole["headers"] = headers  # Kinesis has no other place for them
        data = _json(whole, spec)
    elif isinstance(body, bytes):
        data = body
    else:
        data = body.encode() if isinstance(body, str) else _json(body, spec)
    return Message(data, key, headers, _message_id(visit), partition)


def _message_id(visit: str) -> str:
    """Return *visit* as every queue takes it for a name: as it is, or its digest."""
    if len(visit) <= _ID_LENGTH and visit.isascii() and visit.isprintable() and " " not in visit:
        return visit
    return str(import_module("hashlib").sha256(visit.encode()).hexdigest())  # few need it, so few pay for its import


def _place(event: Event, spec: QueueSpec, sharder: Sharder | None) -> tuple[str, int | None]:
    """Return the key of a message and its partition. Where parts have no numbers, one number is one key: its messages keep their order."""
    if sharder is not None:
        chosen = sharder(event)
    elif spec.sharding == "":
        return str(event.key or ""), None
    elif isinstance(spec.sharding, str):
        chosen = event.body.get(spec.sharding) if isinstance(event.body, dict) else None
        chosen = str(chosen) if isinstance(chosen, int) else chosen  # a key, whatever it looks like
    else:
        chosen = spec.sharding
    if isinstance(chosen, int) and not isinstance(chosen, bool):
        return str(event.key or "") if spec.kind in _NUMBERED else str(chosen), chosen
    if isinstance(chosen, bytes):
        chosen = chosen.decode("utf-8", "replace")
    return "" if chosen is None else str(chosen), None


def _json(value: object, spec: QueueSpec) -> bytes:
    try:
        return dumps(value).encode()
    except (TypeError, ValueError) as error:
        raise GraphError(
            f"an event cannot be written to queue '{spec.name}': {error}",
            where=f"step '{spec.name}'",
            hint="let the step before the queue answer with JSON values, or with bytes and full_event=False",
        ) from error


def queue_writers(
    flow: Flow, environ: Mapping[str, str] = os.environ, *, namespaces: Sequence[Namespace] = ()
) -> Callable[[Step], EventWriter]:
    """Return what makes the writer of a queue step of *flow*. Its errors name the step: wrong arguments, a missing client package.

    *namespaces* are where a function that chooses keys is looked for before it is imported.
    """
    followed = {name for step in flow.steps for name in step.after}

    def open_writer(step: Step) -> EventWriter:
        spec, problems = read_spec(step.name, step.args)
        if spec is None:
            raise GraphError("; ".join(problems), where=f"step '{step.name}'", hint="see the queue's arguments")
        said = step.full_event if step.full_event is not None else spec.full_event
        wrap = step.name in followed if said is None else said
        sharder = resolve_handler(spec.sharder, namespaces) if spec.sharder else None
        return EventWriter(spec, open_sender(spec, environ), wrap=wrap, sharder=sharder)

    return open_writer
