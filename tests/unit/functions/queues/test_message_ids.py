"""Messages are named after the visit of the event that they were, and bring it along."""

from __future__ import annotations

import json

import pytest

from fnkit.engine import Event, drive
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit.functions.queues.writer import to_message
from fnkit.manifest.model import Step
from fnkit.runtime.queue_events import read_batch
from tests.fakes.engine import flow


class Keep:
    """Keeps the messages that events become."""

    needs_loop = False

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, event: Event) -> None:
        self.messages.append(to_message(event, spec(), wrap=True))


def spec() -> QueueSpec:
    found, problems = read_spec("out", {"path": "dummy://"})
    assert found is not None, problems
    return found


def written(target: str, name: str = "out") -> list[Message]:
    keep = Keep()
    steps = (Step("s", target=target), Step(name, "queue", args={"path": "dummy://"}, after=("s",)))
    topology = flow(*steps, queue=lambda _step: keep)
    drive(topology.process(Event(1, id="e", headers={"X-Amzn-Trace-Id": "Root=1", "Traceparent": "00-1-2-01"})))
    return keep.messages


@pytest.mark.parametrize(
    ("target", "ids"), [("Split", ["e:s.0/out/1", "e:s.1/out/1"]), ("Ticks", ["e/out/s.0/1", "e/out/s.1/1"])]
)
def test_what_one_event_becomes_are_messages_of_their_own(target: str, ids: list[str]) -> None:
    assert [message.id for message in written(target)] == ids


def test_a_name_that_a_queue_would_not_take_is_a_digest() -> None:
    first, second = (message.id for message in written("Split", name="täglich out"))

    assert first != second
    assert first.isalnum()
    assert len(first) == 64


def test_traces_of_both_kinds_go_along() -> None:
    traces = {"traceparent": "00-1-2-01", "x-amzn-trace-id": "Root=1"}
    message = written("Split")[0]

    assert message.headers == traces
    assert delivered(Message(message.body), "m1").headers == traces  # by a queue without headers, such as Kinesis


def delivered(message: Message, identity: str) -> Event:
    """Return the event that SQS delivers *message* as."""
    record = {"messageId": identity, "body": message.body.decode(), "eventSource": "aws:sqs", "attributes": {}}
    (read,) = read_batch({"Records": [record]})
    return read.event


def test_behind_the_queue_each_has_a_key_of_its_own_however_it_is_delivered() -> None:
    events = [delivered(message, identity) for message in written("Split") for identity in ("m1", "m2")]

    assert [event.id for event in events] == ["e"] * 4
    assert [event.idempotency_key for event in events] == ["e:s.0/out/1"] * 2 + ["e:s.1/out/1"] * 2


def test_without_a_visit_the_message_tells_events_of_one_id_apart() -> None:
    body = json.dumps({"full_event_wrapper": True, "body": 1, "key": "", "id": "e"}).encode()

    assert delivered(Message(body), "m1").idempotency_key == "e:m1"
    assert delivered(Message(b"1"), "m1").idempotency_key == "m1"
