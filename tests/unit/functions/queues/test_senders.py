"""Each sender returns only when its queue has the message, and says plainly when it has not."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from confluent_kafka import Producer

from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.kafka import KafkaReader
from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.kinesis import KinesisSender
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message, encode_body
from fnkit.functions.queues.senders import open_sender
from fnkit.functions.queues.spec import QueueSpec, read_spec
from tests.fakes.moto_cloud import moto_cloud


def spec_of(**args: object) -> QueueSpec:
    spec, problems = read_spec("out", args)
    assert spec is not None, problems
    return spec


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    found = owner.list_topics(timeout=10).brokers
    yield ",".join(f"{broker.host}:{broker.port}" for broker in found.values())
    owner.flush(1)


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    with moto_cloud() as url:
        yield url


@pytest.fixture
def aws(cloud: str, monkeypatch: pytest.MonkeyPatch) -> str:
    settings = {"AWS_ENDPOINT_URL": cloud, "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    for name, value in {**settings, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(name, value)
    return cloud


def read_some(reader: KafkaReader, count: int) -> list[Record]:
    """Receive exactly *count* records."""
    records: list[Record] = []
    for _ in range(200):
        records.extend(reader.receive(count - len(records), 0.3))
        if len(records) == count:
            break
    return records


def read_all(reader: KafkaReader, count: int) -> list[Record]:
    records: list[Record] = []
    for _ in range(100):
        records.extend(reader.receive(100, 0.3))
        if len(records) >= count:
            return records
    raise AssertionError(f"only {len(records)} of {count} records arrived")


def test_a_local_queue_is_a_file_in_the_folder_that_the_host_names(tmp_path: Path) -> None:
    sender = open_sender(spec_of(path="jobs"), {"FNKIT_QUEUE_DIR": str(tmp_path)})

    sender.send([Message(b"one")])
    sender.close()

    queue = LocalQueue(tmp_path, "jobs")
    assert [received.message.body for received in queue.receive()] == [b"one"]
    queue.close()


def test_a_local_queue_without_a_place_says_how_to_get_one() -> None:
    with pytest.raises(QueueError, match="queue 'out' has no place") as refused:
        open_sender(spec_of(path="jobs"), {})

    assert "fnkit emulate" in refused.value.hint


def test_kafka_keeps_key_headers_and_the_order_of_a_key(brokers: str) -> None:
    spec = spec_of(path="orders", kafka_brokers=brokers)
    sender = open_sender(spec, {})
    reader = KafkaReader(spec, group="readers")

    sender.send([Message(str(number).encode(), key="k", headers={"trace": "t"}) for number in range(20)])
    records = read_all(reader, 20)

    assert [record.value for record in records] == [str(number).encode() for number in range(20)]
    assert {record.key for record in records} == {b"k"}
    assert records[0].headers == (("trace", b"t"),)
    sender.close()
    reader.close()


def test_kafka_delivers_again_what_was_not_committed(brokers: str) -> None:
    spec = spec_of(path="again", kafka_brokers=brokers)
    sender = open_sender(spec, {})
    sender.send([Message(b"a", key="k"), Message(b"b", key="k"), Message(b"c", key="k")])
    first = KafkaReader(spec, group="workers")
    records = read_all(first, 3)
    first.commit(records[:1])
    first.close()

    second = KafkaReader(spec, group="workers")
    rest = read_all(second, 2)

    assert [record.value for record in rest] == [b"b", b"c"]
    second.close()
    sender.close()


def test_a_partition_that_was_held_before_it_came_can_be_held_and_read_again_from_a_record_on(brokers: str) -> None:
    spec = spec_of(path="held", kafka_brokers=brokers)
    sender, reader = open_sender(spec, {}), KafkaReader(spec, group="held")
    sender.send([Message(str(number).encode(), "k") for number in range(4)])
    partitions = range(4)

    reader.hold(partitions)  # none of them is ours yet
    first = read_some(reader, 2)
    reader.hold(partitions)
    sender.send([Message(b"4", "k")])
    held = reader.receive(10, 1.0)
    reader.seek_back(first[1])
    reader.hold(())
    after = read_some(reader, 4)
    reader.close()

    assert [record.value for record in first] == [b"0", b"1"]
    assert held == ()
    assert [record.value for record in after] == [b"1", b"2", b"3", b"4"]


def test_a_kafka_broker_that_is_down_is_an_error_that_names_it() -> None:
    spec = spec_of(path="orders", kafka_brokers="127.0.0.1:1", kafka_producer_options={"message.timeout.ms": 300})
    sender = open_sender(spec, {})

    with pytest.raises(QueueError, match=r"topic 'orders' on 127\.0\.0\.1:1 did not accept a message"):
        sender.send([Message(b"x")])


def test_a_message_that_kafka_finds_too_large_is_refused(brokers: str) -> None:
    sender = open_sender(spec_of(path="orders", kafka_brokers=brokers), {})

    with pytest.raises(QueueError, match="did not accept a message"):
        sender.send([Message(b"x" * 2_000_000)])
    sender.close()


def test_sqs_takes_more_than_one_batch_with_keys_and_headers(aws: str) -> None:
    client = boto3.client("sqs")
    url = client.create_queue(QueueName="jobs")["QueueUrl"]
    sender = open_sender(spec_of(path="sqs://jobs"), os.environ)

    sender.send([Message(str(number).encode(), key="k", headers={"trace": "t"}) for number in range(23)])

    bodies: list[str] = []
    while len(bodies) < 23:
        answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        assert answer["Messages"][0]["MessageAttributes"]["trace"]["StringValue"] == "t"
        bodies += [message["Body"] for message in answer["Messages"]]
    assert sorted(map(int, bodies)) == list(range(23))
    sender.close()


def test_a_local_queue_that_was_deployed_is_the_sqs_queue_of_that_name(aws: str) -> None:
    client = boto3.client("sqs")
    url = client.create_queue(QueueName="graph-dev-jobs")["QueueUrl"]
    sender = open_sender(spec_of(path="jobs"), {**os.environ, "FNKIT_QUEUE_URLS": json.dumps({"jobs": url})})

    sender.send([Message(b"hello")])

    assert client.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "hello"
    sender.close()


def test_an_sqs_queue_that_does_not_exist_is_named(aws: str) -> None:
    sender = open_sender(spec_of(path="sqs://nowhere"), os.environ)

    with pytest.raises(QueueError, match="there is no SQS queue 'nowhere'"):
        sender.send([Message(b"x")])
    sender.close()


def test_an_sqs_body_that_is_no_text_is_marked_as_base64() -> None:
    body, attributes = encode_body(Message(b"\xff\x00", key="k"))

    assert (body, attributes) == ("/wA=", {"fnkit-key": "k", "fnkit-encoding": "base64"})


def test_kinesis_receives_each_record_under_its_key(aws: str) -> None:
    client = boto3.client("kinesis")
    client.create_stream(StreamName="events", ShardCount=1)
    sender = open_sender(spec_of(path="kinesis://events"), os.environ)

    sender.send([Message(b"a", key="k1"), Message(b"b", key="k2")])

    shard = client.describe_stream(StreamName="events")["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = client.get_shard_iterator(StreamName="events", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = client.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    assert [(record["PartitionKey"], record["Data"]) for record in records] == [("k1", b"a"), ("k2", b"b")]
    sender.close()


class Throttling:
    """A Kinesis that turns the first *times* requests' last record away."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.taken: list[bytes] = []

    def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        refuse = self.times > 0
        self.times -= 1
        kept = arguments["Records"][:-1] if refuse else arguments["Records"]
        self.taken += [base64.b64decode(record["Data"]) for record in kept]
        results: list[dict[str, str]] = [{"ShardId": arguments["StreamName"]} for _ in kept]
        return {"Records": [*results, {"ErrorCode": "ProvisionedThroughputExceededException"}] if refuse else results}

    def close(self) -> None: ...


def test_kinesis_records_that_were_turned_away_are_put_again() -> None:
    service = Throttling(times=2)
    pauses: list[float] = []
    sender = KinesisSender(spec_of(path="kinesis://events"), service, pause=pauses.append)

    sender.send([Message(b"a"), Message(b"b")])

    assert service.taken == [b"a", b"b"]
    assert len(pauses) == 2


def test_kinesis_that_turns_a_record_away_for_good_is_an_error() -> None:
    sender = KinesisSender(spec_of(path="kinesis://events"), Throttling(times=99), pause=lambda _seconds: None)

    with pytest.raises(QueueError, match="ProvisionedThroughputExceededException"):
        sender.send([Message(b"a")])
