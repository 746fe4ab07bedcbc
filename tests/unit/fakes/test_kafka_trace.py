"""A missed event of Kafka is told with its place, with how far the group is there, and with what the sink may have of it."""

from __future__ import annotations

import json
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.fakes.kafka_trace import trace_events
from tests.fakes.mock_kafka import mock_kafka


def test_missed_events_are_told_with_their_places_and_with_the_torn_lines_of_the_sink(tmp_path: Path) -> None:
    sink = tmp_path / "sink"
    sink.write_text("k0.1 7\nk0.1 \n")
    with mock_kafka() as broker:
        broker.create_topic("orders", partitions=2)
        producer = Producer({"bootstrap.servers": broker.address})
        for number in (7, 8):
            producer.produce("orders", json.dumps({"key": "k0.1", "n": number}), partition=1)
        assert producer.flush(60) == 0
        group = Consumer({"bootstrap.servers": broker.address, "group.id": "readers"})
        group.commit(offsets=[TopicPartition("orders", 1, 2)], asynchronous=False)
        group.close()

        told = trace_events(broker.address, "orders", "readers", sink, [("k0.1", 9), ("k0.1", 8)])

    assert told.splitlines() == [
        "('k0.1', 8): partition 1 offset 1, settled up to 2, nothing at [2]",
        "('k0.1', 9): not in the topic",
        "torn in the sink: 'k0.1 '",
    ]


def test_nothing_is_asked_where_nothing_is_missed(tmp_path: Path) -> None:
    assert trace_events("127.0.0.1:1", "orders", "readers", tmp_path / "sink", []) == ""
