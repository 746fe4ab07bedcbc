"""Read an SQS queue by boto3: long polls, deletes what is done, leaves the rest to the queue's own visibility and redrive."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fnkit.errors import FnkitError
from fnkit.functions.queues.message import Message, Received
from fnkit.functions.queues.spec import QueueSpec
from fnkit_emulator.sources.aws_errors import explained
from fnkit_emulator.sources.batches import sqs_batch
from fnkit_emulator.sources.delivery import Call, Delivery, no_lane
from fnkit_emulator.sources.local import retry_delay_s
from fnkit_emulator.sources.tally import Tally

WAIT_S = 1  # of one long poll: short, so that the end of the emulator need not wait for it
LOOK_S = 0.2  # between two looks at a queue in the last second of a batch window
AT_ONCE = 10  # messages of one request


class SqsSource:
    """The poller of one SQS queue; `run` until it is told to `stop`. *find_url* looks the queue up, and is asked until
    there is one. Dead letters are the queue's own business (its redrive policy)."""

    def __init__(
        self,
        spec: QueueSpec,
        client: Any,  # boto3 has no types of its own
        find_url: Callable[[], str],
        call: Call,
        *,
        complain: Callable[[str], None],
        region: str = "us-east-1",
        delay: Callable[[int], float] = retry_delay_s,
    ) -> None:
        self._spec, self._client, self._find_url, self._complain, self._delay = spec, client, find_url, complain, delay
        self._call, self._region = call, region
        self.tally = Tally()
        self._stopping = False
        self._url = ""

    async def run(self) -> None:
        """Deliver what comes, up to `max_concurrency` batches at a time; after `stop` return when those at work are done."""
        await self._find()
        delivery = self._delivery()
        slots = asyncio.Semaphore(self._spec.max_concurrency)
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                batch = await self._next()
                if not batch:
                    break
                group.create_task(self._handle(delivery, batch)).add_done_callback(lambda _task: slots.release())

    def stop(self) -> None:
        """Take no more batches."""
        self._stopping = True

    async def _find(self) -> None:
        while not self._url and not self._stopping:
            try:
                self._url = await asyncio.to_thread(self._find_url)
            except FnkitError as error:
                self._complain(error.explain())
                await asyncio.sleep(1.0)

    def _delivery(self) -> Delivery[Received]:
        name = self._url.rsplit("/", 1)[-1]
        return Delivery(
            call=self._call,
            encode=lambda items: sqs_batch(items, name, self._region),
            identify=lambda loan: loan.message.id,
            rest=lambda: asyncio.sleep(0.1),
            lane=(lambda loan: loan.message.key) if name.endswith(".fifo") else no_lane,
        )

    async def _next(self) -> Sequence[Received]:
        """Wait for a batch: the first messages, then what the batch window brings. Empty when there is to be no more."""
        size, window_s = self._limits()
        batch: list[Received] = []
        while not batch and not self._stopping:
            batch = await self._receive(size, WAIT_S)
        now = asyncio.get_running_loop().time
        end = now() + window_s
        while len(batch) < size and (left := end - now()) > 0 and not self._stopping:
            wait_s = min(WAIT_S, int(left))  # SQS counts in whole seconds
            more = await self._receive(size - len(batch), wait_s)
            batch += more
            if not more and not wait_s:
                await asyncio.sleep(min(left, LOOK_S))
        return batch

    def _limits(self) -> tuple[int, float]:
        """Return how many messages one batch may have, and for how many seconds it is gathered, as a mapping of Lambda has them."""
        size, window_s = self._spec.batch_size, self._spec.batch_window_s
        if self._url.endswith(".fifo"):
            return min(AT_ONCE, size), 0.0
        return size, window_s or (1.0 if size > AT_ONCE else 0.0)

    async def _receive(self, limit: int, wait_s: int) -> list[Received]:
        try:
            answer = await asyncio.to_thread(
                self._client.receive_message,
                QueueUrl=self._url,
                MaxNumberOfMessages=min(AT_ONCE, limit),
                WaitTimeSeconds=wait_s,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (BotoCoreError, ClientError) as error:
            self._complain(f"queue '{self._spec.name}' ({self._url}) cannot be read: {explained(error)}")
            await asyncio.sleep(1.0)
            return []
        return [_received(message) for message in answer.get("Messages") or ()]

    async def _handle(self, delivery: Delivery[Received], batch: Sequence[Received]) -> None:
        outcome = await delivery.deliver(batch)
        self.tally.batches += 1
        self.tally.delivered += len(outcome.done)
        self.tally.repeated += sum(loan.receives > 1 for loan in batch)
        self.tally.failed += len(outcome.failed)
        done: list[dict[str, object]] = [
            {"Id": str(number), "ReceiptHandle": loan.receipt} for number, loan in enumerate(outcome.done)
        ]
        back: list[dict[str, object]] = [
            {"Id": str(number), "ReceiptHandle": loan.receipt, "VisibilityTimeout": int(self._delay(loan.receives))}
            for number, (loan, _) in enumerate(outcome.failed)
        ]
        back += [
            {"Id": f"b{number}", "ReceiptHandle": loan.receipt, "VisibilityTimeout": 0}
            for number, loan in enumerate(outcome.blocked)
        ]
        if done:
            await self._settle(self._client.delete_message_batch, done)
        if back:
            await self._settle(self._client.change_message_visibility_batch, back)

    async def _settle(self, action: Callable[..., object], entries: list[dict[str, object]]) -> None:
        for start in range(0, len(entries), AT_ONCE):
            await self._settle_some(action, entries[start : start + AT_ONCE])

    async def _settle_some(self, action: Callable[..., object], entries: list[dict[str, object]]) -> None:
        try:
            await asyncio.to_thread(action, QueueUrl=self._url, Entries=entries)
        except (BotoCoreError, ClientError) as error:  # they come again when their visibility timeout has passed
            self._complain(f"queue '{self._spec.name}' ({self._url}) did not take an acknowledgement: {explained(error)}")


def _received(message: dict[str, Any]) -> Received:
    given = {name: str(value.get("StringValue", "")) for name, value in message.get("MessageAttributes", {}).items()}
    attributes = message.get("Attributes", {})
    key = given.pop("fnkit-key", "") or attributes.get("MessageGroupId", "")
    body = message["Body"].encode()
    if given.pop("fnkit-encoding", "") == "base64":
        body = base64.b64decode(body)
    return Received(
        Message(body, key, given, message["MessageId"]),
        message["ReceiptHandle"],
        int(attributes.get("ApproximateReceiveCount", "1")),
        int(attributes.get("SentTimestamp", "0")) / 1000,
    )
