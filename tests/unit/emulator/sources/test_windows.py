"""A batch window gathers what comes within it, from every kind of queue."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message, Retention
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit_emulator.sources.delivery import Answer
from fnkit_emulator.sources.kafka import KafkaSource
from fnkit_emulator.sources.kinesis import Checkpoints, KinesisSource
from fnkit_emulator.sources.local import LocalSource
from fnkit_emulator.sources.mappings import Poller
from fnkit_emulator.sources.sqs import SqsSource

PATIENCE_S = 60.0
LONG = 300  # seconds: a window that ends because the batch is full


def spec_of(path: str, **args: object) -> QueueSpec:
    spec, problems = read_spec("out", {"path": path, **args})
    assert spec is not None, problems
    return spec


class Function:
    """Notes how many items each batch has, and fails on nothing."""

    def __init__(self, expected: int) -> None:
        self.sizes: list[int] = []
        self._expected, self._all = expected, asyncio.Event()

    async def call(self, payload: bytes, count: int) -> Answer:
        assert json.loads(payload)
        self.sizes.append(count)
        if sum(self.sizes) >= self._expected:
            self._all.set()
        return Answer(b"null")

    async def fed_by(self, source: Poller) -> list[int]:
        running = asyncio.ensure_future(source.run())
        async with asyncio.timeout(PATIENCE_S):
            await self._all.wait()
            source.stop()
            await running
        return self.sizes


def test_a_window_of_sqs_gathers_more_than_one_request_brings() -> None:
    async def scenario() -> tuple[list[int], Sqs]:
        sqs, function = Sqs([1, 0, 10, 1]), Function(12)
        spec = spec_of("sqs://jobs", batch_size=12, batch_window=LONG)
        return await function.fed_by(SqsSource(spec, sqs, lambda: "http://q/jobs", function.call, complain=print)), sqs

    sizes, sqs = asyncio.run(scenario())

    assert sizes == [12]
    assert [number for numbers in sqs.deleted for number in numbers] == list(range(12))
    assert max(map(len, sqs.deleted)) == 10


def test_a_fifo_queue_has_no_window_and_ten_messages_at_most() -> None:
    async def scenario() -> tuple[list[int], Sqs]:
        sqs, function = Sqs([1, 1]), Function(2)
        spec = spec_of("sqs://jobs.fifo", batch_size=12, batch_window=LONG, max_concurrency=1)
        return await function.fed_by(SqsSource(spec, sqs, lambda: "http://q/jobs.fifo", function.call, complain=print)), sqs

    sizes, sqs = asyncio.run(scenario())

    assert sizes == [1, 1]
    assert max(sqs.limits) == 10


def test_a_window_of_kinesis_gathers_what_comes_to_a_shard(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        function = Function(3)
        source = KinesisSource(
            spec_of("kinesis://stream", batch_size=3, batch_window=LONG),
            Kinesis([1, 0, 2]),
            function.call,
            Checkpoints(tmp_path / "checkpoints"),
            bury=lambda *_: None,
            complain=print,
        )
        return await function.fed_by(source)

    assert asyncio.run(scenario()) == [3]


def test_a_window_of_kafka_gathers_what_comes_and_leaves_out_what_was_taken_away() -> None:
    async def scenario() -> tuple[list[int], Topic]:
        topic, function = Topic([[(0, 0), (1, 0)], [(0, 0)], [(0, 1), (0, 2)]], lost_after=1), Function(3)
        source = KafkaSource(
            spec_of("kafka://broker:1/t", batch_size=4, batch_window=LONG),
            lambda: topic,
            function.call,
            bury=lambda *_: None,
            complain=print,
        )
        return await function.fed_by(source), topic

    sizes, topic = asyncio.run(scenario())

    assert sorted(sizes) == [1, 3]
    assert [place for place in topic.committed if place[0] == 0] == [(0, 0), (0, 1), (0, 2)]
    assert topic.committed.count((1, 0)) == 1


def test_loans_are_renewed_as_long_as_a_window_gathers(tmp_path: Path) -> None:
    class Watched(LocalQueue):
        def renew(self, receipts: Iterable[str]) -> None:
            super().renew(receipts)
            renewed.set()

    renewed = threading.Event()

    async def scenario() -> list[int]:
        queue, other = Watched(tmp_path, "out", retention=Retention(visibility_s=0.9)), LocalQueue(tmp_path, "out")
        function = Function(2)
        queue.send([Message(b"a")])
        feeding = asyncio.ensure_future(
            function.fed_by(LocalSource(spec_of("out", batch_size=2, batch_window=LONG), queue, function.call))
        )
        assert await asyncio.to_thread(renewed.wait, PATIENCE_S)
        other.send([Message(b"b")])
        sizes = await feeding
        queue.close()
        other.close()
        return sizes

    assert asyncio.run(scenario()) == [2]


class Sqs:
    """A client of a queue that has so many messages at each look."""

    def __init__(self, looks: list[int]) -> None:
        self.looks, self.given = looks, 0
        self.limits: list[int] = []
        self.deleted: list[list[int]] = []

    def receive_message(self, *, MaxNumberOfMessages: int, **_: object) -> dict[str, Any]:
        self.limits.append(MaxNumberOfMessages)
        count = self.looks.pop(0) if self.looks else 0
        numbers = range(self.given, self.given + count)
        self.given += count
        return {"Messages": [{"Body": "{}", "MessageId": str(number), "ReceiptHandle": str(number)} for number in numbers]}

    def delete_message_batch(self, *, Entries: list[dict[str, str]], **_: object) -> None:
        self.deleted.append([int(entry["ReceiptHandle"]) for entry in Entries])


class Kinesis:
    """A client of a stream of one shard that has so many records at each look."""

    def __init__(self, looks: list[int]) -> None:
        self.looks, self.given = looks, 0

    def list_shards(self, **_: object) -> dict[str, object]:
        return {"Shards": [{"ShardId": "s"}]}

    def get_shard_iterator(self, **_: object) -> dict[str, str]:
        return {"ShardIterator": "next"}

    def get_records(self, *, Limit: int, **_: object) -> dict[str, object]:
        count = min(Limit, self.looks.pop(0) if self.looks else 0)
        numbers = range(self.given, self.given + count)
        self.given += count
        records = [{"Data": b"{}", "PartitionKey": "k", "SequenceNumber": str(number)} for number in numbers]
        return {"Records": records, "NextShardIterator": "next"}


class Topic:
    """A reader that finds these (partition, offset) at each look; *lost_after* so many looks partition 0 has gone and come back."""

    def __init__(self, looks: list[list[tuple[int, int]]], *, lost_after: int) -> None:
        self.looks, self.lost_after, self.looked = looks, lost_after, 0
        self.committed: list[tuple[int, int]] = []

    def receive(self, limit: int, wait_s: float) -> tuple[Record, ...]:
        self.looked += 1
        found = self.looks.pop(0) if self.looks else []
        assert len(found) <= limit
        return tuple(Record("t", partition, offset, 0, None, b"{}", ()) for partition, offset in found)

    def troubles(self) -> Sequence[str]:
        return ()

    def commit(self, records: Sequence[Record]) -> None:
        self.committed += [(record.partition, record.offset) for record in records]

    def hold(self, partitions: Collection[int]) -> None:
        """Nothing is at work while the window is open."""

    def seek_back(self, record: Record) -> None:
        raise AssertionError("nothing comes of a partition that is at work")

    def take_lost(self) -> Collection[int]:
        return (0,) if self.looked == self.lost_after + 1 else ()

    def close(self) -> None:
        """Nothing to leave."""
