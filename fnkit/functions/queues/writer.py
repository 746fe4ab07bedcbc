"""The queue step of a graph: makes a message of an event and returns when the queue has accepted it."""

from __future__ import annotations

import os
from importlib import import_module
from json import dumps

from fnkit.errors import GraphError
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.senders import Sender, open_sender
from fnkit.functions.queues.spec import QueueSpec, read_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fnkit.engine import Event
    from fnkit.manifest.model import Flow, Step

_WRAPPER = "full_event_wrapper"
_CARRIED = ("traceparent", "tracestate", "baggage", "x-amzn-trace-id")  # headers that go with a message
_ID_LENGTH = 128  # of the identifiers that SQS takes


class EventWriter:
    """Writes events to one queue; to a slow one from a thread, so that other events go on meanwhile."""

    def __init__(self, spec: QueueSpec, sender: Sender, *, wrap: bool) -> None:
        self.sender = sender
        self.needs_loop = sender.slow
        self._spec, self._wrap = spec, wrap

    async def __call__(self, event: Event) -> None:
        """Send *event*; `QueueError` when the queue did not accept it."""
        message = to_message(event, self._spec, wrap=self._wrap)
        if self.needs_loop:
            from asyncio import to_thread  # only graphs that have an event loop pay for asyncio

            await to_thread(self.sender.send, [message])
        else:
            self.sender.send([message])


def to_message(event: Event, spec: QueueSpec, *, wrap: bool) -> Message:
    """Return *event* as a message.

    With *wrap* its id and key go along with the body, in the JSON object that the reading side unwraps, and so does which visit of the
    event this is, where an engine knows it; otherwise the body alone: bytes and text as they are, everything else as JSON. The message is
    named after the visit: one event can become many messages, and a queue that drops duplicates must not drop these.
    """
    key = _key(event, spec)
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
    return Message(data, key, headers, _message_id(visit))


def _message_id(visit: str) -> str:
    """Return *visit* as every queue takes it for a name: as it is, or its digest."""
    if len(visit) <= _ID_LENGTH and visit.isascii() and visit.isprintable() and " " not in visit:
        return visit
    return str(import_module("hashlib").sha256(visit.encode()).hexdigest())  # few need it, so few pay for its import


def _key(event: Event, spec: QueueSpec) -> str:
    if isinstance(spec.sharding, str) and spec.sharding:
        value = event.body.get(spec.sharding) if isinstance(event.body, dict) else None
        return "" if value is None else str(value)
    return str(event.key or "")


def _json(value: object, spec: QueueSpec) -> bytes:
    try:
        return dumps(value).encode()
    except (TypeError, ValueError) as error:
        raise GraphError(
            f"an event cannot be written to queue '{spec.name}': {error}",
            where=f"step '{spec.name}'",
            hint="let the step before the queue answer with JSON values, or with bytes and full_event=False",
        ) from error


def queue_writers(flow: Flow, environ: Mapping[str, str] = os.environ) -> Callable[[Step], EventWriter]:
    """Return what makes the writer of a queue step of *flow*. Its errors name the step: wrong arguments, a missing client package."""
    followed = {name for step in flow.steps for name in step.after}

    def open_writer(step: Step) -> EventWriter:
        spec, problems = read_spec(step.name, step.args)
        if spec is None:
            raise GraphError("; ".join(problems), where=f"step '{step.name}'", hint="see the queue's arguments")
        wrap = spec.full_event if spec.full_event is not None else step.name in followed
        sender = open_sender(spec, environ)
        return EventWriter(spec, sender, wrap=wrap)

    return open_writer
