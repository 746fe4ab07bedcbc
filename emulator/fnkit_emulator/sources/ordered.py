"""Settle a batch whose order must hold: each item done or dead before the one behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from fnkit_emulator.sources.delivery import Delivery
from fnkit_emulator.sources.tally import Tally

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class OrderedSettling(Generic[Item]):
    """How a partition or a shard goes on.

    *settled* is told of items that are done or dead, in order, before anything behind them is tried. An item that failed *max_attempts*
    times is given to *bury*, with the reason, and passed. Between two attempts lie `delay(attempts)` seconds. When *stopping* is set,
    no further attempt is made, and none is waited for: the rest of the batch stays unsettled.
    """

    delivery: Delivery[Item]
    settled: Callable[[Sequence[Item]], Awaitable[None]]
    bury: Callable[[Item, str], None]
    delay: Callable[[int], float]
    max_attempts: int
    tally: Tally
    stopping: asyncio.Event

    async def settle(self, batch: Sequence[Item]) -> None:
        """Deliver *batch* until every item of it is done or dead."""
        attempts = 0
        while batch:
            outcome = await self.delivery.deliver(batch)
            self.tally.batches += 1
            self.tally.delivered += len(outcome.done)
            self.tally.repeated += len(batch) if attempts else 0
            if outcome.done:
                attempts = 0
                await self.settled(outcome.done)
            batch = [item for item, _ in outcome.failed] + outcome.blocked
            if batch and not self.stopping.is_set():
                self.tally.failed += 1
                batch, attempts = await self._after_failure(batch, outcome.failed[0][1], attempts + 1)
            if self.stopping.is_set():
                return

    async def _after_failure(self, batch: Sequence[Item], reason: str, attempts: int) -> tuple[Sequence[Item], int]:
        if attempts < self.max_attempts:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.delay(attempts)):
                    await self.stopping.wait()
            return batch, attempts
        self.bury(batch[0], reason)
        self.tally.dead += 1
        await self.settled(batch[:1])
        return batch[1:], 0
