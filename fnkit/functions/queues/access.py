"""How a Kafka cluster is reached: by which protocol, with whose credentials, and which of a client's options hold for writers and readers.

A graph names an environment variable, never a password: the value is JSON `{"username": ..., "password": ...}`, or the ARN of a secret in
AWS Secrets Manager that holds this JSON. Options may have the names of kafka-python (`compression_type`) or of librdkafka
(`compression.type`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fnkit.manifest.spelling import did_you_mean
from fnkit.records import field, record

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
ARGUMENTS = ("cluster", "credentials", "security_protocol", "sasl_mechanism")
_CLUSTER = re.compile(r"arn:aws[a-z-]*:kafka:[a-z0-9-]+:\d{12}:cluster/[^/\s]+/[^/\s]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(^|[._])(password|secret|token|key[.]pem|sasl[.]username|sasl[.]plain[.]username)$")
_RENAMED = {
    "ssl.cafile": "ssl.ca.location",
    "ssl.certfile": "ssl.certificate.location",
    "ssl.keyfile": "ssl.key.location",
    "ssl.crlfile": "ssl.crl.location",
    "ssl.password": "ssl.key.password",
    "ssl.ciphers": "ssl.cipher.suites",
    "max.request.size": "message.max.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
}  # after "_" became "."
_DROPPED = frozenset(
    "bootstrap.servers api.version api.version.auto.timeout.ms buffer.memory max.block.ms key.serializer value.serializer".split()
)  # said elsewhere, or without a meaning for librdkafka


@record(frozen=True, slots=True)
class Access:
    """What a queue says of its cluster; each `""` where it says nothing. *options* have librdkafka's names."""

    cluster: str = ""
    credentials: str = ""
    security_protocol: str = ""
    sasl_mechanism: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


def read_access(args: Mapping[str, object], problems: list[str]) -> Access:
    """Read how the cluster of a Kafka queue is reached; what is wrong goes to *problems*.

    With credentials the protocol is SASL_SSL unless another is named, and the mechanism SCRAM-SHA-512 for Amazon MSK, else PLAIN.
    """
    options = _options(args.get("kafka_producer_options"), problems)
    lifted = {"security_protocol": options.pop("security.protocol", None), "sasl_mechanism": options.pop("sasl.mechanism", None)}
    given = {name: args.get(name) or lifted.get(name) or "" for name in ARGUMENTS}
    cluster = _matching(
        given, "cluster", _CLUSTER, "the ARN of an Amazon MSK cluster, arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/ID", problems
    )
    credentials = _matching(
        given,
        "credentials",
        _VARIABLE,
        "the name of an environment variable that holds them, never the credentials themselves",
        problems,
    )
    protocol = _one_of(given, "security_protocol", PROTOCOLS, problems)
    mechanism = _one_of(given, "sasl_mechanism", MECHANISMS, problems)
    problems += _contradictions(given, cluster, protocol, mechanism)
    if credentials:
        protocol, mechanism = protocol or "SASL_SSL", mechanism or ("SCRAM-SHA-512" if cluster else "PLAIN")
    return Access(cluster, credentials, protocol, mechanism, options)


def find_misplaced(args: Mapping[str, object], kind: str) -> list[str]:
    """Return what is wrong where a queue of *kind*, which is not Kafka, is given arguments that only Kafka has."""
    return [f"{name} is for Kafka, and this is a queue of kind {kind}" for name in (*ARGUMENTS, "pollers") if args.get(name)]


def _contradictions(given: Mapping[str, object], cluster: str, protocol: str, mechanism: str) -> list[str]:
    found = []
    wanted = protocol if protocol.startswith("SASL") else mechanism
    if wanted and not given["credentials"]:
        found.append(f"'{wanted}' needs credentials=, the name of an environment variable that holds them")
    if protocol and not protocol.startswith("SASL") and (given["credentials"] or mechanism):
        said = "credentials" if given["credentials"] else "sasl_mechanism"
        found.append(f"security_protocol '{protocol}' takes no {said}; use SASL_SSL or SASL_PLAINTEXT")
    if cluster and mechanism not in ("", "SCRAM-SHA-512"):
        found.append(f"sasl_mechanism '{mechanism}' is not offered by Amazon MSK; it has SCRAM-SHA-512")
    return found


def _matching(given: Mapping[str, object], name: str, pattern: re.Pattern[str], meant: str, problems: list[str]) -> str:
    """Return the text under *name*. A wrong one is not repeated: it may be a secret."""
    value = given[name]
    if not value or (isinstance(value, str) and pattern.fullmatch(value)):
        return str(value)
    problems.append(f"{name} must be {meant}")
    return ""


def _one_of(given: Mapping[str, object], name: str, known: tuple[str, ...], problems: list[str]) -> str:
    value = given[name]
    if not value or (isinstance(value, str) and value.upper() in known):
        return str(value).upper()
    problems.append(f"{name} '{value}' is unknown; {did_you_mean(str(value), known)}")
    return ""


def _options(given: object, problems: list[str]) -> dict[str, object]:
    if not given:
        return {}
    if not isinstance(given, Mapping):
        problems.append(f"kafka_producer_options must be a mapping of names to values, not {type(given).__name__}")
        return {}
    options: dict[str, object] = {}
    for name, value in given.items():
        renamed = _renamed(str(name))
        if _SECRET.search(renamed):
            problems.append(f"kafka_producer_options['{name}'] would put credentials into the graph; use credentials=")
        elif not isinstance(value, str | int | float):
            problems.append(
                f"kafka_producer_options['{name}'] must be text, a number or a truth value, not {type(value).__name__}"
            )
        elif renamed == "ssl.check.hostname":
            options["ssl.endpoint.identification.algorithm"] = "https" if value else "none"
        elif renamed not in _DROPPED:
            options[renamed] = value
    return options


def _renamed(name: str) -> str:
    dotted = name if name == "log_level" else name.replace("_", ".")  # librdkafka's only name without dots
    return _RENAMED.get(dotted, dotted)
