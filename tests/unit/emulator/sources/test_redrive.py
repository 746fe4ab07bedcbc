"""Dead letters of a topic go back to it, and leave the dead only when it has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.kafka import KafkaReader
from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.readers import SourceMapping
from fnkit.functions.queues.spec import read_spec
from fnkit_emulator.sources.mappings import dead_letters
from fnkit_emulator.sources.registry import buried, redrive
from tests.fakes.mock_kafka import mock_kafka


def mapping_of(brokers: str, timeout_ms: int = 60_000) -> SourceMapping:
    spec, problems = read_spec(
        "jobs", {"path": f"kafka://{brokers}/orders", "kafka_producer_options": {"message_timeout_ms": timeout_ms}}
    )
    assert spec is not None, problems
    return SourceMapping(spec, "worker")


def bury(mapping: SourceMapping, folder: Path, count: int) -> None:
    queue = dead_letters(mapping.spec, folder)
    for number in range(count):
        headers = {"traceparent": "00-1", "fnkit-origin": f"orders-0@{number}"}
        queue.bury(Message(str(number).encode(), "k", headers, f"orders-0@{number}"), "ValueError: no")
    queue.close()


def test_dead_letters_of_a_topic_go_back_with_key_and_headers(tmp_path: Path) -> None:
    with mock_kafka() as broker:
        broker.create_topic("orders", partitions=1)
        mapping = mapping_of(broker.address)
        bury(mapping, tmp_path / "graph", 3)
        shown = buried(tmp_path, "graph", mapping, 2)

        count = redrive(tmp_path, "graph", mapping)

        reader = KafkaReader(mapping.spec, group="g")
        records: list[Record] = []
        while len(records) < 3:
            records += reader.receive(3, 0.5)
        reader.close()

    assert count == 3
    assert [(letter.message.body, reason) for letter, reason in shown] == [(b"0", "ValueError: no"), (b"1", "ValueError: no")]
    assert [record.value for record in records] == [b"0", b"1", b"2"]
    assert {record.key for record in records} == {b"k"}
    assert {record.headers for record in records} == {(("traceparent", b"00-1"),)}
    assert buried(tmp_path, "graph", mapping, 10) == ()


def test_dead_letters_that_the_broker_does_not_take_stay_where_they_are(tmp_path: Path) -> None:
    mapping = mapping_of("127.0.0.1:1", timeout_ms=1000)
    bury(mapping, tmp_path / "graph", 2)

    with pytest.raises(QueueError, match="did not accept a message"):
        redrive(tmp_path, "graph", mapping)

    assert len(buried(tmp_path, "graph", mapping, 10)) == 2


def test_a_topic_that_has_never_failed_has_no_dead_letters(tmp_path: Path) -> None:
    assert buried(tmp_path, "graph", mapping_of("127.0.0.1:1"), 10) == ()
