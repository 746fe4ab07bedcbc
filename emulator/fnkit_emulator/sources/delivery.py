"""Deliver one batch to a function, and find out which of its items failed.

A function that names failed items (`batchItemFailures`) has them back alone. A function that fails as a whole (an error, a timeout, a
worker that died) says nothing about single items: the batch is cut in two and each half delivered by itself, down to single items, so
that one poisonous item never takes its neighbours with it. What succeeded in a batch that failed later is delivered again: at least once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fnkit_emulator.sources.batches import failed_items

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function answered: the payload, or in *error* why there is none. *throttled*: it could not take the event now."""

    payload: bytes = b""
    error: str = ""
    throttled: bool = False


# Takes the payload of a batch and how many items are in it.
Call = Callable[[bytes, int], Awaitable[Answer]]


@dataclass(slots=True)
class Outcome(Generic[Item]):
    """What became of a batch: items that are done, items that failed with the reason, and items that wait behind a failed one."""

    done: list[Item] = field(default_factory=list)
    failed: list[tuple[Item, str]] = field(default_factory=list)
    blocked: list[Item] = field(default_factory=list)


def no_lane(_item: object) -> object:
    """The lane of items that promise no order."""
    return None


def one_lane(_item: object) -> object:
    """The lane of a partition or a shard: all of it in order."""
    return ""


@dataclass(frozen=True, slots=True)
class Delivery(Generic[Item]):
    """How items become a payload (*encode*), what identifies one in the answer (*identify*), and who takes it (*call*).

    Items of one *lane* keep their order: what stands behind a failed item in its lane is not delivered. The lane None promises no order.
    *rest* waits between two attempts at a function that is throttled.
    """

    call: Call
    encode: Callable[[Sequence[Item]], bytes]
    identify: Callable[[Item], object]
    rest: Callable[[], Awaitable[None]]
    lane: Callable[[Item], object] = no_lane

    async def deliver(self, items: Sequence[Item]) -> Outcome[Item]:
        """Deliver *items* and return what became of each."""
        outcome: Outcome[Item] = Outcome()
        await self._deliver(items, outcome, set())
        return outcome

    async def _deliver(self, batch: Sequence[Item], outcome: Outcome[Item], blocked: set[object]) -> None:
        items = [item for item in batch if self.lane(item) not in blocked]
        outcome.blocked += [item for item in batch if self.lane(item) in blocked]
        if not items:
            return
        answer = await self._call(items)
        failed = None if answer.error else failed_items(answer.payload, {self.identify(item) for item in items})
        if failed is not None:
            self._sort(items, set(failed), outcome, blocked)
        elif len(items) == 1:
            self._fail(items[0], answer.error or "the function's answer names items that it was not given", outcome, blocked)
        else:
            middle = len(items) // 2
            await self._deliver(items[:middle], outcome, blocked)
            await self._deliver(items[middle:], outcome, blocked)

    async def _call(self, items: Sequence[Item]) -> Answer:
        payload = self.encode(items)
        while (answer := await self.call(payload, len(items))).throttled:
            await self.rest()
        return answer

    def _sort(self, items: Sequence[Item], failed: set[object], outcome: Outcome[Item], blocked: set[object]) -> None:
        for item in items:
            if self.lane(item) in blocked:
                outcome.blocked.append(item)
            elif self.identify(item) in failed:
                self._fail(item, "the function named it in batchItemFailures", outcome, blocked)
            else:
                outcome.done.append(item)

    def _fail(self, item: Item, reason: str, outcome: Outcome[Item], blocked: set[object]) -> None:
        outcome.failed.append((item, reason))
        if (lane := self.lane(item)) is not None:
            blocked.add(lane)
