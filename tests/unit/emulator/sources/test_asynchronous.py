"""Asynchronous events are kept until they are handled, tried again, and end as dead letters or at their destination."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message
from fnkit_emulator.options import Options
from fnkit_emulator.sources.asynchronous import queue_of
from tests.fakes.emulated import Answer, Caller, Emulated, emulated, fake_build

EVENT = {"x-amz-invocation-type": "Event"}
AT_ONCE = Options(retry_delays_s=(0.0, 0.0))


def queues(folder: Path, name: str = "graph.async") -> LocalQueue:
    return LocalQueue(folder / "queues" / "graph", name)


async def configure(emulator: Emulated, **config: object) -> Answer:
    path = "/2019-09-25/functions/graph/event-invoke-config"
    return await Caller(emulator.app).request("PUT", path, json.dumps(config).encode())


async def test_an_event_that_fails_for_good_is_a_dead_letter_with_its_reason(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path), AT_ONCE) as emulator:
        await emulator.invoke({"do": "fail"}, headers=EVENT)
        await emulator.journal.wait_for(lambda: emulator.journal.notices)

    with closing(queues(tmp_path)) as queue:
        ((letter, reason),) = queue.dead_letters()
        assert json.loads(letter.message.body) == {"do": "fail"}
        assert letter.receives == 3
        assert queue.depth().waiting == queue.depth().in_flight == 0
    assert reason
    assert "3 attempts" in emulator.journal.notices[0]
    assert "dead letter of queue 'graph.async'" in emulator.journal.notices[0]


async def test_an_event_that_was_accepted_is_handled_by_the_next_emulator(tmp_path: Path) -> None:
    build = fake_build(tmp_path)
    with closing(queues(tmp_path)) as queue:  # as an emulator that was killed has left it
        queue.send([_message(b'{"do": "say"}')])

    async with emulated(build, AT_ONCE) as emulator:
        await emulator.journal.wait_for(lambda: emulator.journal.invoked)

    assert [one.status for one in emulator.journal.invoked] == [202]


async def test_the_configuration_limits_the_attempts(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path), AT_ONCE) as emulator:
        answer = await configure(emulator, MaximumRetryAttempts=0)
        await emulator.invoke({"do": "fail"}, headers=EVENT)
        await emulator.journal.wait_for(lambda: emulator.journal.notices)

    assert answer.status == 200
    assert "after 1 attempt:" in emulator.journal.notices[0]


async def test_the_options_limit_the_attempts_and_the_age_where_the_api_was_told_nothing(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path), Options(retry_delays_s=(0.0, 0.0), async_retries=1)) as emulator:
        await emulator.invoke({"do": "fail"}, headers=EVENT)
        await emulator.journal.wait_for(lambda: emulator.journal.notices)
    async with emulated(fake_build(tmp_path), Options(async_max_age_s=-1)) as old:
        await old.invoke({"do": "fail"}, headers=EVENT)
        await old.journal.wait_for(lambda: old.journal.notices)

    assert "2 attempts" in emulator.journal.notices[0]
    assert "older than" in old.journal.notices[0]


async def test_a_record_of_the_failure_goes_to_its_destination(tmp_path: Path) -> None:
    failed = {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:failures"}}
    async with emulated(fake_build(tmp_path), AT_ONCE) as emulator:
        await configure(emulator, MaximumRetryAttempts=1, DestinationConfig=failed)
        await emulator.invoke({"do": "fail"}, headers=EVENT)
        await emulator.journal.wait_for(lambda: emulator.journal.notices)

    with closing(queues(tmp_path, "failures")) as queue:
        ((message,), dead) = (queue.receive(), queue.depth().dead)
    record = json.loads(message.message.body)
    assert dead == 0
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestPayload"] == {"do": "fail"}
    assert record["responseContext"]["functionError"] == "Unhandled"


async def test_a_record_of_the_success_goes_to_its_destination(tmp_path: Path) -> None:
    done = {"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:123456789012:done"}}
    async with emulated(fake_build(tmp_path), AT_ONCE) as emulator:
        await configure(emulator, DestinationConfig=done)
        await emulator.invoke({"do": "say"}, headers=EVENT)
        await emulator.journal.wait_for(lambda: emulator.journal.invoked)

    with closing(queues(tmp_path, "done")) as queue:
        (message,) = queue.receive()
    assert json.loads(message.message.body)["requestContext"]["condition"] == "Success"


async def test_an_event_that_grew_too_old_is_given_up_without_an_attempt(tmp_path: Path) -> None:
    build = fake_build(tmp_path)
    aged = LocalQueue(tmp_path / "queues" / "graph", "graph.async", clock=lambda: 1000.0)
    aged.send([_message(b'{"do": "say"}')])
    aged.close()

    async with emulated(build, AT_ONCE) as emulator:
        await emulator.journal.wait_for(lambda: emulator.journal.notices)

    assert emulator.journal.invoked == []
    assert "older than 21600 s" in emulator.journal.notices[0]


async def test_a_configuration_beyond_the_limits_is_refused_in_lambdas_words(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path), AT_ONCE) as emulator:
        many = await configure(emulator, MaximumRetryAttempts=3)
        nowhere = await configure(emulator, DestinationConfig={"OnFailure": {"Destination": "arn:aws:sns:us-east-1:1:topic"}})
        unset = await emulator.get("/2019-09-25/functions/graph/event-invoke-config")

    assert (many.status, many.header("x-amzn-ErrorType")) == (400, "ValidationException")
    assert (nowhere.status, nowhere.header("x-amzn-ErrorType")) == (400, "InvalidParameterValueException")
    assert unset.status == 404


def test_the_queue_of_asynchronous_events_decides_nothing_by_itself() -> None:
    assert queue_of("graph").retention.max_receives > 1000


def _message(body: bytes) -> Message:
    return Message(body, id="e1")
