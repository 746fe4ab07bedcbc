"""The payloads that Lambda makes of a batch, and what a function's answer says of it.

Shapes as the event source mappings of Lambda deliver them: SQS and Kinesis `Records`, Kafka `records` by topic and partition.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.message import Received, encode_body
from fnkit.functions.queues.spec import QueueSpec
from fnkit_emulator.account import ACCOUNT


def sqs_batch(received: Sequence[Received], queue: str, region: str) -> bytes:
    """Return the SQS event of *received*; a message's id is the identifier of its failure."""
    return json.dumps({"Records": [_sqs_record(loan, queue, region) for loan in received]}).encode()


def _sqs_record(loan: Received, queue: str, region: str) -> dict[str, object]:
    message = loan.message
    attributes = {
        "ApproximateReceiveCount": str(loan.receives),
        "SentTimestamp": str(int(loan.sent_at * 1000)),
        "SenderId": ACCOUNT,
        "ApproximateFirstReceiveTimestamp": str(int(loan.sent_at * 1000)),
    }
    if message.key:
        attributes["MessageGroupId"] = message.key
    body, carried = encode_body(message)
    headers = {name: {"stringValue": value, "dataType": "String"} for name, value in carried.items()}
    return {
        "messageId": message.id,
        "receiptHandle": loan.receipt,
        "body": body,
        "attributes": attributes,
        "messageAttributes": headers,
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{region}:{ACCOUNT}:{queue}",
        "awsRegion": region,
    }


def kafka_batch(records: Sequence[Record], spec: QueueSpec) -> bytes:
    """Return the event of a Kafka cluster, of Amazon MSK or self-managed, records by `topic-partition`."""
    by_partition: dict[str, list[dict[str, object]]] = {}
    for record in records:
        by_partition.setdefault(f"{record.topic}-{record.partition}", []).append(_kafka_record(record))
    source = {"eventSource": "aws:kafka", "eventSourceArn": spec.cluster} if spec.cluster else {"eventSource": "SelfManagedKafka"}
    return json.dumps({**source, "bootstrapServers": ",".join(spec.brokers), "records": by_partition}).encode()


def _kafka_record(record: Record) -> dict[str, object]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "timestampType": "CREATE_TIME",
        "key": _base64(record.key) if record.key is not None else None,
        "value": _base64(record.value),
        "headers": [{name: list(value)} for name, value in record.headers],
    }


def kinesis_batch(records: Sequence[Mapping[str, Any]], stream: str, shard: str, region: str) -> bytes:
    """Return the Kinesis event of *records*, as boto3's `get_records` gives them."""
    arn = f"arn:aws:kinesis:{region}:{ACCOUNT}:stream/{stream}"
    return json.dumps({"Records": [_kinesis_record(record, shard, arn, region) for record in records]}).encode()


def _kinesis_record(record: Mapping[str, Any], shard: str, arn: str, region: str) -> dict[str, object]:
    number = str(record["SequenceNumber"])
    arrival = record.get("ApproximateArrivalTimestamp")
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": number,
            "data": _base64(record["Data"]),
            "approximateArrivalTimestamp": arrival.timestamp() if arrival is not None else 0.0,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard}:{number}",
        "eventName": "aws:kinesis:record",
        "eventSourceARN": arn,
        "awsRegion": region,
    }


def count_failed(answer: bytes) -> int:
    """Return how many items *answer* reports as failed, whatever their names are worth; 0 where it cannot be read."""
    if b"itemIdentifier" not in answer:
        return 0
    try:
        said = json.loads(answer)
    except ValueError:
        return 0
    failures = said.get("batchItemFailures") if isinstance(said, dict) else None
    return len(failures) if isinstance(failures, list) else 0


def failed_items(answer: bytes, known: Collection[object]) -> tuple[object, ...] | None:
    """Return the identifiers of *known* that *answer* reports as failed; None means the whole batch.

    As Lambda reads it: nothing, null or an empty list is success; an identifier that is empty, null or not of this batch, and an
    answer that cannot be read, fail the whole batch.
    """
    try:
        said = json.loads(answer) if answer else None
    except ValueError:
        return None
    failures = said.get("batchItemFailures") if isinstance(said, dict) else None
    if not failures:
        return ()
    if not isinstance(failures, list) or not all(isinstance(failure, dict) for failure in failures):
        return None
    items = tuple(_hashable(failure.get("itemIdentifier")) for failure in failures)
    return items if all(item in known for item in items) else None


def _hashable(item: object) -> object:
    """Kafka names a record by an object of partition and offset."""
    return (item.get("partition"), item.get("offset")) if isinstance(item, dict) else item


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
