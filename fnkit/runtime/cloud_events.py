"""A message that Knative's KafkaSource delivers, as the batch of one record that a Kafka mapping delivers on AWS.

It comes as a CloudEvent in binary mode: the body is the message's value, `ce-` headers say the rest, escaped by percent signs where HTTP
asks for it::

    ce-type     dev.knative.kafka.event         (a message that is a CloudEvent itself keeps its own attributes)
    ce-source   /apis/v1/namespaces/NAMESPACE/kafkasources/NAME#TOPIC
    ce-subject  partition:3#167
    ce-time     2022-03-31T22:19:36.499Z        of the message
    ce-key      its key
    ce-kafkaheaderNAME                          one of its headers

Source: the documentation of the KafkaSource, and requests that it was seen to send.
"""

from __future__ import annotations

from binascii import b2a_base64
from datetime import datetime
from json import dumps
from urllib.parse import unquote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HEADER = "ce-kafkaheader"


def is_cloud_event(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request with these *headers* is a CloudEvent in binary mode."""
    return any(name == b"ce-id" for name, _ in headers)


def kafka_batch(raw: Iterable[tuple[bytes, bytes]], value: bytes) -> bytes:
    """Return the batch, JSON, that holds the message of *value* and the request's headers *raw*."""
    headers = {name.decode("latin-1"): unquote(text.decode("latin-1")) for name, text in raw}
    topic = headers.get("ce-source", "").rpartition("#")[2]
    place = headers.get("ce-subject", "").removeprefix("partition:")
    partition, separator, offset = place.partition("#")
    if not separator:  # the producer's own event: nothing says where it was in the topic
        partition, offset = "0", headers.get("ce-id", "")
    record: dict[str, object] = {
        "topic": topic,
        "partition": int(partition) if partition.isdecimal() else 0,
        "offset": int(offset) if offset.isdecimal() else offset,
        "value": b2a_base64(value, newline=False).decode(),
        "headers": [{name: list(text.encode())} for name, text in _message_headers(headers).items()],
    }
    if key := headers.get("ce-key", ""):
        record["key"] = b2a_base64(key.encode(), newline=False).decode()
    if time := _milliseconds(headers.get("ce-time", "")):
        record["timestamp"] = time
    return dumps({"eventSource": "SelfManagedKafka", "records": {f"{topic}-{partition}": [record]}}).encode()


def _message_headers(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name.removeprefix(_HEADER): text for name, text in headers.items() if name.startswith(_HEADER)}
    if trace := headers.get("traceparent") or headers.get("ce-traceparent"):
        found.setdefault("traceparent", trace)
    return found


def _milliseconds(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return None
