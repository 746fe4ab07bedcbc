"""Kafka by confluent-kafka: sends are acknowledged by all in-sync replicas, receives are committed explicitly."""

from __future__ import annotations

import os
from _thread import allocate_lock
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from fnkit.functions.queues.cluster import client_options
from fnkit.functions.queues.errors import MessageTooLargeError, QueueError
from fnkit.functions.queues.kafka_client import HINTS, SHARED, TIMED_OUT, TOO_LARGE, advice_on, cause_of, open_client, reason_of
from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec

_ANY_PARTITION = -1  # the client library chooses by the key
RECONNECT_MS = 1_000  # a broker that is up again is found within this; the client library's own limit is 10 s
ACCEPT_S = 10.0  # how long a broker may take to accept a message before the sender is told that it did not


class KafkaSender:
    """Writes to one topic. `send` returns when the broker has acknowledged every message.

    The client is made at the first send: *environ* holds the credentials, if the cluster asks for some, and AWS is asked for what only it
    knows (brokers, secrets).
    """

    slow = True

    def __init__(self, spec: QueueSpec, environ: Mapping[str, str] = os.environ) -> None:
        self._spec, self._environ = spec, environ
        self._troubles: dict[int, str] = {}
        self._lock = allocate_lock()
        self._brokers = ""
        self._opened: Producer | None = None

    def send(self, messages: Sequence[Message]) -> None:
        """Produce *messages*; `QueueError` names the topic, the brokers and what the broker said."""
        failures: list[KafkaError] = []
        producer = self._producer()

        def delivered(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failures.append(error)

        for message in messages:
            self._produce(producer, message, delivered)
        unsent = producer.flush(ACCEPT_S + 5)
        if unsent:
            producer.purge()
        if failures or unsent:
            self._opened = None  # a broker that has lost its data never again accepts what this client sends
        if failures:
            raise self._refused(failures[0])
        if unsent:
            raise self._refused(KafkaError(KafkaError._MSG_TIMED_OUT))
        self._troubles.clear()  # not before: librdkafka does not repeat the same trouble soon

    def close(self) -> None:
        """Wait for what is still on its way, for a second at most."""
        if self._opened is not None:
            self._opened.flush(1)

    def _producer(self) -> Producer:
        with self._lock:  # sends come from many threads
            if self._opened is None:
                reaching = client_options(self._spec, self._environ)
                self._brokers = str(reaching["bootstrap.servers"])
                settings = {
                    "acks": "all",
                    "enable.idempotence": True,
                    "linger.ms": 1,
                    "message.timeout.ms": int(ACCEPT_S * 1000),
                    "reconnect.backoff.max.ms": RECONNECT_MS,
                    "topic.metadata.propagation.max.ms": int(ACCEPT_S * 500),  # a topic that is not there by then is unknown
                    "log_level": 0,
                    **self._spec.producer_options,
                    **reaching,
                    "error_cb": self._hear,
                }
                self._opened = open_client(Producer, settings, self._spec)
            return self._opened

    def _produce(self, producer: Producer, message: Message, delivered: Callable[[KafkaError | None, object], None]) -> None:
        headers: list[tuple[str, str | bytes | None]] = [(name, value.encode()) for name, value in message.headers.items()]
        fixed = self._spec.sharding if isinstance(self._spec.sharding, int) else _ANY_PARTITION
        partition = fixed if message.partition is None else message.partition
        try:
            producer.produce(
                self._spec.address, message.body, message.key or None, partition, on_delivery=delivered, headers=headers
            )
        except (KafkaException, BufferError) as error:
            raise self._refused(cause_of(error)) from error

    def _hear(self, error: KafkaError) -> None:
        self._troubles[error.code()] = error.str()

    def _refused(self, error: KafkaError) -> QueueError:
        """Return the error to raise. Where messages only timed out, what has kept the client from its brokers says more."""
        code = error.code()
        if code in TIMED_OUT:
            code = next((known for known in HINTS if known in self._troubles), code)
        reason = self._troubles.get(code) or error.str()
        kind = MessageTooLargeError if code in TOO_LARGE else QueueError
        return kind(
            f"topic '{self._spec.address}' on {self._brokers} did not accept a message: {reason}",
            where=f"queue '{self._spec.name}'",
            hint=HINTS.get(code, "see that the broker is up, and that the topic exists"),
        )


def reader_settings(spec: QueueSpec, reaching: Mapping[str, object], group: str) -> dict[str, object]:
    """Return the settings of a member of *group*, or of the group that *spec* names; *reaching* says where the cluster is."""
    return {
        "group.id": spec.group or group,
        "auto.offset.reset": spec.starting,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "allow.auto.create.topics": True,
        "reconnect.backoff.max.ms": RECONNECT_MS,
        "session.timeout.ms": 6_000,  # the least that brokers allow: so long the group waits for a member that was killed
        "heartbeat.interval.ms": 2_000,
        "log_level": 0,
        **{name: value for name, value in spec.producer_options.items() if name.startswith(SHARED)},
        **reaching,
    }


class KafkaReader:
    """Reads one topic in a consumer group; nothing is committed until `commit` says that it is done.

    A rebalance takes partitions away between two calls of `receive`; what was received and not committed is received again by
    their next owner: at least once, never lost. `take_lost` tells which partitions were taken away.
    """

    def __init__(
        self,
        spec: QueueSpec,
        *,
        group: str,
        environ: Mapping[str, str] = os.environ,
        client_id: str = "fnkit",
    ) -> None:
        self._spec = spec
        self._held: set[int] = set()
        self._lost: set[int] = set()
        self._troubles: list[KafkaError] = []
        reaching = client_options(spec, environ)
        self._brokers = str(reaching["bootstrap.servers"])
        settings = {**reader_settings(spec, reaching, group), "client.id": client_id, "error_cb": self._troubles.append}
        self._consumer: Consumer = open_client(Consumer, settings, spec)
        self._consumer.subscribe([spec.address], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def receive(self, limit: int, wait_s: float) -> tuple[Record, ...]:
        """Return up to *limit* records, waiting up to *wait_s* for the first. What the broker complains of is kept for `troubles`."""
        records: list[Record] = []
        with self._translated():
            messages = self._consumer.consume(limit, wait_s)
        for message in messages:
            error = message.error()
            if error is None:
                records.append(_record(message))
            elif error.code() != KafkaError._PARTITION_EOF:
                self._troubles.append(error)
        return tuple(records)

    def troubles(self) -> tuple[str, ...]:
        """Return what has kept the client from its brokers since the last call; it tries again by itself."""
        found, self._troubles[:] = list(self._troubles), []
        where = f"topic '{self._spec.address}' on {self._brokers}"
        said = {error.code(): error for error in found}
        return tuple(f"{where} cannot be read at the moment: {error.str()}{advice_on(error)}" for error in said.values())

    def commit(self, records: Sequence[Record]) -> None:
        """Tell the group that *records* are done: for each partition the offset after the last of them."""
        after: dict[int, int] = {}
        for record in records:
            after[record.partition] = max(after.get(record.partition, 0), record.offset + 1)
        offsets = [TopicPartition(self._spec.address, partition, offset) for partition, offset in after.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in _REBALANCED:  # they belong to another member now, who reads them again
                raise QueueError(
                    f"offsets of topic '{self._spec.address}' cannot be committed: {reason_of(error)}",
                    where=f"queue '{self._spec.name}'",
                ) from error

    def hold(self, partitions: Collection[int]) -> None:
        """Receive nothing of *partitions* until it is called again without them."""
        wanted = set(partitions)
        with self._translated():
            self._consumer.resume(self._places(self._held - wanted))
            self._consumer.pause(self._places(wanted - self._held))
        self._held = wanted

    def seek_back(self, record: Record) -> None:
        """Receive *record* and what follows it in its partition again."""
        with self._translated():
            self._consumer.seek(TopicPartition(record.topic, record.partition, record.offset))

    def take_lost(self) -> frozenset[int]:
        """Return the partitions that were taken away since the last call."""
        lost, self._lost = frozenset(self._lost), set()
        return lost

    def close(self) -> None:
        """Leave the group at once, so that its other members take over without waiting for a timeout."""
        self._consumer.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise QueueError(
                f"topic '{self._spec.address}' on {self._brokers} cannot be read: {reason_of(error)}",
                where=f"queue '{self._spec.name}'",
            ) from error

    def _assigned(self, _consumer: object, partitions: Sequence[TopicPartition]) -> None:
        self._held -= {partition.partition for partition in partitions}  # held or not before, they come without a pause

    def _revoked(self, _consumer: object, partitions: Sequence[TopicPartition]) -> None:
        gone = {partition.partition for partition in partitions}
        self._held -= gone
        self._lost |= gone

    def _places(self, partitions: Collection[int]) -> list[TopicPartition]:
        return [TopicPartition(self._spec.address, partition) for partition in partitions]


_REBALANCED = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError._NO_OFFSET,
        KafkaError._ASSIGNMENT_LOST,
    }
)


def _record(message: KafkaMessage) -> Record:
    _, timestamp = message.timestamp()
    given = message.headers() or []
    headers = tuple((name, _bytes(value) or b"") for name, value in (given.items() if isinstance(given, dict) else given))
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        timestamp,
        _bytes(message.key()),
        _bytes(message.value()) or b"",
        headers,
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def open_sender(spec: QueueSpec, environ: Mapping[str, str]) -> KafkaSender:
    """Open the topic of *spec* for writing; the broker is met at the first send."""
    return KafkaSender(spec, environ)
