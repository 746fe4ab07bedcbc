"""Tell where events that are missed have gone: what their topic holds, how far the group is, and what the sink has of them."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka import Message as KafkaMessage

from tests.fakes.queue_load import Event, event_of

QUIET_S = (
    3.0  # a topic that brings nothing for so long has been read: a broker may not tell its end where offsets at the end are empty
)
_LINE = re.compile(r"k\S+ \d+")
Place = tuple[int, int]


def trace_events(brokers: str, topic: str, group: str, sink: Path, missed: Collection[Event]) -> str:
    """Return what is known of the *missed* events, a line each; `""` if there are none.

    A line says at which offsets of which partitions *topic* holds the event (an event that it does not hold has been lost by the broker,
    which had accepted it), up to where *group* has settled these partitions, and which offsets next to it hold nothing. Lines of *sink*
    that are no events, as a process leaves them that is killed while it writes, follow.
    """
    if not missed:
        return ""
    settings = {"enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    reader = Consumer({"bootstrap.servers": brokers, "group.id": group, **settings})
    try:
        partitions = sorted(reader.list_topics(topic, 20).topics[topic].partitions)
        settled = {
            place.partition: place.offset for place in reader.committed([TopicPartition(topic, n) for n in partitions], 20)
        }
        held = _read_all(reader, topic, partitions)
    finally:
        reader.close()
    torn = [line for line in sink.read_text().splitlines() if not _LINE.fullmatch(line)] if sink.exists() else []
    return "\n".join(
        [*(_tell(event, held, settled) for event in sorted(missed)), *(f"torn in the sink: {line!r}" for line in torn)]
    )


def _read_all(reader: Consumer, topic: str, partitions: Collection[int]) -> dict[Place, Event]:
    reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    held: dict[Place, Event] = {}
    unread, last = set(partitions), time.monotonic()
    while unread and time.monotonic() < last + QUIET_S:
        for message in reader.consume(500, 0.25):
            error = message.error()
            if error is None:
                held[_place(message)] = event_of(message.value() or b"")
                last = time.monotonic()
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition() or 0)
    return held


def _place(message: KafkaMessage) -> Place:
    return message.partition() or 0, message.offset() or 0


def _tell(event: Event, held: dict[Place, Event], settled: dict[int, int]) -> str:
    places = [place for place, found in held.items() if found == event]
    if not places:
        return f"{event}: not in the topic"
    return f"{event}: " + ", ".join(
        f"partition {partition} offset {offset}, settled up to {settled[partition]},"
        f" nothing at {[near for near in (offset - 1, offset + 1) if (partition, near) not in held]}"
        for partition, offset in places
    )
