"""Read a Kafka topic in a consumer group: partitions side by side, each in its order, commits after success only.

A batch is split by partition. A partition whose batch failed is tried again in place, with backoff, from the failed record on; its later
records wait behind it. After `max_receives` attempts the failed record becomes a dead letter in a local queue and the partition moves
on. Nothing is committed before it is done or dead, so a poller that is killed loses nothing.

A partition that takes long (a slow function, the pauses between attempts) is held back while the others go on; the group is asked for
more all the while, so that it does not take this member for dead. What a rebalance takes away is left where it is: the next owner
receives it again. That may be this member; so a record that comes while its partition is at work is one of two things. It stands in or
before the batch at work: then all of that comes again from the last commit on, and the batch is given up. Or it stands behind it, because
the partition came back without being held: then it is left for later, for its commit would settle what is not done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fnkit.errors import FnkitError
from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.spec import QueueSpec
from fnkit_emulator.sources.batches import kafka_batch
from fnkit_emulator.sources.delivery import Call, Delivery, one_lane
from fnkit_emulator.sources.local import retry_delay_s
from fnkit_emulator.sources.ordered import OrderedSettling
from fnkit_emulator.sources.tally import Tally

POLL_S = 0.25
HOLD_S = 0.5  # the other partitions wait so long for one that is still at work: holding it back costs a fetch


class Reader(Protocol):
    """A member of a consumer group, blocking."""

    def receive(self, limit: int, wait_s: float) -> tuple[Record, ...]: ...

    def troubles(self) -> Sequence[str]: ...

    def commit(self, records: Sequence[Record]) -> None: ...

    def hold(self, partitions: Collection[int]) -> None: ...

    def take_lost(self) -> Collection[int]: ...

    def seek_back(self, record: Record) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Work:
    """A batch of a partition that is being settled, and the offset of its last record."""

    task: asyncio.Task[None]
    last: int


class KafkaSource:
    """The poller of one topic; `run` until it is told to `stop`.

    *bury* stores a record that failed for good, with the reason; *complain* is told what the broker says while it cannot be read.
    """

    def __init__(
        self,
        spec: QueueSpec,
        open_reader: Callable[[], Reader],
        call: Call,
        *,
        bury: Callable[[Record, str], None],
        complain: Callable[[str], None],
        delay: Callable[[int], float] = retry_delay_s,
    ) -> None:
        self._spec, self._open, self._bury, self._complain, self._delay = spec, open_reader, bury, complain, delay
        self.tally = Tally()
        self._stopping = asyncio.Event()
        self._working: dict[int, _Work] = {}
        self._delivery: Delivery[Record] = Delivery(
            call=call,
            encode=lambda records: kafka_batch(records, spec),
            identify=lambda record: (f"{record.topic}-{record.partition}", record.offset),
            rest=lambda: asyncio.sleep(0.1),
            lane=one_lane,
        )

    async def run(self) -> None:
        """Join the group, deliver what comes, commit what is done; leave the group in the end."""
        reader = await asyncio.to_thread(self._open)
        self._working = {}

        async def commit(records: Sequence[Record]) -> None:
            await asyncio.to_thread(reader.commit, records)

        attempts = self._spec.retention.max_receives
        settling = OrderedSettling(self._delivery, commit, self._bury, self._delay, attempts, self.tally, self._stopping)
        try:
            async with asyncio.TaskGroup() as group:
                await self._deliver_all(reader, lambda batch: group.create_task(settling.settle(batch)))
        finally:
            await asyncio.shield(asyncio.to_thread(reader.close))

    async def _deliver_all(self, reader: Reader, begin: Callable[[Sequence[Record]], asyncio.Task[None]]) -> None:
        """Receive until `stop`, and *begin* a batch for each partition that has records and nothing at work."""
        while not self._stopping.is_set():
            fresh: dict[int, _Work] = {}
            for partition, batch in _by_partition(await self._next(reader)).items():
                work = self._working.get(partition)
                if work is not None and not work.task.done() and batch[0].offset > work.last:
                    await asyncio.to_thread(reader.seek_back, batch[0])
                    continue
                await self._give_up({partition} & self._working.keys())
                fresh[partition] = _Work(begin(batch), batch[-1].offset)
            if fresh:
                await asyncio.wait([work.task for work in fresh.values()], timeout=HOLD_S)
            self._working |= fresh
            await self._hold(reader)

    async def _next(self, reader: Reader) -> list[Record]:
        """Return the first records that come within a moment, and what the batch window brings."""
        now, size = asyncio.get_running_loop().time, self._spec.batch_size
        records = await self._receive(reader, size, POLL_S, [])
        end = now() + self._spec.batch_window_s
        while 0 < len(records) < size and (left := end - now()) > 0 and not self._stopping.is_set():
            await self._hold(reader)
            records = await self._receive(reader, size - len(records), min(POLL_S, left), records)
        return records

    async def _hold(self, reader: Reader) -> None:
        """Receive no more of partitions that are at work, and again of those that no longer are."""
        self._working = {partition: work for partition, work in self._working.items() if not work.task.done()}
        await asyncio.to_thread(reader.hold, tuple(self._working))

    async def _give_up(self, partitions: Iterable[int]) -> None:
        """Leave batches of partitions that belong to others now."""
        tasks = [self._working.pop(partition).task for partition in list(partitions)]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def stop(self) -> None:
        """Take no more records; what failed and waits for its next attempt is left to whoever reads the topic next."""
        self._stopping.set()

    async def _receive(self, reader: Reader, limit: int, wait_s: float, before: Sequence[Record]) -> list[Record]:
        """Return the records *before* that are still ours, and up to *limit* more."""
        more: Sequence[Record] = ()
        try:
            more = await asyncio.to_thread(reader.receive, limit, wait_s)
            for trouble in reader.troubles():
                self._complain(trouble)
        except FnkitError as error:
            self._complain(error.explain())
            await asyncio.sleep(1.0)
        lost = frozenset(reader.take_lost())
        await self._give_up(lost & self._working.keys())
        return [*(record for record in before if record.partition not in lost), *more]


def _by_partition(records: Sequence[Record]) -> dict[int, list[Record]]:
    """Return *records* by partition. Where a rebalance has begun one anew, what it brought before comes again and is left out."""
    batches: dict[int, list[Record]] = {}
    for record in records:
        batch = batches.setdefault(record.partition, [])
        if batch and record.offset <= batch[-1].offset:
            batch.clear()
        batch.append(record)
    return batches
