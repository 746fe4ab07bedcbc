"""How full queues are is known of local ones, and asked of the services of the others."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from fnkit.errors import UsageError
from fnkit.functions.queues.kafka import KafkaReader
from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.readers import SourceMapping
from fnkit.functions.queues.senders import open_sender
from fnkit.functions.queues.spec import read_spec
from fnkit_emulator.sources.ask_sqs import redrive
from fnkit_emulator.sources.kinesis import Checkpoints
from fnkit_emulator.sources.mappings import checkpoints_path, consumer_group, dead_letters
from fnkit_emulator.sources.states import Counts, queue_states
from tests.fakes.mock_kafka import mock_kafka
from tests.fakes.moto_cloud import moto_cloud

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}


def mapping_of(path: str, **args: object) -> SourceMapping:
    spec, problems = read_spec("jobs", {"path": path, **args})
    assert spec is not None, problems
    return SourceMapping(spec, "worker")


def counts_of(mapping: SourceMapping, folder: Path, environ: dict[str, str] | None = None) -> Counts:
    (state,) = queue_states([mapping], folder, environ=environ or {})
    return state.counts


@pytest.fixture
def cloud() -> Iterator[dict[str, str]]:
    with moto_cloud() as url:
        yield {**KEYS, "AWS_ENDPOINT_URL": url}


def client(service: str, environ: dict[str, str]) -> Any:  # boto3 has no types
    return boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def sqs_with_graves(environ: dict[str, str], ending: str = "") -> tuple[Any, str, str]:
    """Return a client and the URLs of the queue `jobs` and of the one that its redrive policy names."""
    sqs, fifo = client("sqs", environ), {"FifoQueue": "true"} if ending else {}
    graves = sqs.create_queue(QueueName=f"graves{ending}", Attributes=fifo)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=graves, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1"}), **fifo}
    return sqs, sqs.create_queue(QueueName=f"jobs{ending}", Attributes=policy)["QueueUrl"], graves


def test_a_local_queue_that_nothing_was_sent_to_is_empty(tmp_path: Path) -> None:
    assert counts_of(mapping_of(""), tmp_path) == Counts(0, 0, 0)


def test_a_local_queue_counts_what_waits_what_is_lent_and_what_is_dead(tmp_path: Path) -> None:
    queue = LocalQueue(tmp_path, "jobs")
    queue.send([Message(b"1"), Message(b"2"), Message(b"3")])
    (_, lent) = queue.receive(2)
    queue.bury_loan(lent.receipt, "ValueError: no")
    queue.close()

    counts = counts_of(mapping_of(""), tmp_path)

    assert (counts.waiting, counts.in_flight, counts.dead) == (1, 1, 1)
    assert counts.oldest_s is not None


def test_sqs_tells_what_waits_what_is_in_flight_and_what_is_dead(tmp_path: Path, cloud: dict[str, str]) -> None:
    sqs, jobs, graves = sqs_with_graves(cloud)
    for number in range(3):
        sqs.send_message(QueueUrl=jobs, MessageBody=str(number))
    sqs.receive_message(QueueUrl=jobs, MaxNumberOfMessages=1)
    sqs.send_message(QueueUrl=graves, MessageBody="poison")

    assert counts_of(mapping_of("sqs://jobs"), tmp_path, cloud) == Counts(2, 1, 1)


@pytest.mark.parametrize("ending", ["", ".fifo"])
def test_dead_letters_of_sqs_go_back_to_their_queue_as_they_were(cloud: dict[str, str], ending: str) -> None:
    sqs, jobs, graves = sqs_with_graves(cloud, ending)
    header = {"traceparent": {"DataType": "String", "StringValue": "00-1"}}
    for number in range(12):
        more = {"MessageGroupId": "k", "MessageDeduplicationId": f"d{number}"} if ending else {}
        sqs.send_message(QueueUrl=graves, MessageBody=str(number), MessageAttributes=header, **more)

    count = redrive(mapping_of(f"sqs://jobs{ending}"), cloud)

    back = sqs.receive_message(QueueUrl=jobs, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"])
    assert count == 12
    assert {message["MessageAttributes"]["traceparent"]["StringValue"] for message in back["Messages"]} == {"00-1"}
    assert {message["Attributes"].get("MessageGroupId", "") for message in back["Messages"]} == {"k" if ending else ""}
    assert "Messages" not in sqs.receive_message(QueueUrl=graves)


def test_an_sqs_queue_without_a_redrive_policy_has_nothing_to_put_back(tmp_path: Path, cloud: dict[str, str]) -> None:
    client("sqs", cloud).create_queue(QueueName="jobs")

    assert counts_of(mapping_of("sqs://jobs"), tmp_path, cloud).dead is None
    with pytest.raises(UsageError, match="SQS queue 'jobs' has no dead-letter queue"):
        redrive(mapping_of("sqs://jobs"), cloud)


def test_kinesis_tells_how_old_the_first_unsettled_record_is(tmp_path: Path, cloud: dict[str, str]) -> None:
    kinesis, mapping = client("kinesis", cloud), mapping_of("kinesis://stream")
    kinesis.create_stream(StreamName="stream", ShardCount=1)
    put = kinesis.put_record(StreamName="stream", Data=b"1", PartitionKey="k")
    before = counts_of(mapping, tmp_path, cloud)
    Checkpoints(checkpoints_path(mapping, tmp_path)).put(put["ShardId"], put["SequenceNumber"])

    after = counts_of(mapping, tmp_path, cloud)

    assert before.oldest_s is not None
    assert (before.waiting, before.dead) == (None, 0)
    assert after == Counts(waiting=0, dead=0)


def test_kafka_tells_how_far_the_group_is_behind_and_dead_letters_lie_here(tmp_path: Path) -> None:
    with mock_kafka() as broker:
        broker.create_topic("t", partitions=2)
        mapping = mapping_of(f"kafka://{broker.address}/t")
        sender = open_sender(mapping.spec, {})
        sender.send([Message(str(number).encode(), partition=number % 2) for number in range(6)])
        before = counts_of(mapping, tmp_path)
        reader = KafkaReader(mapping.spec, group=consumer_group(mapping))
        records: list[Record] = []
        while len(records) < 6:
            records += reader.receive(6, 0.5)
        reader.commit([record for record in records if record.partition == 0])
        reader.close()
        dead = dead_letters(mapping.spec, tmp_path)
        dead.bury(Message(b"poison"), "ValueError: no")
        dead.close()
        after = counts_of(mapping, tmp_path)
        sender.close()

    assert (before.waiting, before.dead, before.trouble) == (6, 0, "")
    assert before.oldest_s is not None
    assert (after.waiting, after.dead) == (3, 1)


@pytest.mark.parametrize(
    ("path", "trouble"),
    [
        ("sqs://jobs", "SQS queue 'jobs': .*Could not connect"),
        ("kinesis://stream", "stream 'stream': .*Could not connect"),
    ],
)
def test_a_service_that_is_out_of_reach_is_said_so(tmp_path: Path, path: str, trouble: str) -> None:
    counts = counts_of(mapping_of(path), tmp_path, {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})

    assert counts.waiting is None
    assert re.match(trouble, counts.trouble)


def test_a_client_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("confluent_kafka", "fnkit_emulator.sources.ask_kafka"):
        monkeypatch.setitem(sys.modules, name, None)

    assert "is not installed" in counts_of(mapping_of("kafka://b:1/t"), tmp_path).trouble


def test_a_stream_of_v3io_tells_nothing(tmp_path: Path) -> None:
    assert counts_of(mapping_of("v3io:///c/s"), tmp_path) == Counts()
