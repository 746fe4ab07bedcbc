"""A batch is cut down to the items that really fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

import pytest

from fnkit_emulator.sources.batches import failed_items
from fnkit_emulator.sources.delivery import Answer, Delivery, Outcome, no_lane, one_lane


class Function:
    """A function that answers by *behave*, and remembers the batches that it was given."""

    def __init__(self, behave: Callable[[list[int]], Answer]) -> None:
        self.behave = behave
        self.batches: list[list[int]] = []

    async def call(self, payload: bytes, _count: int) -> Answer:
        batch = json.loads(payload)
        self.batches.append(batch)
        return self.behave(batch)


async def no_rest() -> None:
    """Go on at once."""


def run(function: Function, items: Sequence[int], *, lane: Callable[[int], object] = no_lane) -> Outcome[int]:
    delivery = Delivery(
        call=function.call,
        encode=lambda batch: json.dumps(list(batch)).encode(),
        identify=lambda item: item,
        rest=no_rest,
        lane=lane,
    )
    return asyncio.run(delivery.deliver(items))


def naming(*failed: int) -> Callable[[list[int]], Answer]:
    return lambda batch: Answer(
        json.dumps({"batchItemFailures": [{"itemIdentifier": item} for item in batch if item in failed]}).encode()
    )


def crashing_on(poison: int) -> Callable[[list[int]], Answer]:
    return lambda batch: Answer(error="Runtime.ExitError") if poison in batch else Answer(b"null")


def test_items_that_the_function_names_fail_alone() -> None:
    outcome = run(Function(naming(2)), [1, 2, 3])

    assert outcome.done == [1, 3]
    assert [item for item, _ in outcome.failed] == [2]


def test_a_function_that_crashes_on_one_item_keeps_its_neighbours() -> None:
    function = Function(crashing_on(5))

    outcome = run(function, range(8))

    assert outcome.done == [0, 1, 2, 3, 4, 6, 7]
    assert outcome.failed == [(5, "Runtime.ExitError")]
    assert function.batches[0] == list(range(8))


def test_in_an_ordered_batch_everything_behind_a_failure_waits() -> None:
    outcome = run(Function(crashing_on(2)), [1, 2, 3, 4], lane=one_lane)

    assert outcome.done == [1]
    assert [item for item, _ in outcome.failed] == [2]
    assert outcome.blocked == [3, 4]


def test_only_items_of_the_same_lane_wait_behind_a_failure() -> None:
    function = Function(crashing_on(2))

    outcome = run(function, [1, 2, 3, 4, 5, 6], lane=lambda item: item % 2)

    assert outcome.done == [1, 3, 5]
    assert [item for item, _ in outcome.failed] == [2]
    assert outcome.blocked == [4, 6]
    assert not [batch for batch in function.batches[function.batches.index([2]) + 1 :] if 4 in batch or 6 in batch]


def test_a_named_item_holds_up_those_behind_it_in_its_lane() -> None:
    outcome = run(Function(naming(3)), [1, 2, 3, 4, 5, 6], lane=lambda item: item % 2)

    assert outcome.done == [1, 2, 4, 6]
    assert outcome.blocked == [5]


def test_a_throttled_function_is_asked_again() -> None:
    answers = [Answer(throttled=True), Answer(throttled=True), Answer(b"{}")]
    function = Function(lambda _batch: answers.pop(0))

    outcome = run(function, [1])

    assert outcome.done == [1]
    assert len(function.batches) == 3


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (b"", ()),
        (b"null", ()),
        (b'{"batchItemFailures": []}', ()),
        (b'{"batchItemFailures": null}', ()),
        (b'"done"', ()),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}]}', ("a",)),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": "x"}]}', None),
        (b'{"batchItemFailures": ["a"]}', None),
        (b'{"batchItemFailures": "a"}', None),
        (b"{not json", None),
    ],
)
def test_an_answer_says_which_items_failed_as_lambda_reads_it(answer: bytes, failed: tuple[str, ...] | None) -> None:
    assert failed_items(answer, {"a", "b"}) == failed
