"""The queues of a graph are found with their readers, and every queue that cannot be read is named at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fnkit.errors import UsageError
from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.readers import find_mappings
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit_emulator.sources.delivery import Answer
from fnkit_emulator.sources.mappings import EventSources, Surroundings, check_readable, named
from fnkit_emulator.sources.tally import Tally


def graph(*steps: Step) -> Manifest:
    functions = (Function("main", "entry"), *(Function(name, "child") for name in {step.function for step in steps} - {"main"}))
    return Manifest("main", Flow(steps), functions=functions, placement="declared")


def queue(name: str, **args: object) -> Step:
    return Step(name, "queue", args={"path": "", **args}, function="main")


def reader(name: str, after: str, function: str) -> Step:
    return Step(name, target="m:C", after=(after,), function=function)


async def never(_payload: bytes) -> Answer:
    raise AssertionError("nothing was sent")


def around(folder: Path) -> Surroundings:
    return Surroundings(folder, "us-east-1", lambda _text: None)


def test_each_queue_is_mapped_to_the_function_behind_it() -> None:
    manifest = graph(queue("jobs"), reader("work", "jobs", "worker"), queue("log"), reader("write", "log", "logger"))

    mappings = find_mappings(manifest)

    assert [(mapping.spec.name, mapping.function) for mapping in mappings] == [("jobs", "worker"), ("log", "logger")]


def test_a_queue_that_nobody_reads_has_no_mapping() -> None:
    assert find_mappings(graph(queue("jobs"))) == ()


def test_every_queue_that_cannot_be_read_is_named_at_once() -> None:
    manifest = graph(
        queue("bad", batch_size=0),
        queue("jobs"),
        reader("a", "jobs", "one"),
        reader("b", "jobs", "two"),
    )

    with pytest.raises(UsageError) as refused:
        find_mappings(manifest)

    assert "queue 'bad': batch_size must be" in refused.value.message
    assert "functions one, two read the same queue 'jobs'" in refused.value.message


def test_two_functions_may_read_one_kafka_topic() -> None:
    kafka = queue("topic", path="kafka://b:1/t")

    mappings = find_mappings(graph(kafka, reader("a", "topic", "one"), reader("b", "topic", "two")))

    assert [mapping.function for mapping in mappings] == ["one", "two"]


def test_a_queue_that_cannot_be_read_here_says_so(tmp_path: Path) -> None:
    (mapping,) = find_mappings(graph(queue("s", path="v3io:///c/s"), reader("a", "s", "one")))

    with pytest.raises(UsageError, match="can be written but not read here"):
        check_readable([mapping], installed=lambda _package: True)


def test_a_poller_that_fails_is_said_so_and_started_again() -> None:
    class Flaky:
        tally = Tally()
        runs = 0

        async def run(self) -> None:
            self.runs += 1
            if self.runs < 3:
                raise QueueError("the broker is away")

        def stop(self) -> None:
            """There is nothing at work."""

    poller, said = Flaky(), list[str]()

    asyncio.run(EventSources({"jobs": poller}, said.append, restart_s=0).run())

    assert poller.runs == 3
    assert said == ["queue 'jobs': the broker is away; trying again"] * 2


def test_functions_that_read_one_topic_side_by_side_have_a_poller_each() -> None:
    kafka = queue("topic", path="kafka://b:1/t")
    mappings = find_mappings(graph(kafka, reader("a", "topic", "one"), reader("b", "topic", "two")))

    assert list(named(mappings)) == ["topic (one)", "topic (two)"]
    assert list(named(mappings[:1])) == ["topic"]


def test_a_poller_that_keeps_failing_is_tried_again_after_longer_pauses() -> None:
    class Failing:
        tally = Tally()
        runs = 0

        async def run(self) -> None:
            self.runs += 1
            if self.runs < 4:
                raise QueueError("no brokers", hint="start one")
            sources.stop()

        def stop(self) -> None: ...

    said: list[str] = []
    poller = Failing()
    sources = EventSources({"topic": poller}, said.append, restart_s=0.001)

    asyncio.run(sources.run())

    assert poller.runs == 4
    assert said == ["queue 'topic': no brokers (start one); trying again"] * 3
