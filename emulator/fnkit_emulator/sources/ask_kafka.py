"""Ask a Kafka cluster how far a group is behind, without joining it: that would have its partitions dealt out anew."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

from fnkit.errors import FnkitError
from fnkit.functions.queues.cluster import client_options
from fnkit.functions.queues.kafka import reader_settings
from fnkit.functions.queues.kafka_client import advice_on, cause_of, open_client
from fnkit.functions.queues.readers import SourceMapping
from fnkit.functions.queues.spec import QueueSpec
from fnkit_emulator.sources.mappings import consumer_group
from fnkit_emulator.sources.states import Counts

PATIENCE_S = 5.0


def ask(mapping: SourceMapping, _folder: Path, environ: Mapping[str, str]) -> Counts:
    """Return how many records of the topic are not committed yet, those at work included, and the age of the oldest."""
    spec = mapping.spec
    settings = reader_settings(spec, client_options(spec, environ), consumer_group(mapping))
    consumer: Consumer = open_client(Consumer, {**settings, "allow.auto.create.topics": False}, spec)
    try:
        behind = _behind(consumer, spec)
        return Counts(waiting=sum(count for _, count in behind), oldest_s=_oldest_s(consumer, [place for place, _ in behind]))
    except KafkaException as error:
        cause = cause_of(error)
        raise FnkitError(f"topic '{spec.address}': {cause.str()}{advice_on(cause)}") from error
    finally:
        consumer.close()


def _behind(consumer: Consumer, spec: QueueSpec) -> list[tuple[TopicPartition, int]]:
    """Return where the group goes on in each partition that has more for it, and how many records that are."""
    topic = consumer.list_topics(spec.address, PATIENCE_S).topics[spec.address]
    if topic.error is not None:
        raise KafkaException(topic.error)
    places = [TopicPartition(spec.address, partition) for partition in topic.partitions]
    found = []
    for place in consumer.committed(places, PATIENCE_S):
        low, high = consumer.get_watermark_offsets(place, PATIENCE_S)
        begin = max(low, place.offset) if place.offset >= 0 else (high if spec.starting == "latest" else low)
        if high > begin:
            found.append((TopicPartition(spec.address, place.partition, begin), high - begin))
    return found


def _oldest_s(consumer: Consumer, places: Sequence[TopicPartition]) -> float | None:
    """Return the age of the oldest record at *places*; None if there is none, or it does not come soon."""
    stamps = []
    until = time.monotonic() + PATIENCE_S
    for place in places:
        consumer.assign([place])
        for message in consumer.consume(1, max(0.0, until - time.monotonic())):
            if message.error() is None:
                stamps.append(message.timestamp()[1] / 1000)
    return max(0.0, time.time() - min(stamps)) if stamps else None
