"""Pollers deliver everything at least once, in order where that is promised, and bury what fails for good."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit_emulator.sources.delivery import Answer
from fnkit_emulator.sources.kafka import KafkaSource
from fnkit_emulator.sources.kinesis import Checkpoints, KinesisSource
from fnkit_emulator.sources.local import LocalSource
from fnkit_emulator.sources.mappings import Poller


def spec_of(**args: object) -> QueueSpec:
    spec, problems = read_spec("out", args)
    assert spec is not None, problems
    return spec


class Function:
    """Takes batches; fails on the bodies in *poison*; `until(count)` waits for so many bodies that went well."""

    def __init__(self, *poison: str) -> None:
        self.poison = set(poison)
        self.done: list[str] = []
        self.attempts: list[str] = []
        self._moved = asyncio.Event()

    async def call(self, payload: bytes, _count: int) -> Answer:
        bodies = bodies_of(json.loads(payload))
        self.attempts += bodies
        if self.poison & set(bodies):
            return Answer(error="ValueError: poison")
        self.done += bodies
        self._moved.set()
        return Answer(b"null")

    async def until(self, finished: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not finished():
                self._moved.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._moved.wait()
                except TimeoutError:
                    continue


def bodies_of(event: dict[str, Any]) -> list[str]:
    if "records" in event:
        return [base64.b64decode(record["value"]).decode() for records in event["records"].values() for record in records]
    return [
        record["body"] if "body" in record else base64.b64decode(record["kinesis"]["data"]).decode()
        for record in event["Records"]
    ]


async def run_until(source: Poller, function: Function, finished: Callable[[], bool]) -> None:
    task = asyncio.ensure_future(source.run())
    try:
        await function.until(finished)
    finally:
        source.stop()
        async with asyncio.timeout(60):
            await task


def send(folder: Path, *bodies: bytes) -> None:
    """Send as another process would: by a queue of its own."""
    with closing(LocalQueue(folder, "out")) as queue:
        queue.send([Message(body) for body in bodies])


def no_delay(_attempts: int) -> float:
    return 0.0


def test_a_local_queue_is_drained_and_new_messages_are_heard(tmp_path: Path) -> None:
    async def scenario() -> Function:
        function, queue = Function(), LocalQueue(tmp_path, "out")
        queue.send([Message(str(number).encode()) for number in range(25)])
        source = LocalSource(spec_of(path="out"), queue, function.call, look_s=60)

        async def more() -> None:
            await function.until(lambda: len(function.done) == 25)
            send(tmp_path, b"25")

        adding = asyncio.ensure_future(more())
        await run_until(source, function, lambda: len(function.done) == 26)
        await adding
        assert queue.depth().waiting == queue.depth().in_flight == 0
        queue.close()
        return function

    function = asyncio.run(scenario())

    assert sorted(map(int, function.done)) == list(range(26))


def test_a_poison_message_of_a_local_queue_is_buried_and_its_neighbours_live(tmp_path: Path) -> None:
    async def scenario() -> tuple[Function, list[str]]:
        function, queue = Function("3"), LocalQueue(tmp_path, "out")
        queue.send([Message(str(number).encode()) for number in range(10)])
        source = LocalSource(spec_of(path="out"), queue, function.call, look_s=0.05, delay=no_delay, mourn=mourned.append)
        await run_until(source, function, lambda: bool(mourned) and len(set(function.done)) == 9)
        reasons = [reason for _, reason in queue.dead_letters()]
        queue.close()
        return function, reasons

    mourned: list[str] = []
    function, reasons = asyncio.run(scenario())

    assert mourned[0].endswith("of queue 'out' is a dead letter after 3 attempts: ValueError: poison")
    assert sorted(set(function.done), key=int) == [str(number) for number in range(10) if number != 3]
    assert reasons == ["ValueError: poison"]


def test_a_batch_window_gathers_what_comes_later(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        sizes: list[int] = []
        function, queue = Function(), LocalQueue(tmp_path, "out")

        async def call(payload: bytes, count: int) -> Answer:
            sizes.append(len(json.loads(payload)["Records"]))
            return await function.call(payload, count)

        source = LocalSource(spec_of(path="out", batch_window=30, batch_size=3), queue, call)
        queue.send([Message(b"a")])
        running = asyncio.ensure_future(run_until(source, function, lambda: len(function.done) == 3))
        await asyncio.sleep(0)
        send(tmp_path, b"b", b"c")
        await running
        queue.close()
        return sizes

    assert asyncio.run(scenario()) == [3]


class Topic:
    """A reader over records in memory that remembers what was committed."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = list(records)
        self.committed: dict[int, int] = {}
        self.closed = False

    def receive(self, limit: int, wait_s: float) -> tuple[Record, ...]:
        taken, self.records = self.records[:limit], self.records[limit:]
        return tuple(taken)

    def troubles(self) -> Sequence[str]:
        return ()

    def commit(self, records: Sequence[Record]) -> None:
        for record in records:
            assert record.offset == self.committed.get(record.partition, 0), "committed out of order"
            self.committed[record.partition] = record.offset + 1

    def hold(self, partitions: Collection[int]) -> None:
        """Nothing is held: what has been received comes once."""

    def seek_back(self, record: Record) -> None:
        raise AssertionError("nothing comes of a partition that is at work")

    def take_lost(self) -> Collection[int]:
        return ()

    def close(self) -> None:
        self.closed = True


def records_of(partitions: int, each: int) -> list[Record]:
    return [Record("t", p, n, 0, None, f"{p}/{n}".encode(), ()) for n in range(each) for p in range(partitions)]


