"""SQS: send in batches of ten, and know whether every message was taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fnkit.functions.queues.aws import AwsClient, AwsError, aws_client
from fnkit.functions.queues.errors import MessageTooLargeError, QueueError
from fnkit.functions.queues.message import Message, encode_body
from fnkit.functions.queues.senders import queue_urls
from fnkit.functions.queues.spec import QueueSpec

BATCH = 10  # entries of one SendMessageBatch
BATCH_BYTES = 1024 * 1024  # and their size together, which is the limit of a single message too
_TOO_LARGE = ("BatchRequestTooLong", "Message must be shorter than")


class SqsSender:
    """Writes to one SQS queue, whose URL *find_url* looks up before the first send.

    On a FIFO queue the key is the message group and the id the deduplication id.
    """

    slow = True

    def __init__(self, spec: QueueSpec, client: AwsClient, find_url: Callable[[], str]) -> None:
        self._spec = spec
        self._client = client
        self._find_url = find_url
        self._url = ""

    def send(self, messages: Sequence[Message]) -> None:
        """Send *messages*; `QueueError` names the first that SQS did not take and why."""
        self._url = self._url or self._find_url()
        for batch in self._batches(messages):
            try:
                answer = self._client.call("SendMessageBatch", {"QueueUrl": self._url, "Entries": batch})
            except AwsError as error:
                raise self._refused(error.message, error.hint) from error
            if failed := answer.get("Failed"):
                raise self._refused(f"{failed[0].get('Code')}: {failed[0].get('Message', '')}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _batches(self, messages: Sequence[Message]) -> list[list[dict[str, object]]]:
        batches: list[list[dict[str, object]]] = []
        total = 0
        for message in messages:
            size, entry = self._entry(message)
            if size > BATCH_BYTES:
                raise self._too_large(f"a message of {size:,} bytes is larger than {BATCH_BYTES:,}")
            if not batches or len(batches[-1]) == BATCH or total + size > BATCH_BYTES:
                batches.append([])
                total = 0
            batches[-1].append({"Id": str(len(batches[-1])), **entry})
            total += size
        return batches

    def _entry(self, message: Message) -> tuple[int, dict[str, object]]:
        """Return the size of *message* as SQS counts it, and its entry."""
        body, attributes = encode_body(message)
        attributes = {name: value for name, value in attributes.items() if value}
        size = len(body.encode()) + sum(len(name) + len("String") + len(value.encode()) for name, value in attributes.items())
        entry: dict[str, object] = {"MessageBody": body}
        if attributes:
            entry["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            }
        if self._url.endswith(".fifo"):
            entry["MessageGroupId"] = message.key or message.id or "default"
            entry["MessageDeduplicationId"] = message.id
        return size, entry

    def _refused(self, reason: str, hint: str = "") -> QueueError:
        if any(sign in reason for sign in _TOO_LARGE):
            return self._too_large(reason)
        hint = hint or "see that the queue exists and that the role may send to it"
        return QueueError(f"SQS did not accept a message: {reason}", where=_where(self._spec, self._url), hint=hint)

    def _too_large(self, reason: str) -> MessageTooLargeError:
        where = _where(self._spec, self._url)
        return MessageTooLargeError(
            f"a message does not fit into the queue: {reason}", where=where, hint="send a reference to the data, or split it"
        )


def _where(spec: QueueSpec, url: str) -> str:
    return f"queue '{spec.name}' ({url})"


def sqs_url(spec: QueueSpec, environ: Mapping[str, str], client: AwsClient) -> str:
    """Return the URL of the queue of *spec*: given, set by the deployer, or looked up by its name."""
    if spec.address.startswith(("http://", "https://")):
        return spec.address
    if spec.address in (known := queue_urls(environ)):
        return known[spec.address]
    try:
        return str(client.call("GetQueueUrl", {"QueueName": spec.address})["QueueUrl"])
    except AwsError as error:
        raise QueueError(
            f"there is no SQS queue '{spec.address}' that can be used: {error.message}",
            where=f"queue '{spec.name}'",
            hint=error.hint or "create it, or give its URL as the path",
        ) from error


def url_region(url: str) -> str:
    """Return the region in the host of an SQS queue's URL, `""` where it names none."""
    host = url.partition("://")[2].partition("/")[0].split(".")
    return host[1] if host[0] == "sqs" and len(host) > 3 else ""


def open_client(spec: QueueSpec, environ: Mapping[str, str]) -> AwsClient:
    """Return the client of the region that the queue of *spec* is in. `QueueError` if nobody said who we are or in which region."""
    url = spec.address if "://" in spec.address else queue_urls(environ).get(spec.address, "")
    try:
        return aws_client("sqs", environ, region=url_region(url))
    except AwsError as error:
        raise QueueError(f"SQS cannot be used: {error.message}", where=f"queue '{spec.name}'", hint=error.hint) from error


def open_sender(spec: QueueSpec, environ: Mapping[str, str]) -> SqsSender:
    """Open the queue of *spec*, which is met at the first send. `QueueError` if nobody said in which region it is."""
    client = open_client(spec, environ)
    return SqsSender(spec, client, lambda: sqs_url(spec, environ, client))
