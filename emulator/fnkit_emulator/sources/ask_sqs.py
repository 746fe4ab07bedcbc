"""Ask SQS how full a queue is, and put back what its redrive policy has set aside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fnkit.errors import FnkitError, UsageError
from fnkit.functions.queues.readers import SourceMapping
from fnkit.functions.queues.spec import QueueSpec
from fnkit_emulator.sources.aws_errors import explained
from fnkit_emulator.sources.mappings import aws_service
from fnkit_emulator.sources.states import Counts

SOON = Config(connect_timeout=3, read_timeout=10, retries={"max_attempts": 2})
_REGION = "us-east-1"  # as the emulator has it where nobody says another
_WAITING, _IN_FLIGHT, _DELAYED = (
    f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")
)  # those that wait for their next attempt are not visible either


def ask(mapping: SourceMapping, _folder: Path, environ: Mapping[str, str]) -> Counts:
    """Return what SQS tells of the queue and of the one for its dead letters, None of that if it has none. It tells no age."""
    try:
        client = open_sqs(mapping.spec, environ)
        url = _url(client, mapping.spec)
        counts = _attributes(client, url)
        graves = _graves(client, counts)
        dead = int(_attributes(client, graves)[_WAITING]) if graves else None
        return Counts(int(counts[_WAITING]), int(counts[_IN_FLIGHT]) + int(counts[_DELAYED]), dead)
    except (BotoCoreError, ClientError) as error:
        raise FnkitError(f"SQS queue '{mapping.spec.address}': {explained(error)}") from error


def redrive(mapping: SourceMapping, environ: Mapping[str, str]) -> int:
    """Put back what lies in the dead-letter queue now; returns how many messages that are.

    A message leaves the dead letters only after its queue has accepted it. `UsageError` when the queue has no redrive policy.
    """
    spec = mapping.spec
    try:
        client = open_sqs(spec, environ)
        url = _url(client, spec)
        graves = _graves(client, _attributes(client, url))
        if not graves:
            raise UsageError(
                f"SQS queue '{spec.address}' has no dead-letter queue",
                hint="give it a redrive policy, on AWS or where you made it",
            )
        left, count = int(_attributes(client, graves)[_WAITING]), 0
        while left > 0 and (moved := _move_some(client, graves, url, min(10, left))):
            left, count = left - moved, count + moved
        return count
    except (BotoCoreError, ClientError) as error:
        raise FnkitError(f"the dead letters of SQS queue '{spec.address}' cannot be put back: {explained(error)}") from error


def open_sqs(spec: QueueSpec, environ: Mapping[str, str]) -> Any:  # boto3 has no types of its own
    """Return a client that gives up soon."""
    return aws_service("sqs", environ, environ.get("AWS_DEFAULT_REGION") or _REGION, address=spec.address, config=SOON)


def _url(client: Any, spec: QueueSpec) -> str:
    return spec.address if "://" in spec.address else str(client.get_queue_url(QueueName=spec.address)["QueueUrl"])


def _attributes(client: Any, url: str) -> Mapping[str, str]:
    attributes: Mapping[str, str] = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return attributes


def _graves(client: Any, attributes: Mapping[str, str]) -> str:
    """Return the URL of the dead-letter queue that the redrive policy in *attributes* names, `""` where there is none."""
    arn = json.loads(attributes.get("RedrivePolicy") or "{}").get("deadLetterTargetArn", "")
    if not arn:
        return ""
    *_, account, name = arn.split(":")
    return str(client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"])


def _move_some(client: Any, graves: str, url: str, limit: int) -> int:
    """Move up to *limit* messages from *graves* to *url*; returns how many there were."""
    received = client.receive_message(
        QueueUrl=graves, MaxNumberOfMessages=limit, WaitTimeSeconds=1, AttributeNames=["All"], MessageAttributeNames=["All"]
    )
    messages = received.get("Messages") or []
    if not messages:
        return 0
    entries = [_entry(number, message, ordered=url.endswith(".fifo")) for number, message in enumerate(messages)]
    sent = client.send_message_batch(QueueUrl=url, Entries=entries)
    taken = {int(entry["Id"]) for entry in sent.get("Successful", ())}
    gone = [{"Id": str(number), "ReceiptHandle": messages[number]["ReceiptHandle"]} for number in sorted(taken)]
    if gone:
        client.delete_message_batch(QueueUrl=graves, Entries=gone)
    return len(gone)


def _entry(number: int, message: Mapping[str, Any], *, ordered: bool) -> dict[str, object]:
    entry: dict[str, object] = {"Id": str(number), "MessageBody": message["Body"]}
    if message.get("MessageAttributes"):
        entry["MessageAttributes"] = message["MessageAttributes"]
    if ordered:
        entry["MessageGroupId"] = message["Attributes"]["MessageGroupId"]
        # a name of its own: under the old one SQS would take it for a repetition, and drop it
        entry["MessageDeduplicationId"] = (
            f"again-{message['MessageId']}-{message['Attributes'].get('ApproximateReceiveCount', '')}"
        )
    return entry
