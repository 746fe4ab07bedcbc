"""The queues of a graph on AWS: SQS in place of local queues, with dead-letter queues, and the mappings that bring messages to functions.

A local queue becomes an SQS queue `PREFIX-NAME`; a FIFO queue where its messages have keys (`sharding_func`), for then their order is
promised. What is received too often goes to `NAME-dead`. Kafka topics, Kinesis streams and SQS queues that the graph names are there
already: only the mapping is made, and for a topic or a stream the dead-letter queue that its mapping needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fnkit.deploy.grants import find_grants
from fnkit.deploy.mappings import FIFO_BATCH, want_mapping
from fnkit.deploy.placeholders import is_placeholder
from fnkit.deploy.queue_names import Names
from fnkit.deploy.queue_names import find_problems as find_name_problems
from fnkit.deploy.state import WantedMapping, WantedQueue
from fnkit.functions.queues.readers import SourceMapping, find_mappings
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit.manifest import Flow, Manifest

_LONGEST_VISIBILITY_S = 43_200
_LONGEST_RETENTION_S = 1_209_600
_LARGEST_BATCH = 10_000
_MOST_POLLERS = 2_000
_SECRET = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@!-]+")
_LONGEST_SECRET = 200  # characters of the ARN, as a mapping takes it
_CERTIFICATES = {"ssl.ca.location", "ssl.certificate.location", "ssl.key.location"}
_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
_ACCOUNT = re.compile(r"\d{12}")


@dataclass(frozen=True, slots=True)
class Sources:
    """All of it.

    *urls*: what writers are told, queue name to URL. *statements*: what the role needs. *secrets*: ARNs by variable. *reported*: by
    function the Kafka topics of which it names the records that failed, separated by commas.
    """

    queues: tuple[WantedQueue, ...] = ()
    mappings: tuple[WantedMapping, ...] = ()
    urls: Mapping[str, str] = field(default_factory=dict)
    statements: tuple[Mapping[str, object], ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    reported: Mapping[str, str] = field(default_factory=dict)


def want_sources(manifest: Manifest, names: Names, secrets: Mapping[str, str]) -> Sources:
    """Return what the queues of *manifest* shall become. UsageError for a graph whose queues cannot be read."""
    specs = list(_specs(manifest))
    mappings = find_mappings(manifest)
    timeouts = {function.name: function.timeout_s for function in manifest.functions}
    slowest = {mapping.spec.name: timeouts[mapping.function] for mapping in mappings}
    queues = [queue for spec in specs for queue in _queues(spec, names, slowest)]
    return Sources(
        tuple(queues),
        tuple(want_mapping(mapping, names, secrets) for mapping in mappings),
        {spec.address: names.url(names.queue(spec)) for spec in specs if spec.kind == "local"},
        tuple(find_grants(specs, mappings, names, secrets)),
        {spec.credentials: secrets[spec.credentials] for spec in specs if spec.credentials},
        _reported(mappings),
    )


def _reported(mappings: Iterable[SourceMapping]) -> dict[str, str]:
    topics: dict[str, list[str]] = {}
    for mapping in mappings:
        if mapping.spec.pollers:
            topics.setdefault(mapping.function, []).append(mapping.spec.address)
    return {function: ",".join(sorted(found)) for function, found in topics.items()}


def find_secrets(manifest: Manifest, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the variables that queues name for their credentials: those of the functions, else of *environ*."""
    known = dict(environ)
    for function in manifest.functions:
        known |= function.environment
    return {spec.credentials: known[spec.credentials] for spec in _specs(manifest) if known.get(spec.credentials)}


def secret_names(manifest: Manifest) -> tuple[str, ...]:
    """Return the variables that queues name for their credentials."""
    return tuple(sorted({spec.credentials for spec in _specs(manifest) if spec.credentials}))


def made_queues(manifest: Manifest, names: Names) -> tuple[tuple[QueueSpec, str], ...]:
    """Return the names of the SQS queues that are made, each with the queue of the graph that it is made for."""
    read = {mapping.spec.name for mapping in find_mappings(manifest)}
    return tuple((spec, name) for spec in _specs(manifest) for name in _names(spec, names, read=spec.name in read))


def find_problems(manifest: Manifest, names: Names, secrets: Mapping[str, str]) -> Iterator[str]:
    """Yield what AWS cannot read for a function, has no name for, or has no secret for."""
    specs = list(_specs(manifest))
    mappings = find_mappings(manifest)
    for mapping in mappings:
        if mapping.spec.kind in ("v3io", "dummy"):
            queue = f"queue '{mapping.spec.name}' ({mapping.spec.kind})"
            yield f"{queue} cannot wake function '{mapping.function}' on AWS: use a local queue, SQS, Kinesis or Kafka"
        if mapping.spec.batch_size > _LARGEST_BATCH:
            yield f"queue '{mapping.spec.name}': batch_size is {mapping.spec.batch_size}, Lambda takes at most {_LARGEST_BATCH}"
        if mapping.spec.pollers > _MOST_POLLERS:
            yield f"queue '{mapping.spec.name}': pollers is {mapping.spec.pollers}, Lambda keeps at most {_MOST_POLLERS}"
        if mapping.spec.security_protocol == "SASL_PLAINTEXT":
            yield f"queue '{mapping.spec.name}': Lambda sends credentials over TLS only: use security_protocol='SASL_SSL'"
    made = made_queues(manifest, names)
    yield from find_name_problems(made)
    number = names.account.number
    if made and _ACCOUNT.fullmatch(number) is None and not is_placeholder(number):
        yield f"the queues cannot be addressed: {number!r} is no number of an AWS account, which has 12 digits"
    for spec in specs:
        if spec.credentials:
            yield from _secret_problems(spec, secrets.get(spec.credentials, ""), names.account.region)


