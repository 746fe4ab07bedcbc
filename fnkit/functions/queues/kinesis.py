"""Kinesis by boto3: put records, and put again those that were throttled."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from fnkit.functions.queues.local import QueueError
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BATCH = 500  # records of one PutRecords
ATTEMPTS = 6


class KinesisSender:
    """Writes to one stream; the key is the partition key, so messages of one key keep their order within a shard."""

    slow = True

    def __init__(self, spec: QueueSpec, client: Any, *, pause: Callable[[float], None] = time.sleep) -> None:  # Any: boto3
        self._spec = spec
        self._client = client
        self._pause = pause

    def send(self, messages: Sequence[Message]) -> None:
        """Put *messages*; those that Kinesis turned away are put again with backoff, then `QueueError`."""
        records: list[dict[str, object]] = [
            {"Data": message.body, "PartitionKey": message.key or message.id or "0"} for message in messages
        ]
        for start in range(0, len(records), BATCH):
            self._put(records[start : start + BATCH])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _put(self, records: list[dict[str, object]]) -> None:
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._pause(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311  # jitter, not a secret
            try:
                answer = self._client.put_records(StreamName=self._spec.address, Records=records)
            except (BotoCoreError, ClientError) as error:
                raise self._refused(str(error)) from error
            turned_away = [
                (record, result) for record, result in zip(records, answer["Records"], strict=True) if result.get("ErrorCode")
            ]
            if not turned_away:
                return
            records = [record for record, _ in turned_away]
            reason = f"{turned_away[0][1]['ErrorCode']}: {turned_away[0][1].get('ErrorMessage', '')}"
        raise self._refused(f"{len(records)} of its records were turned away {ATTEMPTS} times: {reason}")

    def _refused(self, reason: str) -> QueueError:
        return QueueError(
            f"Kinesis did not accept a message: {reason}",
            where=f"queue '{self._spec.name}' (stream {self._spec.address})",
            hint="see that the stream exists, that the role may put records, and that it has shards enough",
        )


def open_sender(spec: QueueSpec, environ: Mapping[str, str]) -> KinesisSender:
    """Open the stream of *spec*; it is met at the first send."""
    del environ
    try:
        return KinesisSender(spec, boto3.client("kinesis"))
    except BotoCoreError as error:
        raise QueueError(f"Kinesis cannot be used: {error}", where=f"queue '{spec.name}'", hint="set AWS_REGION") from error
