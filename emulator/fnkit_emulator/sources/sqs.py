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
                batch = await self._receive()
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

    async def _receive(self) -> Sequence[Received]:
        while not self._stopping:
            try:
                answer = await asyncio.to_thread(
                    self._client.receive_message,
                    QueueUrl=self._url,
                    MaxNumberOfMessages=min(10, self._spec.batch_size),
                    WaitTimeSeconds=WAIT_S,
                    AttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
            except (BotoCoreError, ClientError) as error:
                self._complain(f"queue '{self._spec.name}' ({self._url}) cannot be read: {explained(error)}")
                await asyncio.sleep(1.0)
                continue
            if messages := answer.get("Messages"):
                return [_received(message) for message in messages]
        return ()

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