_PLACES = {"kinesis": "stream", "kafka": "topic"}


def find_warnings(manifest: Manifest) -> Iterator[str]:
    """Yield what AWS does otherwise than a queue of *manifest* asks for."""
    for mapping in find_mappings(manifest):
        spec, where = mapping.spec, f"queue '{mapping.spec.name}'"
        fifo = spec.keyed if spec.kind == "local" else spec.kind == "sqs" and spec.address.endswith(".fifo")
        if fifo and spec.batch_size > FIFO_BATCH:
            yield f"{where}: batches of {FIFO_BATCH}, not {spec.batch_size}: more are not delivered where order is kept"
        if fifo and spec.batch_window_s:
            yield f"{where}: batch_window is not used: SQS has none where order is kept"
        if spec.kind in ("local", "sqs") and spec.max_concurrency < 2:
            yield f"{where}: up to 2 batches at once, not {spec.max_concurrency}: Lambda cannot be held to less"
        if spec.kind in ("kinesis", "kafka") and (spec.shards or spec.retention.retention_s):
            yield f"{where}: shards and retention are those that its {_PLACES[spec.kind]} was made with: it is there already"
        if spec.kind == "local" and (spec.retention.retention_s or 0) > _LONGEST_RETENTION_S:
            yield f"{where}: messages are kept for 14 days, no longer"
        for broker in spec.brokers:
            if broker.rpartition(":")[0] in _THIS_MACHINE:
                yield f"{where}: broker '{broker}' is this machine, which Lambda cannot reach"
        if found := sorted(_CERTIFICATES & set(spec.producer_options)):
            yield f"{where}: {', '.join(found)} hold for what functions send; Lambda reads with the certificates that it trusts itself"
        if spec.kind == "kafka" and not spec.pollers:
            yield (
                f"{where}: a batch with a failed record comes again as a whole, ten times; then '{mapping.spec.name}-dead' holds its "
                "offsets: where records may fail keep batch_size small, or give pollers=, which Lambda charges by the hour"
            )
    for spec in _specs(manifest):
        if spec.cluster:
            yield (
                f"queue '{spec.name}': a cluster of Amazon MSK is reached from inside its network only, where fnkit puts no functions: "
                "those that write to it have to be attached to the network, or the cluster made public"
            )


def _secret_problems(spec: QueueSpec, value: str, region: str) -> Iterator[str]:
    """Yield what is wrong with *value*, which is never shown: it may be a password."""
    where = f"queue '{spec.name}': environment variable {spec.credentials}"
    if not value:
        yield f"{where} is not set: set it to the ARN of a secret of AWS Secrets Manager that holds username and password"
    elif is_placeholder(value):
        return
    elif _SECRET.fullmatch(value) is None:
        yield f"{where} holds no ARN of a secret of AWS Secrets Manager: on AWS it may not hold the credentials themselves"
    elif len(value) > _LONGEST_SECRET:
        yield f"{where} has {len(value)} characters, an event source mapping takes {_LONGEST_SECRET}"
    elif value.split(":")[3] != region and not is_placeholder(region):
        yield f"{where} names a secret in {value.split(':')[3]}: Lambda takes only those of its own region, {region}"


def _specs(manifest: Manifest) -> Iterator[QueueSpec]:
    for step in manifest.spec.steps if isinstance(manifest.spec, Flow) else ():
        if step.kind == "queue" and (spec := read_spec(step.name, step.args)[0]) is not None:
            yield spec


def _names(spec: QueueSpec, names: Names, *, read: bool) -> Iterator[str]:
    """Yield the names of the queues that are made for *spec*, that of the dead-letter queue first."""
    if spec.kind == "local" or (read and spec.kind in ("kinesis", "kafka")):
        yield names.dead(spec)
    if spec.kind == "local":
        yield names.queue(spec)


def _queues(spec: QueueSpec, names: Names, timeouts: Mapping[str, int]) -> Iterator[WantedQueue]:
    """Yield the dead-letter queue first: the other one names it. *timeouts*: seconds a reader has, by the name of its queue."""
    for name in _names(spec, names, read=spec.name in timeouts):
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        if name == names.dead(spec):
            attributes["MessageRetentionPeriod"] = str(_LONGEST_RETENTION_S)
        else:
            attributes |= _attributes(spec, names, timeouts.get(spec.name, 60))
        yield WantedQueue(name, attributes, names.arn("sqs", name))


def _attributes(spec: QueueSpec, names: Names, timeout_s: int) -> dict[str, str]:
    visibility = max(int(spec.retention.visibility_s), 6 * timeout_s)  # as the guide of Lambda advises
    redrive = {"deadLetterTargetArn": names.arn("sqs", names.dead(spec)), "maxReceiveCount": spec.retention.max_receives}
    kept = _LONGEST_RETENTION_S if spec.retention.retention_s is None else int(spec.retention.retention_s)
    attributes = {
        "MessageRetentionPeriod": str(min(_LONGEST_RETENTION_S, max(60, kept))),
        "VisibilityTimeout": str(min(_LONGEST_VISIBILITY_S, visibility)),
        "RedrivePolicy": json.dumps(redrive, sort_keys=True),
    }
    if spec.keyed:  # order and duplicates are looked at within a key only, so that keys do not wait for each other
        attributes |= {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    return attributes
