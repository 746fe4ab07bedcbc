"""What a Kafka broker refuses is said with topic, broker and what to do, and the same client goes on once it is mended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from fnkit.functions.queues.errors import MessageTooLargeError, QueueError
from fnkit.functions.queues.kafka import KafkaReader
from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.senders import Sender, open_sender
from fnkit.functions.queues.spec import QueueSpec, read_spec
from tests.fakes.mock_kafka import MockKafka, mock_kafka

SOON = {"topic_metadata_propagation_max_ms": 300, "message_timeout_ms": 5000}


@pytest.fixture(scope="module")
def kafka() -> Iterator[MockKafka]:
    with mock_kafka() as cluster:
        yield cluster


def spec_of(kafka: MockKafka, topic: str, **options: object) -> QueueSpec:
    args = {"path": topic, "kafka_brokers": kafka.address, "kafka_producer_options": {**SOON, **options}}
    spec, problems = read_spec("out", args)
    assert spec is not None, problems
    return spec


def opened(spec: QueueSpec) -> closing[Sender]:
    return closing(open_sender(spec, {}))


def complaint(reader: KafkaReader) -> str:
    for _ in range(100):
        reader.receive(1, 0.3)
        for trouble in reader.troubles():
            return trouble
    raise AssertionError("the reader has complained of nothing")


def first(reader: KafkaReader) -> Record:
    for _ in range(100):
        for record in reader.receive(1, 0.3):
            return record
    raise AssertionError("no record came")


def test_a_topic_that_is_unknown_is_refused_and_served_once_it_is_there(kafka: MockKafka) -> None:
    spec = spec_of(kafka, "missing")
    kafka.lack_topic("missing")

    with opened(spec) as sender, closing(KafkaReader(spec, group="readers", environ={})) as reader:
        with pytest.raises(
            QueueError, match=r"topic 'missing' on 127\.0\.0\.1:.* did not accept a message: .*Unknown topic"
        ) as refused:
            sender.send([Message(b"refused")])
        said = complaint(reader)
        kafka.lack_topic("missing", code=0)
        sender.send([Message(b"accepted")])
        record = first(reader)

    assert refused.value.status == 503
    assert "create the topic" in refused.value.hint
    assert f"topic 'missing' on {kafka.address} cannot be read at the moment" in said
    assert "create the topic" in said
    assert record.value == b"accepted"


def test_a_message_that_is_larger_than_the_client_sends_is_too_large(kafka: MockKafka) -> None:
    kafka.create_topic("sizes")

    with opened(spec_of(kafka, "sizes")) as sender:
        with pytest.raises(MessageTooLargeError, match="topic 'sizes'") as refused:
            sender.send([Message(b"x" * 2_000_000)])
        sender.send([Message(b"x")])

    assert refused.value.status == 413


def test_a_message_that_is_larger_than_the_broker_takes_is_too_large(kafka: MockKafka) -> None:
    kafka.create_topic("broker-sizes")
    produce, too_large = 0, 10
    kafka.fail(produce, too_large)

    with opened(spec_of(kafka, "broker-sizes", enable_idempotence=False, retries=0)) as sender:
        with pytest.raises(MessageTooLargeError, match="topic 'broker-sizes'"):
            sender.send([Message(b"x")])


def test_an_option_that_the_client_does_not_know_is_named(kafka: MockKafka) -> None:
    with opened(spec_of(kafka, "options", compresion_type="gzip")) as sender, pytest.raises(QueueError, match="compresion"):
        sender.send([Message(b"x")])
