"""Kinesis: put records, and put again those that were throttled."""

from __future__ import annotations

import time
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence

from fnkit.functions.queues.aws import AwsClient, AwsError, aws_client, jitter
from fnkit.functions.queues.errors import MessageTooLargeError, QueueError
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec
from fnkit.records import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BATCH = 500  # records of one PutRecords
BATCH_BYTES = 5 * 1024 * 1024  # and their size together, as every stream takes it
LARGEST = 10 * 1024 * 1024  # of one record, its key included, where the stream is set up for it; 1 MiB otherwise
ATTEMPTS = 6
_TOO_LARGE = ("less than or equal to 1048576", "less than or equal to 10485760", "exceeds the 1048576", "MaxRecordSize")
Record = tuple[int, dict[str, str]]  # its size, and as it is sent


class Service(Protocol):
    """What puts records."""

    def call(self, operation: str, arguments: Mapping[str, object]) -> dict[str, Any]: ...

    def close(self) -> None: ...


class KinesisSender:
    """Writes to one stream; the key is the partition key, so messages of one key keep their order within a shard."""

    slow = True

    def __init__(self, spec: QueueSpec, client: Service, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._spec = spec
        self._client = client
        self._pause = pause

    def send(self, messages: Sequence[Message]) -> None:
        """Put *messages*; those that Kinesis turned away are put again with backoff, then `QueueError`."""
        for batch in _batches([self._record(message) for message in messages]):
            self._put(batch)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _record(self, message: Message) -> Record:
        key = message.key or message.id or "0"
        size = len(message.body) + len(key.encode())
        if size > LARGEST:
            raise self._too_large(f"a record of {size:,} bytes is larger than {LARGEST:,}")
        return size, {"Data": b2a_base64(message.body, newline=False).decode(), "PartitionKey": key}

    def _put(self, records: list[dict[str, str]]) -> None:
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._pause(jitter() * 0.1 * 2**attempt)
            try:
                answer = self._client.call("PutRecords", {"StreamName": self._spec.address, "Records": records})
            except AwsError as error:
                raise self._refused(error.message, error.hint) from error
            turned_away = [
                (record, result) for record, result in zip(records, answer["Records"], strict=True) if result.get("ErrorCode")
            ]
            if not turned_away:
                return
            records = [record for record, _ in turned_away]
            reason = f"{turned_away[0][1]['ErrorCode']}: {turned_away[0][1].get('ErrorMessage', '')}"
        raise self._refused(f"{len(records)} of its records were turned away {ATTEMPTS} times: {reason}")

    def _refused(self, reason: str, hint: str = "") -> QueueError:
        if any(sign in reason for sign in _TOO_LARGE):
            return self._too_large(reason)
        hint = hint or "see that the stream exists, that the role may put records, and that it has shards enough"
        return QueueError(f"Kinesis did not accept a message: {reason}", where=self._where(), hint=hint)

    def _too_large(self, reason: str) -> MessageTooLargeError:
        hint = "send a reference to the data, or split it"
        return MessageTooLargeError(f"a message does not fit into the stream: {reason}", where=self._where(), hint=hint)

    def _where(self) -> str:
        return f"queue '{self._spec.name}' (stream {self._spec.address})"


def _batches(records: Sequence[Record]) -> list[list[dict[str, str]]]:
    batches: list[list[dict[str, str]]] = []
    total = 0
    for size, record in records:
        if not batches or len(batches[-1]) == BATCH or total + size > BATCH_BYTES:
            batches.append([])
            total = 0
        batches[-1].append(record)
        total += size
    return batches


def open_client(spec: QueueSpec, environ: Mapping[str, str]) -> AwsClient:
    """Return the client for the stream of *spec*. `QueueError` if nobody said who we are or in which region."""
    try:
        return aws_client("kinesis", environ)
    except AwsError as error:
        raise QueueError(f"Kinesis cannot be used: {error.message}", where=f"queue '{spec.name}'", hint=error.hint) from error


def open_sender(spec: QueueSpec, environ: Mapping[str, str]) -> KinesisSender:
    """Open the stream of *spec*; it is met at the first send."""
    return KinesisSender(spec, open_client(spec, environ))
