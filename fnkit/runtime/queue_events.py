"""Batches that a queue delivers (SQS, Kinesis, Kafka) as events, one a record, and which of them failed.

A record that fails is named in `batchItemFailures`, so only it comes again. A mapping for Kafka asks for names where it has pollers of
its own; elsewhere its batch fails as a whole. Where order holds (a Kinesis shard, a Kafka partition, a message group of a FIFO queue)
nothing behind a failed record is run: it comes again with it.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64

from fnkit.engine.event import Event
from fnkit.functions.codec import text_map
from fnkit.lean import dumps, loads
from fnkit.runtime.invocation import Failure, Whole
from fnkit.runtime.trigger import Trigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterator

_WRAPPER = "full_event_wrapper"


class Record:
    """One record of a batch. *lane* is what keeps its order (`""`: no order); *identifier* names it in `batchItemFailures`."""

    __slots__ = ("event", "identifier", "lane")

    def __init__(self, event: Event, identifier: object, lane: str) -> None:
        self.event = event
        self.identifier = identifier
        self.lane = lane


def is_batch(payload: object) -> bool:
    """Tell whether *payload* is a batch of one of the queues."""
    if not isinstance(payload, dict):
        return False
    records = payload.get("Records")
    if isinstance(records, list) and records:
        return all(isinstance(record, dict) and record.get("eventSource") in _READERS for record in records)
    return payload.get("eventSource") in ("SelfManagedKafka", "aws:kafka") and isinstance(payload.get("records"), dict)


def read_batch(payload: dict[str, object]) -> list[Record]:
    """Return the records of a batch. Raises `Failure` for a batch that cannot be read: then all of it comes again."""
    try:
        records = payload.get("Records")
        if isinstance(records, list):
            return [_READERS[record["eventSource"]](record) for record in records]
        return list(_kafka(payload["records"]))
    except (KeyError, TypeError, ValueError, AttributeError, Base64Error) as error:
        raise Failure(
            "Runtime.UnmarshalError", f"the batch of the queue cannot be read: {type(error).__name__}: {error}"
        ) from error


async def run_batch(
    records: list[Record],
    process: Callable[[Event], Awaitable[None]],
    report: Callable[[Failure], None],
    *,
    named_topics: Container[str] = (),
) -> Whole:
    """Process *records* in their order, and return which of them failed; *report* is told why.

    Raises what a Kafka record raised, unless its topic is one of *named_topics*, whose mappings ask for the names of failed records.
    """
    failed: list[object] = []
    blocked: set[str] = set()
    for record in records:
        if record.lane and record.lane in blocked:
            failed.append(record.identifier)
            continue
        try:
            await process(record.event)
        except Exception as error:
            if isinstance(record.identifier, dict) and record.lane.rpartition("-")[0] not in named_topics:
                raise
            report(Failure.of(error))
            failed.append(record.identifier)
            blocked.add(record.lane)
    return Whole(dumps({"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}).encode())


def _event(value: bytes, key: str, identity: str, trigger: Trigger, time: object, offset: int | str | None = None) -> Event:
    """Return the event of a message; one that a graph's own queue step wrote brings its id, key and body in a wrapper."""
    event = Event(value, id=identity, key=key, trigger=trigger, time=time, offset=offset)
    if value[:1] == b"{" and _WRAPPER.encode() in value:
        try:
            wrapper = loads(value)
        except ValueError:
            return event
        if wrapper.get(_WRAPPER) is True:
            event.body = wrapper.get("body")
            event.content_type = "text/plain" if isinstance(event.body, str) else ""  # it has been read already
            event.key = str(wrapper.get("key") or key)
            event.id = str(wrapper.get("id") or identity)
            event.headers.update(text_map(wrapper.get("headers")))
            event.lineage = _lineage(event.id, str(wrapper.get("visit") or ""), identity)
    return event


def _lineage(event_id: str, visit: str, identity: str) -> tuple[str, ...]:
    """Return what tells the messages that one event has become from each other: the visit that wrote it, or the message's own name."""
    if visit.startswith(event_id):
        return (visit.removeprefix(event_id).lstrip("/:"),)
    return () if identity == event_id else (identity,)


def _sqs(record: dict[str, dict[str, str] | str]) -> Record:
    body, identifier, attributes = record["body"], str(record["messageId"]), record.get("attributes")
    if not isinstance(body, str):
        raise TypeError("the body of a message is not text")
    found = attributes if isinstance(attributes, dict) else {}
    group, carried = found.get("MessageGroupId", ""), _attributes(record.get("messageAttributes"))
    value = _bytes(body) if carried.pop("fnkit-encoding", "") == "base64" else body.encode()
    key = carried.pop("fnkit-key", group)
    trigger = Trigger("sqs", str(record.get("eventSourceARN", "")).rpartition(":")[2])
    event = _event(value, key, identifier, trigger, found.get("SentTimestamp"))
    event.headers.update(carried)
    return Record(event, identifier, group)


def _attributes(given: object) -> dict[str, str]:
    """Return the text attributes of a message: a sender of this package has put headers there, the key, and how the body is encoded."""
    if not isinstance(given, dict):
        return {}
    return {name: entry["stringValue"] for name, entry in given.items() if isinstance(entry.get("stringValue"), str)}


def _kinesis(record: dict[str, dict[str, str]]) -> Record:
    data = record["kinesis"]
    trigger = Trigger("kinesis", str(record.get("eventSourceARN", "")).rpartition("/")[2])
    number = str(data["sequenceNumber"])
    time = data.get("approximateArrivalTimestamp")
    event = _event(_bytes(data["data"]), str(data.get("partitionKey", "")), str(record.get("eventID", "")), trigger, time, number)
    shard = str(record.get("eventID", "")).partition(":")[0]
    return Record(event, number, shard or "shard")


def _kafka(records: object) -> Iterator[Record]:
    if not isinstance(records, dict):
        raise TypeError("records are not sorted by topic and partition")
    for partition, entries in records.items():
        for entry in entries:
            key = _bytes(entry["key"]).decode("utf-8", "replace") if entry.get("key") else ""
            identity = f"{partition}@{entry['offset']}"
            trigger = Trigger("kafka", str(entry.get("topic", "")))
            event = _event(_bytes(entry.get("value") or ""), key, identity, trigger, entry.get("timestamp"), entry["offset"])
            event.headers.update(
                (name, bytes(value).decode("utf-8", "replace"))
                for header in entry.get("headers") or ()
                for name, value in header.items()
            )
            yield Record(event, {"partition": partition, "offset": entry["offset"]}, partition)


def _bytes(text: str) -> bytes:
    return a2b_base64(text, strict_mode=True)


_READERS: dict[object, Callable[[dict[str, object]], Record]] = {"aws:sqs": _sqs, "aws:kinesis": _kinesis}  # type: ignore[dict-item]  # each reads its own shape
