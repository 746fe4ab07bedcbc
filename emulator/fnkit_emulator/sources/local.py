"""Read a local queue: lend batches to the function, delete what is done, give back what failed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Received
from fnkit.functions.queues.spec import QueueSpec
from fnkit_emulator.sources.batches import sqs_batch
from fnkit_emulator.sources.delivery import Call, Delivery
from fnkit_emulator.sources.tally import Tally

LOOK_S = 1.0  # a queue whose bell was lost, or whose retries are due, is looked at this often


def retry_delay_s(receives: int) -> float:
    """Return how long a message that failed for the *receives*-th time waits: 0.5 s, doubled each time, at most 30 s, with jitter."""
    longest: float = 0.5 * 2 ** (receives - 1)
    return min(30.0, longest) * random.uniform(0.75, 1.0)  # noqa: S311  # jitter, not a secret


class LocalSource:
    """The poller of one local queue; `run` until it is cancelled.

    It is the only reader of its queue, so loans that it finds at its start belong to a reader that died: they are ended at once.
    """

    def __init__(
        self,
        spec: QueueSpec,
        queue: LocalQueue,
        call: Call,
        *,
        region: str = "us-east-1",
        delay: Callable[[int], float] = retry_delay_s,
        look_s: float = LOOK_S,
    ) -> None:
        self._spec, self._queue, self._delay, self._look_s = spec, queue, delay, look_s
        self.tally = Tally()
        self._rung = asyncio.Event()
        self._delivery: Delivery[Received] = Delivery(
            call=call,
            encode=lambda items: sqs_batch(items, spec.address, region),
            identify=lambda loan: loan.message.id,
            rest=lambda: asyncio.sleep(0.1),
        )

    async def run(self) -> None:
        """Deliver what comes, up to `max_concurrency` batches at a time."""
        self._queue.reclaim()
        loop = asyncio.get_running_loop()
        bell = self._queue.listen()
        loop.add_reader(bell, self._hear, bell.recv)
        slots = asyncio.Semaphore(self._spec.max_concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await slots.acquire()
                    batch = await self._next()
                    group.create_task(self._handle(batch)).add_done_callback(lambda _task: slots.release())
        finally:
            loop.remove_reader(bell)
            bell.close()

    async def _next(self) -> Sequence[Received]:
        """Wait for a batch: the first message, then what the batch window brings."""
        while not (batch := self._queue.receive(self._spec.batch_size)):
            await self._wait(self._look_s)
        end = asyncio.get_running_loop().time() + self._spec.batch_window_s
        while len(batch) < self._spec.batch_size and (left := end - asyncio.get_running_loop().time()) > 0:
            await self._wait(left)
            batch += self._queue.receive(self._spec.batch_size - len(batch))
        return batch

    async def _wait(self, seconds: float) -> None:
        self._rung.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return

    def _hear(self, receive: Callable[[int], bytes]) -> None:
        try:
            while receive(1):
                pass
        except BlockingIOError:
            self._rung.set()

    async def _handle(self, batch: Sequence[Received]) -> None:
        outcome = await self._delivery.deliver(batch)
        self.tally.batches += 1
        self.tally.delivered += len(outcome.done)
        self.tally.repeated += sum(loan.receives > 1 for loan in batch)
        self.tally.failed += len(outcome.failed)
        self._queue.delete([loan.receipt for loan in outcome.done])
        for loan, reason in outcome.failed:
            self._queue.give_back([loan.receipt], delay_s=self._delay(loan.receives), reason=reason)
