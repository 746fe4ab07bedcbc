"""SQS by boto3: send in batches of ten, and know whether every message was taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from fnkit.functions.queues.local import QueueError
from fnkit.functions.queues.message import Message, encode_body
from fnkit.functions.queues.senders import queue_urls
from fnkit.functions.queues.spec import QueueSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BATCH = 10  # entries of one SendMessageBatch
BATCH_BYTES = 1024 * 1024  # and their size together


class SqsSender:
    """Writes to one SQS queue; on a FIFO queue the key is the message group and the id the deduplication id."""

    slow = True

    def __init__(self, spec: QueueSpec, client: Any, url: str) -> None:  # Any: boto3 has no types of its own
        self._spec = spec
        self._client = client
        self._url = url

    def send(self, messages: Sequence[Message]) -> None:
        """Send *messages*; `QueueError` names the first that SQS did not take and why."""
        for batch in _batches(messages):
            entries = [self._entry(str(number), message) for number, message in enumerate(batch)]
            try:
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            except (BotoCoreError, ClientError) as error:
                raise self._refused(str(error)) from error
            if failed := answer.get("Failed"):
                raise self._refused(f"{failed[0].get('Code')}: {failed[0].get('Message', '')}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _entry(self, entry_id: str, message: Message) -> dict[str, object]:
        body, attributes = encode_body(message)
        entry: dict[str, object] = {"Id": entry_id, "MessageBody": body}
        if attributes:
            entry["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
            }
        if self._url.endswith(".fifo"):
            entry["MessageGroupId"] = message.key or message.id or "default"
            entry["MessageDeduplicationId"] = message.id
        return entry

    def _refused(self, reason: str) -> QueueError:
        return QueueError(
            f"SQS did not accept a message: {reason}",
            where=f"queue '{self._spec.name}' ({self._url})",
            hint="see that the queue exists, that the role may send to it, and that the message fits into 1 MiB",
        )


def _batches(messages: Sequence[Message]) -> list[list[Message]]:
    batches: list[list[Message]] = []
    size = 0
    for message in messages:
        if not batches or len(batches[-1]) == BATCH or size + len(message.body) > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(message)
        size += len(message.body)
    return batches


def sqs_url(spec: QueueSpec, environ: Mapping[str, str], client: Any) -> str:
    """Return the URL of the queue of *spec*: given, set by the deployer, or looked up by its name."""
    if spec.address.startswith(("http://", "https://")):
        return spec.address
    if spec.address in (known := queue_urls(environ)):
        return known[spec.address]
    try:
        return str(client.get_queue_url(QueueName=spec.address)["QueueUrl"])
    except (BotoCoreError, ClientError) as error:
        raise QueueError(
            f"there is no SQS queue '{spec.address}' that can be used: {error}",
            where=f"queue '{spec.name}'",
            hint="create it, or give its URL as the path",
        ) from error


def open_sender(spec: QueueSpec, environ: Mapping[str, str]) -> SqsSender:
    """Find the queue of *spec*; `QueueError` if there is none, or if nobody said who we are or in which region."""
    try:
        client = boto3.client("sqs")
    except BotoCoreError as error:
        raise QueueError(f"SQS cannot be used: {error}", where=f"queue '{spec.name}'", hint="set AWS_REGION") from error
    return SqsSender(spec, client, sqs_url(spec, environ, client))
