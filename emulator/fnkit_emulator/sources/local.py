"""Read a local queue: lend batches to the function, delete what is done, give back what failed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Received
from fnkit.functions.queues.spec import QueueSpec
from fnkit_emulator.sources.batches import sqs_batch
from fnkit_emulator.sources.delivery import Call, Delivery, Outcome
from fnkit_emulator.sources.tally import Tally, obituary

Result = TypeVar("Result")
LOOK_S = 1.0  # a queue whose bell was lost, or whose retries are due, is looked at this often


def retry_delay_s(receives: int) -> float:
    """Return how long a message that failed for the *receives*-th time waits: 0.5 s, doubled each time, at most 30 s, with jitter."""
    longest: float = 0.5 * 2 ** (receives - 1)
    return min(30.0, longest) * random.uniform(0.75, 1.0)  # noqa: S311  # jitter, not a secret


class LocalSource:
    """The poller of one local queue; `run` until it is told to `stop`.

    It is the only reader of its queue, so loans that it finds at its start belong to a reader that died: they are ended at once; and
    a loan is renewed as long as its batch is being handled, so that a slow function gets nothing twice. The file is touched by a
    thread of its own, as a commit may have to wait for other processes. *deliver* replaces the delivery in the shape of SQS. *mourn* hears
    of every dead letter.
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
        deliver: Callable[[Sequence[Received]], Awaitable[Outcome[Received]]] | None = None,
        mourn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._mourn = mourn
        self._spec, self._queue, self._delay, self._look_s = spec, queue, delay, look_s
        self.tally = Tally()
        self._rung = asyncio.Event()
        self._stopping = False
        self._thread: ThreadPoolExecutor | None = None
        delivery: Delivery[Received] = Delivery(
            call=call,
            encode=lambda items: sqs_batch(items, spec.address, region),
            identify=lambda loan: loan.message.id,
            rest=lambda: asyncio.sleep(0.1),
            lane=lambda loan: loan.message.key or None,
        )
        self._deliver = deliver or delivery.deliver

    async def run(self) -> None:
        """Deliver what comes, up to `max_concurrency` batches at a time; after `stop` return when those at work are done."""
        loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, f"queue-{self._spec.name}")
        bell = self._queue.listen()
        loop.add_reader(bell, self._hear, bell.recv)
        slots = asyncio.Semaphore(self._spec.max_concurrency)
        try:
            await self._do(self._queue.reclaim)
            async with asyncio.TaskGroup() as group:
                while True:
                    await slots.acquire()
                    batch = await self._next()
                    if not batch:
                        break
                    group.create_task(self._handle(batch)).add_done_callback(lambda _task: slots.release())
        finally:
            loop.remove_reader(bell)
            bell.close()
            self._thread.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """Take no more batches."""
        self._stopping = True
        self._rung.set()

    async def _do(self, action: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, action, *arguments)

    async def _next(self) -> Sequence[Received]:
        """Wait for a batch: the first message, then what the batch window brings. Empty when there is to be no more."""
        batch: tuple[Received, ...] = ()
        while not batch and not self._stopping:
            self._rung.clear()
            batch = await self._do(self._queue.receive, self._spec.batch_size)
            if not batch:
                await self._wait(self._look_s)
        end = asyncio.get_running_loop().time() + self._spec.batch_window_s
        while len(batch) < self._spec.batch_size and (left := end - asyncio.get_running_loop().time()) > 0 and not self._stopping:
            self._rung.clear()
            await self._wait(min(left, self._queue.retention.visibility_s / 3))
            await self._do(self._queue.renew, [loan.receipt for loan in batch])  # a window may be longer than a loan
            batch += await self._do(self._queue.receive, self._spec.batch_size - len(batch))
        return batch

    async def _wait(self, seconds: float) -> None:
        if self._stopping:
            return
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
        renewal = asyncio.get_running_loop().create_task(self._renew([loan.receipt for loan in batch]))
        try:
            outcome = await self._deliver(batch)
        finally:
            renewal.cancel()
        self.tally.batches += 1
        self.tally.delivered += len(outcome.done)
        self.tally.repeated += sum(loan.receives > 1 for loan in batch)
        self.tally.failed += len(outcome.failed)
        await self._do(self._settle, outcome)
        for loan, reason in outcome.failed:
            if loan.receives >= self._queue.retention.max_receives:
                self._mourn(obituary(self._spec, loan.message, loan.receives, reason))

    def _settle(self, outcome: Outcome[Received]) -> None:
        if outcome.done:
            self._queue.delete([loan.receipt for loan in outcome.done])
        for loan, reason in outcome.failed:
            self._queue.give_back([loan.receipt], delay_s=self._delay(loan.receives), reason=reason)
            self.tally.dead += loan.receives >= self._queue.retention.max_receives

        if outcome.blocked:
            self._queue.release([loan.receipt for loan in outcome.blocked])

    async def _renew(self, receipts: Sequence[str]) -> None:
        while True:
            await asyncio.sleep(self._queue.retention.visibility_s / 3)
            await self._do(self._queue.renew, receipts)
