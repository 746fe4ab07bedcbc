"""What a queue holds: messages to send, messages received, and what is known of a queue."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping

from fnkit.records import field, record


@record(frozen=True, slots=True)
class Message:
    """A message to be sent. Messages with the same *key* are delivered in order; an empty key promises no order.

    *partition* is where the message has to go in a topic or stream that numbers its parts; None: where its key leads.
    """

    body: bytes
    key: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    partition: int | None = None


@record(frozen=True, slots=True)
class Received:
    """A message on loan: it comes back after the visibility timeout unless it is deleted.

    *receipt* names this loan, not the message: a loan that has run out can no longer delete the message.
    *receives* counts the loans including this one; *sent_at* is in seconds since the epoch.
    """

    message: Message
    receipt: str
    receives: int
    sent_at: float


@record(frozen=True, slots=True)
class Depth:
    """How full a queue is: messages waiting, on loan and dead, and the age in seconds of the oldest waiting one."""

    waiting: int
    in_flight: int
    dead: int
    oldest_s: float


@record(frozen=True, slots=True)
class Retention:
    """When a queue gives a message up.

    *visibility_s* is the length of a loan; after *max_receives* loans a message becomes a dead letter;
    *retention_s* is the age at which a message is dropped from the queue to the dead letters, None for never.
    """

    visibility_s: float = 30.0
    max_receives: int = 3
    retention_s: float | None = None


def encode_body(message: Message) -> tuple[str, dict[str, str]]:
    """Return the text of an SQS message and its attributes: at most ten, so headers that do not fit are left out last to first.

    A body that is not UTF-8 travels as base64, marked by the attribute `fnkit-encoding`.
    """
    attributes = {"fnkit-key": message.key} if message.key else {}
    try:
        text = message.body.decode()
    except UnicodeDecodeError:
        text, attributes["fnkit-encoding"] = b2a_base64(message.body, newline=False).decode(), "base64"
    for name, value in message.headers.items():
        if len(attributes) < 10:
            attributes[name] = value
    return text, attributes
