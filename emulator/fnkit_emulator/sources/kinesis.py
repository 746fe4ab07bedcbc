"""Read a Kinesis stream by boto3: shards side by side, each in its order, checkpoints after success only.

A shard that was split, or merged with another, is read to its end before what came of it, so that keys keep their order.

The checkpoint of a shard is the sequence number of its last record that is done or dead; it is kept in a file, so that a poller that is
started again goes on behind it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fnkit.functions.queues.spec import QueueSpec
from fnkit_emulator.sources.aws_errors import explained
from fnkit_emulator.sources.batches import kinesis_batch
from fnkit_emulator.sources.delivery import Call, Delivery, one_lane
from fnkit_emulator.sources.local import retry_delay_s
from fnkit_emulator.sources.ordered import OrderedSettling
from fnkit_emulator.sources.tally import Tally

POLL_S = 0.25
AT_ONCE = 10_000  # records of one request
KinesisRecord = Mapping[str, Any]
Shard = Mapping[str, Any]


class Checkpoints:
    """Where each shard of a stream stands, in a JSON file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, shard: str) -> str:
        """Return the sequence number of the last settled record of *shard*, or ""."""
        return self._done.get(shard, "")

    def put(self, shard: str, number: str) -> None:
        """Remember that *shard* is settled up to *number*."""
        self._done[shard] = number
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._done))
        os.replace(fresh, self._path)


@dataclass(slots=True)
class _Progress:
    """Which shards are being read, and which are read to their end: a shard is begun when those that it came of are finished."""

    begun: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)

    def next(self, shards: Sequence[Shard]) -> list[str]:
        """Return those of *shards* that can be begun now, and remember that they are."""
        here = {shard["ShardId"] for shard in shards}
        ready = [shard["ShardId"] for shard in shards if not (_parents(shard) & here) - self.finished]
        fresh = [shard for shard in ready if shard not in self.begun]
        self.begun.update(fresh)
        return fresh


def _parents(shard: Shard) -> set[str]:
    return {shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name)}


class KinesisSource:
    """The poller of one stream; `run` until it is told to `stop`. *bury* stores a record that failed for good, with the reason."""

    def __init__(
        self,
        spec: QueueSpec,
        client: Any,  # boto3 has no types of its own
        call: Call,
        checkpoints: Checkpoints,
        *,
        bury: Callable[[KinesisRecord, str], None],
        complain: Callable[[str], None],
        region: str = "us-east-1",
        delay: Callable[[int], float] = retry_delay_s,
    ) -> None:
        self._spec, self._client, self._call, self._checkpoints = spec, client, call, checkpoints
        self._bury, self._complain, self._region, self._delay = bury, complain, region, delay
        self.tally = Tally()
        self._stopping = asyncio.Event()
        self._begun = datetime.now(UTC)

    async def run(self) -> None:
        """Read every shard of the stream; a stream that cannot be described yet is asked again."""
        shards = await self._shards()
        while not shards and not self._stopping.is_set():
            await asyncio.sleep(1.0)
            shards = await self._shards()
        progress = _Progress()
        async with asyncio.TaskGroup() as group:
            for shard in progress.next(shards):
                group.create_task(self._follow(shard, progress, group))

    def stop(self) -> None:
        """Take no more records."""
        self._stopping.set()

    async def _shards(self) -> list[Shard]:
        shards: list[Shard] = []
        more: dict[str, str] = {"StreamName": self._spec.address}
        try:
            while more:
                answer = await asyncio.to_thread(self._client.list_shards, **more)
                shards += answer["Shards"]
                more = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
        except (BotoCoreError, ClientError) as error:
            self._complain(f"stream '{self._spec.address}' cannot be read: {explained(error)}")
            return []
        return shards

    async def _follow(self, shard: str, progress: _Progress, group: asyncio.TaskGroup) -> None:
        """Read *shard*, and where it ends (it was split, or merged with another) what follows it."""
        await self._read(shard)
        progress.finished.add(shard)
        shards: list[Shard] = []
        while not shards and not self._stopping.is_set():
            shards = await self._shards()
            if not shards:
                await asyncio.sleep(1.0)
        for child in progress.next(shards) if not self._stopping.is_set() else ():
            group.create_task(self._follow(child, progress, group))

    async def _read(self, shard: str) -> None:
        iterator, settling = "", self._settling(shard)
        while not self._stopping.is_set():
            try:
                records, iterator = await self._next(iterator or await self._iterator(shard))
            except (BotoCoreError, ClientError) as error:
                self._complain(f"shard {shard} of stream '{self._spec.address}' cannot be read: {explained(error)}")
                iterator = ""
                await asyncio.sleep(1.0)
                continue
            await settling.settle(records)
            if not iterator:
                return  # the shard is closed, and all of it is read
            if not records:
                await asyncio.sleep(POLL_S)

    async def _next(self, iterator: str) -> tuple[list[KinesisRecord], str]:
        """Return a batch, the first records and what the batch window brings, and where it goes on: `""` at the end of the shard."""
        now = asyncio.get_running_loop().time
        records, iterator = await self._get(iterator, self._spec.batch_size)
        end = now() + self._spec.batch_window_s
        while 0 < len(records) < self._spec.batch_size and iterator and (left := end - now()) > 0 and not self._stopping.is_set():
            await asyncio.sleep(min(POLL_S, left))
            more, iterator = await self._get(iterator, self._spec.batch_size - len(records))
            records += more
        return records, iterator

    async def _get(self, iterator: str, limit: int) -> tuple[list[KinesisRecord], str]:
        answer = await asyncio.to_thread(self._client.get_records, ShardIterator=iterator, Limit=min(AT_ONCE, limit))
        return answer["Records"], answer.get("NextShardIterator") or ""

    async def _iterator(self, shard: str) -> str:
        where: dict[str, object] = {"ShardIteratorType": "TRIM_HORIZON"}
        if self._spec.starting == "latest":
            where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self._begun}
        if number := self._checkpoints.get(shard):
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
        answer = await asyncio.to_thread(self._client.get_shard_iterator, StreamName=self._spec.address, ShardId=shard, **where)
        return str(answer["ShardIterator"])

    def _settling(self, shard: str) -> OrderedSettling[KinesisRecord]:
        delivery: Delivery[KinesisRecord] = Delivery(
            call=self._call,
            encode=lambda records: kinesis_batch(records, self._spec.address, shard, self._region),
            identify=lambda record: str(record["SequenceNumber"]),
            rest=lambda: asyncio.sleep(0.1),
            lane=one_lane,
        )

        async def settled(records: Sequence[KinesisRecord]) -> None:
            self._checkpoints.put(shard, str(records[-1]["SequenceNumber"]))

        attempts = self._spec.retention.max_receives
        return OrderedSettling(delivery, settled, self._bury, self._delay, attempts, self.tally, self._stopping)