def test_kafka_partitions_keep_their_order_and_a_poison_record_is_passed_after_its_attempts() -> None:
    async def scenario() -> tuple[Function, Topic, list[tuple[bytes, str]], KafkaSource]:
        function, topic, buried = Function("1/2"), Topic(records_of(3, 5)), list[tuple[bytes, str]]()
        source = KafkaSource(
            spec_of(path="kafka://broker:1/t", max_receives=2),
            lambda: topic,
            function.call,
            bury=lambda record, reason: buried.append((record.value, reason)),
            complain=lambda _text: None,
            delay=no_delay,
        )
        await run_until(source, function, lambda: sum(topic.committed.values()) == 15)
        return function, topic, buried, source

    function, topic, buried, source = asyncio.run(scenario())

    assert buried == [(b"1/2", "ValueError: poison")]
    assert topic.committed == {0: 5, 1: 5, 2: 5}
    assert topic.closed
    assert source.tally.dead == 1
    for partition in range(3):
        order = [body for body in dict.fromkeys(function.done) if body.startswith(f"{partition}/")]
        assert order == sorted(order)


class Stream:
    """A Kinesis client over two shards in memory."""

    def __init__(self, shards: dict[str, list[str]]) -> None:
        self.shards = shards

    def list_shards(self, **_: object) -> dict[str, object]:
        return {"Shards": [{"ShardId": name} for name in self.shards]}

    def get_shard_iterator(self, *, ShardId: str, StartingSequenceNumber: str = "-1", **_: object) -> dict[str, str]:
        return {"ShardIterator": f"{ShardId}:{int(StartingSequenceNumber) + 1}"}

    def get_records(self, *, ShardIterator: str, Limit: int) -> dict[str, object]:
        shard, _, start = ShardIterator.partition(":")
        chosen = self.shards[shard][int(start) : int(start) + Limit]
        records = [
            {"Data": body.encode(), "PartitionKey": "k", "SequenceNumber": str(int(start) + number)}
            for number, body in enumerate(chosen)
        ]
        return {"Records": records, "NextShardIterator": f"{shard}:{int(start) + len(chosen)}"}


def test_a_kinesis_poller_goes_on_behind_its_checkpoint(tmp_path: Path) -> None:
    stream = Stream({"s1": ["a", "b", "c"], "s2": ["d"]})

    async def read(expected: int) -> Function:
        function = Function()
        source = KinesisSource(
            spec_of(path="kinesis://stream"),
            stream,
            function.call,
            Checkpoints(tmp_path / "stream.json"),
            bury=lambda _record, _reason: None,
            complain=lambda _text: None,
        )
        await run_until(source, function, lambda: len(function.done) == expected)
        return function

    first = asyncio.run(read(4))
    stream.shards["s1"].append("e")
    second = asyncio.run(read(1))

    assert sorted(first.done) == ["a", "b", "c", "d"]
    assert second.done == ["e"]


class Resharded(Stream):
    """A stream whose first shard has ended: it was split in two."""

    def list_shards(self, **_: object) -> dict[str, object]:
        children = [{"ShardId": name, "ParentShardId": "s1"} for name in self.shards if name != "s1"]
        return {"Shards": [*children, {"ShardId": "s1"}]}

    def get_records(self, *, ShardIterator: str, Limit: int) -> dict[str, object]:
        answer = super().get_records(ShardIterator=ShardIterator, Limit=Limit)
        if ShardIterator.startswith("s1:") and str(answer["NextShardIterator"]) == f"s1:{len(self.shards['s1'])}":
            answer["NextShardIterator"] = None
        return answer


def test_what_a_kinesis_shard_was_split_into_is_read_when_the_shard_has_ended(tmp_path: Path) -> None:
    async def scenario() -> Function:
        function = Function()
        source = KinesisSource(
            spec_of(path="kinesis://stream", batch_size=2),
            Resharded({"s1": ["a", "b", "c", "d"], "s2": ["e", "f"], "s3": ["g"]}),
            function.call,
            Checkpoints(tmp_path / "stream.json"),
            bury=lambda _record, _reason: None,
            complain=lambda _text: None,
        )
        await run_until(source, function, lambda: len(function.done) == 7)
        return function

    function = asyncio.run(scenario())

    assert function.done[:4] == ["a", "b", "c", "d"]
    assert [body for body in function.done if body in "ef"] == ["e", "f"]
    assert "g" in function.done


def test_a_kinesis_poller_that_wants_only_what_comes_asks_for_records_from_its_start_on(tmp_path: Path) -> None:
    asked: list[dict[str, object]] = []

    class Watched(Stream):
        def get_shard_iterator(self, *, ShardId: str, StartingSequenceNumber: str = "-1", **more: object) -> dict[str, str]:
            asked.append(more)
            return super().get_shard_iterator(ShardId=ShardId, StartingSequenceNumber=StartingSequenceNumber)

    async def scenario() -> None:
        function = Function()
        source = KinesisSource(
            spec_of(path="kinesis://stream", trigger_args={"initial_offset": "latest"}),
            Watched({"s1": ["a"]}),
            function.call,
            Checkpoints(tmp_path / "stream.json"),
            bury=lambda _record, _reason: None,
            complain=lambda _text: None,
        )
        await run_until(source, function, lambda: function.done == ["a"])

    asyncio.run(scenario())

    assert asked[0]["ShardIteratorType"] == "AT_TIMESTAMP"
    assert isinstance(asked[0]["Timestamp"], datetime)
