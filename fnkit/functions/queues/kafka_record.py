"""A record of a Kafka topic, as data."""

from __future__ import annotations

from fnkit.records import record


@record(frozen=True, slots=True)
class Record:
    """One record of a topic, as received."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
