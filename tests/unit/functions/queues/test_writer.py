"""A queue step makes a message of an event and knows that it was accepted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from fnkit.engine import Event, drive
from fnkit.errors import GraphError
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.memory import MemorySender
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit.functions.queues.writer import EventWriter, queue_writers, to_message
from fnkit.manifest.model import Flow, Step


def spec_of(**args: object) -> QueueSpec:
    spec, problems = read_spec("out", {"path": "dummy://", **args})
    assert spec is not None, problems
    return spec


def test_a_wrapped_event_takes_its_id_and_key_along() -> None:
    message = to_message(Event({"a": 1}, id="e1", key="k"), spec_of(), wrap=True)

    assert json.loads(message.body) == {"full_event_wrapper": True, "body": {"a": 1}, "key": "k", "id": "e1"}
    assert (message.key, message.id) == ("k", "e1")


@pytest.mark.parametrize(("body", "data"), [(b"\xff", b"\xff"), ("text", b"text"), ({"a": 1}, b'{"a": 1}'), (None, b"null")])
def test_a_bare_event_is_its_body(body: object, data: bytes) -> None:
    assert to_message(Event(body, id="e"), spec_of(), wrap=False).body == data


def test_a_field_of_the_body_can_be_the_key_and_the_trace_goes_along() -> None:
    event = Event({"user": 7}, id="e", headers={"Traceparent": "00-1-2-01", "Cookie": "secret"})

    message = to_message(event, spec_of(sharding_func="user"), wrap=True)

    assert message.key == "7"
    assert message.headers == {"traceparent": "00-1-2-01"}


@pytest.mark.parametrize(
    ("chosen", "path", "place"),
    [
        ("red", "dummy://", ("red", None)),
        (b"red", "dummy://", ("red", None)),
        (2, "dummy://", ("2", 2)),
        (2, "kafka://b:1/t", ("own", 2)),
        (None, "dummy://", ("", None)),
    ],
)
def test_a_function_chooses_the_key_of_an_event_or_its_partition(
    chosen: object, path: str, place: tuple[str, int | None]
) -> None:
    message = to_message(Event({"a": 1}, id="e", key="own"), spec_of(path=path), wrap=False, sharder=lambda _event: chosen)

    assert (message.key, message.partition) == place


def test_a_fixed_partition_is_one_key_where_parts_have_no_numbers() -> None:
    event = Event(1, id="e", key="own")

    assert to_message(event, spec_of(sharding_func=0), wrap=False).key == "0"
    assert to_message(event, spec_of(path="kafka://b:1/t", sharding_func=0), wrap=False).partition == 0


def test_the_function_that_a_queue_step_names_is_found_and_asked() -> None:
    flow = Flow((Step("out", "queue", args={"path": "dummy://", "_sharding_func": "colour"}),))
    writer = queue_writers(flow, {}, namespaces=[{"colour": lambda event: event.body["colour"]}])(flow.step("out"))

    drive(writer(Event({"colour": "red"}, id="e")))

    assert isinstance(writer.sender, MemorySender)
    assert writer.sender.messages[0].key == "red"


@pytest.mark.parametrize("full_event", [True, False])
def test_what_a_queue_step_says_of_the_full_event_counts_wherever_it_leads(full_event: bool) -> None:
    flow = Flow(
        (
            Step("mid", "queue", args={"path": "dummy://"}, full_event=full_event),
            Step("next", target="m:C", after=("mid",), function="child"),
        )
    )
    writer = queue_writers(flow, {})(flow.step("mid"))

    drive(writer(Event({"a": 1}, id="e")))

    assert isinstance(writer.sender, MemorySender)
    assert ("full_event_wrapper" in json.loads(writer.sender.messages[0].body)) is full_event


def test_a_body_that_json_cannot_hold_is_refused_with_the_name_of_the_step() -> None:
    with pytest.raises(GraphError, match="cannot be written to queue 'out'") as refused:
        to_message(Event({"x": object()}, id="e"), spec_of(), wrap=True)

    assert refused.value.where == "step 'out'"


def test_a_queue_that_leads_on_wraps_and_one_at_the_end_does_not() -> None:
    flow = Flow(
        (
            Step("mid", "queue", args={"path": "dummy://"}),
            Step("next", target="m:C", after=("mid",), function="child"),
            Step("end", "queue", args={"path": "dummy://"}, after=("next",)),
        )
    )
    open_writer = queue_writers(flow, {})
    mid, end = open_writer(flow.step("mid")), open_writer(flow.step("end"))

    drive(mid(Event(1, id="e")))
    drive(end(Event(1, id="e")))

    assert isinstance(mid.sender, MemorySender)
    assert isinstance(end.sender, MemorySender)
    assert json.loads(mid.sender.messages[0].body)["body"] == 1
    assert end.sender.messages[0].body == b"1"


def test_the_local_queue_is_written_without_an_event_loop(tmp_path: Path) -> None:
    flow = Flow((Step("jobs", "queue", args={"path": ""}),))
    writer = queue_writers(flow, {"FNKIT_QUEUE_DIR": str(tmp_path)})(flow.step("jobs"))

    drive(writer(Event({"a": 1}, id="e")))
    writer.sender.close()

    queue = LocalQueue(tmp_path, "jobs")
    assert [received.message.body for received in queue.receive()] == [b'{"a": 1}']
    queue.close()
    assert writer.needs_loop is False


def test_a_slow_queue_does_not_stop_the_other_events() -> None:
    released = asyncio.Event()

    class Slow:
        slow = True

        def send(self, messages: list[Message]) -> None:
            asyncio.run_coroutine_threadsafe(asyncio.wait_for(released.wait(), 60), loop).result(60)

        def close(self) -> None: ...

    async def scenario() -> None:
        global loop  # noqa: PLW0603  # the thread of the sender needs it
        loop = asyncio.get_running_loop()
        sending = asyncio.ensure_future(EventWriter(spec_of(), Slow(), wrap=False)(Event(1, id="e")))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        released.set()
        await sending

    asyncio.run(scenario())
    assert released.is_set()


loop: asyncio.AbstractEventLoop


def test_wrong_arguments_of_a_queue_step_are_all_named() -> None:
    flow = Flow((Step("jobs", "queue", args={"pth": "", "batch_size": 0}),))

    with pytest.raises(GraphError, match=r"unknown argument 'pth'.*path=.*batch_size") as refused:
        queue_writers(flow, {})(flow.step("jobs"))

    assert refused.value.where == "step 'jobs'"
