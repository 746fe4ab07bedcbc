"""Set up librdkafka's clients, and say what their errors mean and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from confluent_kafka import KafkaError, KafkaException

from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.spec import QueueSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Client = TypeVar("Client")

SHARED = ("ssl.", "sasl.", "security.", "socket.", "broker.", "client.dns", "debug")  # options that hold for readers too
TIMED_OUT = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT})
TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_NO_TOPIC = "create the topic; this broker does not make topics by itself"
_CREDENTIALS = "see the credentials in the variable that credentials= names, security_protocol= and sasl_mechanism="
_DOWN = "see that the broker is up, and that this is its address"
HINTS: Mapping[int, str] = {
    KafkaError._AUTHENTICATION: _CREDENTIALS,
    KafkaError.SASL_AUTHENTICATION_FAILED: _CREDENTIALS,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _CREDENTIALS,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the credentials are good, but may not do this with the topic",
    KafkaError.UNKNOWN_TOPIC_OR_PART: _NO_TOPIC,
    KafkaError._UNKNOWN_TOPIC: _NO_TOPIC,
    KafkaError._UNKNOWN_PARTITION: "the topic has no such partition; see sharding_func=",
    KafkaError._SSL: "see the certificates, and that the broker speaks TLS on this port (security_protocol=)",
    **dict.fromkeys(sorted(TOO_LARGE), "send a reference to the data, split it, or let topic and client take larger messages"),
    KafkaError._RESOLVE: "see the names of the brokers",
    KafkaError._TRANSPORT: _DOWN,
    KafkaError._ALL_BROKERS_DOWN: _DOWN,
}  # what says more comes first


def reason_of(error: BaseException) -> str:
    """Return what librdkafka says of *error*."""
    return cause_of(error).str()


def cause_of(error: BaseException) -> KafkaError:
    """Return the error of librdkafka that *error* carries, or one that says the same."""
    cause = error.args[0] if error.args else None
    return cause if isinstance(cause, KafkaError) else KafkaError(KafkaError._FAIL, str(error))


def advice_on(error: KafkaError) -> str:
    """Return what to do about *error*, to be put behind its text."""
    hint = HINTS.get(error.code())
    return f"; {hint}" if hint else ""


def open_client(client: Callable[..., Client], settings: Mapping[str, object], spec: QueueSpec) -> Client:
    """Make a client. What librdkafka says of its settings names the option, never the value of a secret."""
    try:
        return client(settings)
    except (KafkaException, ValueError, TypeError) as error:
        raise QueueError(
            f"the Kafka client cannot be set up: {reason_of(error)}",
            where=f"queue '{spec.name}'",
            hint="see kafka_producer_options=, security_protocol= and sasl_mechanism=",
        ) from error
