"""Partitions of a topic go on side by side: one that is slow is held back and keeps neither the others nor the group waiting."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Collection, Sequence

from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.spec import read_spec
from fnkit_emulator.sources.delivery import Answer
from fnkit_emulator.sources.kafka import KafkaSource

PATIENCE_S = 60.0


class Topic:
    """A reader of a topic in memory, where partitions may be held, and taken away and given back."""

    def __init__(self, *records: Record) -> None:
        self.records = records
        self.next: dict[int, int] = {}
        self.committed: dict[int, int] = {}
        self.held: frozenset[int] = frozenset()
        self.lost: frozenset[int] = frozenset()
        self.leaking = False

    def receive(self, limit: int, wait_s: float) -> tuple[Record, ...]:
        found = tuple(
            record
            for record in self.records
            if (record.partition not in self.held or self.leaking) and record.offset >= self.next.get(record.partition, 0)
        )
        for record in found:
            self.next[record.partition] = record.offset + 1
        return found[:limit]

    def troubles(self) -> Sequence[str]:
        return ()

    def commit(self, records: Sequence[Record]) -> None:
        for record in records:
            self.committed[record.partition] = record.offset + 1

    def hold(self, partitions: Collection[int]) -> None:
        self.held = frozenset(partitions)

    def take_lost(self) -> Collection[int]:
        lost, self.lost = self.lost, frozenset()
        return lost

    def seek_back(self, record: Record) -> None:
        self.next[record.partition] = record.offset

    def rebalance(self) -> None:
        """Take everything away and give it back: what is not committed comes again."""
        self.lost = frozenset(record.partition for record in self.records)
        self.held, self.next = frozenset(), dict(self.committed)

    def close(self) -> None:
        """Nothing to leave."""


def record_of(body: str, *, partition: int, offset: int = 0) -> Record:
    return Record("t", partition, offset, 0, None, body.encode(), ())


class Function:
    """Answers at once, but for the body "slow": to that only when it is told to. Fails on "poison"."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.go = asyncio.Event()

    async def call(self, payload: bytes, _count: int) -> Answer:
        records = [record for records in json.loads(payload)["records"].values() for record in records]
        bodies = [base64.b64decode(record["value"]).decode() for record in records]
        self.begun += bodies
        if "slow" in bodies:
            await self.go.wait()
        if "poison" in bodies:
            return Answer(error="ValueError: poison")
        self.done += bodies
        return Answer(b"null")


def source_of(topic: Topic, function: Function, *, delay: Callable[[int], float] = lambda _attempts: 0.0) -> KafkaSource:
    spec, problems = read_spec("t", {"path": "kafka://broker:1/t"})
    assert spec is not None, problems
    return KafkaSource(spec, lambda: topic, function.call, bury=lambda *_: None, complain=lambda _text: None, delay=delay)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # what is looked at is set by threads too
            await asyncio.sleep(0.01)


def test_a_slow_partition_is_held_back_while_the_others_go_on() -> None:
    async def scenario() -> tuple[frozenset[int], list[str], dict[int, int]]:
        topic, function = Topic(record_of("slow", partition=0), record_of("a", partition=1)), Function()
        source = source_of(topic, function)
        running = asyncio.create_task(source.run())
        await until(lambda: topic.held == {0})
        topic.records += (record_of("later", partition=0, offset=1), record_of("b", partition=1, offset=1))
        await until(lambda: "b" in function.done)
        held = topic.held
        function.go.set()
        await until(lambda: topic.committed == {0: 2, 1: 2})
        source.stop()
        await running
        return held, function.done, topic.committed

    held, done, committed = asyncio.run(scenario())

    assert held == {0}
    assert done == ["a", "b", "slow", "later"]
    assert committed == {0: 2, 1: 2}


def test_a_partition_that_is_taken_away_at_work_is_left_to_its_next_owner() -> None:
    async def scenario() -> tuple[list[str], dict[int, int], dict[int, int]]:
        topic, function = Topic(record_of("slow", partition=0)), Function()
        source = source_of(topic, function)
        running = asyncio.create_task(source.run())
        await until(lambda: topic.held == {0})
        topic.rebalance()
        await until(lambda: function.begun == ["slow", "slow"])
        before = dict(topic.committed)
        function.go.set()
        await until(lambda: topic.committed == {0: 1})
        source.stop()
        await running
        return function.done, before, topic.committed

    done, before, committed = asyncio.run(scenario())

    assert done == ["slow"]
    assert before == {}
    assert committed == {0: 1}


def test_records_that_come_although_their_partition_is_held_wait_for_those_at_work() -> None:
    async def scenario() -> tuple[list[str], dict[int, int], dict[int, int]]:
        topic, function = Topic(record_of("slow", partition=0)), Function()
        source = source_of(topic, function)
        running = asyncio.create_task(source.run())
        await until(lambda: topic.held == {0})
        topic.records += (record_of("next", partition=0, offset=1), record_of("other", partition=1))
        topic.leaking = True
        await until(lambda: "other" in function.done)
        before = dict(topic.committed)
        topic.leaking = False
        function.go.set()
        await until(lambda: topic.committed == {0: 2, 1: 1})
        source.stop()
        await running
        return function.done, before, topic.committed

    done, before, committed = asyncio.run(scenario())

    assert done == ["other", "slow", "next"]
    assert before == {1: 1}
    assert committed == {0: 2, 1: 1}


def test_what_a_rebalance_brings_again_replaces_what_came_with_it() -> None:
    class Rejoined(Topic):
        """Brings records, and after them what their partition begins with when it has come back."""

        def receive(self, limit: int, wait_s: float) -> tuple[Record, ...]:
            if self.records:
                found, self.records = self.records, ()
                return found
            return ()

    async def scenario() -> list[str]:
        again = [record_of(body, partition=0, offset=offset) for offset, body in ((2, "c"), (3, "d"), (0, "a"), (1, "b"))]
        topic, function = Rejoined(*again), Function()
        source = source_of(topic, function)
        running = asyncio.create_task(source.run())
        await until(lambda: topic.committed == {0: 2})
        source.stop()
        await running
        return function.done

    assert asyncio.run(scenario()) == ["a", "b"]


def test_the_end_does_not_wait_for_the_pause_before_the_next_attempt() -> None:
    async def scenario() -> dict[int, int]:
        topic, function = Topic(record_of("poison", partition=0)), Function()
        source = source_of(topic, function, delay=lambda _attempts: 3600.0)
        running = asyncio.create_task(source.run())
        await until(lambda: topic.held == {0})
        source.stop()
        async with asyncio.timeout(PATIENCE_S):
            await running
        return topic.committed

    assert asyncio.run(scenario()) == {}
