"""A batch has the shape in which Lambda delivers it."""

from __future__ import annotations

import base64
import json

import pytest

from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.spec import read_spec
from fnkit_emulator.sources.batches import count_failed, kafka_batch

CLUSTER = "arn:aws:kafka:eu-west-1:123456789012:cluster/orders/6cc0432b-1-2"


@pytest.mark.parametrize(
    ("more", "source"),
    [
        ({}, {"eventSource": "SelfManagedKafka"}),
        ({"cluster": CLUSTER}, {"eventSource": "aws:kafka", "eventSourceArn": CLUSTER}),
    ],
)
def test_a_kafka_batch_says_whether_its_cluster_is_amazons(more: dict[str, object], source: dict[str, str]) -> None:
    spec, problems = read_spec("out", {"path": "kafka://b:9092/orders", **more})
    assert spec is not None, problems

    event = json.loads(kafka_batch([Record("orders", 1, 7, 0, None, b"hello", (("trace", b"t"),))], spec))

    records = event.pop("records")
    assert event == {**source, "bootstrapServers": "b:9092"}
    assert list(records) == ["orders-1"]
    assert base64.b64decode(records["orders-1"][0]["value"]) == b"hello"
    assert records["orders-1"][0]["headers"] == [{"trace": [116]}]


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (b"", 0),
        (b'{"batchItemFailures": []}', 0),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}', 2),
        (b'{"batchItemFailures": "itemIdentifier"}', 0),
        (b'["itemIdentifier"]', 0),
        (b'{"itemIdentifier', 0),
    ],
)
def test_the_failed_items_of_an_answer_are_counted(answer: bytes, count: int) -> None:
    assert count_failed(answer) == count
