"""The queues of a graph on AWS: SQS in place of local queues, with dead-letter queues, and the mappings that bring messages to functions.

A local queue becomes an SQS queue `PREFIX-NAME`; a FIFO queue where its messages have keys (`sharding_func`), for then their order is
promised. What is received too often goes to `NAME-dead`. Kafka topics, Kinesis streams and SQS queues that the graph names are there
already: only the mapping is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fnkit.deploy.state import Account, WantedMapping, WantedQueue
from fnkit.functions.queues.readers import SourceMapping, find_mappings
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit.manifest import Flow, Function, Manifest

_LONGEST_VISIBILITY_S = 43_200
_LONGEST_RETENTION_S = 1_209_600
_FIFO_BATCH = 10
_REPORT = ["ReportBatchItemFailures"]


@dataclass(frozen=True, slots=True)
class Sources:
    """All of it. *urls*: what writers are told, queue name to URL; *statements*: what the role needs."""

    queues: tuple[WantedQueue, ...] = ()
    mappings: tuple[WantedMapping, ...] = ()
    urls: Mapping[str, str] = field(default_factory=dict)
    statements: tuple[Mapping[str, object], ...] = ()


def want_sources(manifest: Manifest, account: Account, prefix: str) -> Sources:
    """Return what the queues of *manifest* shall become. UsageError for a graph whose queues cannot be read."""
    names = _Names(account, prefix)
    specs = list(_specs(manifest))
    mappings = find_mappings(manifest)
    slowest = {mapping.spec.name: _function(manifest, mapping).timeout_s for mapping in mappings}
    queues = [queue for spec in specs for queue in _queues(spec, names, slowest.get(spec.name, 60))]
    urls = {spec.address: names.url(names.queue(spec)) for spec in specs if spec.kind == "local"}
    wanted = tuple(_mapping(mapping, names) for mapping in mappings)
    return Sources(tuple(queues), wanted, urls, tuple(_statements(specs, mappings, names)))


def find_problems(manifest: Manifest) -> Iterator[str]:
    """Yield what AWS cannot read for a function."""
    for mapping in find_mappings(manifest):
        if mapping.spec.kind in ("v3io", "dummy"):
            queue = f"queue '{mapping.spec.name}' ({mapping.spec.kind})"
            yield f"{queue} cannot wake function '{mapping.function}' on AWS: use a local queue, SQS, Kinesis or Kafka"


@dataclass(frozen=True, slots=True)
class _Names:
    account: Account
    prefix: str

    def queue(self, spec: QueueSpec, *, dead: bool = False) -> str:
        fifo = spec.kind == "local" and spec.sharding != ""
        name = f"{self.prefix}{spec.address if spec.kind == 'local' else spec.name}"
        suffix = ("-dead" if dead else "") + (".fifo" if fifo else "")
        return f"{name[: 80 - len(suffix)]}{suffix}"

    def url(self, queue: str) -> str:
        domain = "amazonaws.com.cn" if self.account.partition == "aws-cn" else "amazonaws.com"
        return f"https://sqs.{self.account.region}.{domain}/{self.account.number}/{queue}"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.account.partition}:{service}:{self.account.region}:{self.account.number}:{resource}"


def _specs(manifest: Manifest) -> Iterator[QueueSpec]:
    for step in manifest.spec.steps if isinstance(manifest.spec, Flow) else ():
        if step.kind == "queue" and (spec := read_spec(step.name, step.args)[0]) is not None:
            yield spec


def _function(manifest: Manifest, mapping: SourceMapping) -> Function:
    return next(function for function in manifest.functions if function.name == mapping.function)


def _queues(spec: QueueSpec, names: _Names, timeout_s: int) -> Iterator[WantedQueue]:
    """Yield the dead-letter queue first: the other one names it."""
    if spec.kind not in ("local", "kinesis"):
        return
    dead = names.queue(spec, dead=True)
    fifo = {"FifoQueue": "true"} if dead.endswith(".fifo") else {}
    yield WantedQueue(dead, {**fifo, "MessageRetentionPeriod": str(_LONGEST_RETENTION_S)})
    if spec.kind != "local":
        return
    visibility = min(
        _LONGEST_VISIBILITY_S, max(int(spec.retention.visibility_s), 6 * timeout_s)
    )  # as the guide of Lambda advises
    attributes = {
        **fifo,
        "VisibilityTimeout": str(visibility),
        "RedrivePolicy": json.dumps(
            {"deadLetterTargetArn": names.arn("sqs", dead), "maxReceiveCount": spec.retention.max_receives}, sort_keys=True
        ),
    }
    if spec.retention.retention_s is not None:
        attributes["MessageRetentionPeriod"] = str(min(_LONGEST_RETENTION_S, max(60, int(spec.retention.retention_s))))
    yield WantedQueue(names.queue(spec), attributes)


def _mapping(mapping: SourceMapping, names: _Names) -> WantedMapping:
    spec, function = mapping.spec, mapping.function
    settings: dict[str, object] = {"BatchSize": spec.batch_size}
    if spec.batch_window_s:
        settings["MaximumBatchingWindowInSeconds"] = min(300, max(1, round(spec.batch_window_s)))
    if spec.kind == "kafka":
        creation: dict[str, object] = {
            "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": list(spec.brokers)}},
            "Topics": [spec.address],
            "StartingPosition": "TRIM_HORIZON",
            "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": spec.group or f"{function}-consumer-group"},
        }
        source = f"kafka:{','.join(spec.brokers)}/{spec.address}"
    elif spec.kind == "kinesis":
        source = names.arn("kinesis", f"stream/{spec.address}")
        creation = {"EventSourceArn": source, "StartingPosition": "TRIM_HORIZON"}
        settings["FunctionResponseTypes"] = _REPORT
        settings["BisectBatchOnFunctionError"] = True
        settings["MaximumRetryAttempts"] = spec.retention.max_receives - 1
        settings["DestinationConfig"] = {"OnFailure": {"Destination": names.arn("sqs", names.queue(spec, dead=True))}}
    else:
        queue = names.queue(spec) if spec.kind == "local" else spec.address.rstrip("/").rpartition("/")[2]
        source = names.arn("sqs", queue)
        creation = {"EventSourceArn": source}
        settings["FunctionResponseTypes"] = _REPORT
        if queue.endswith(".fifo"):
            settings["BatchSize"] = min(_FIFO_BATCH, spec.batch_size)
            settings.pop("MaximumBatchingWindowInSeconds", None)
        elif spec.batch_size > _FIFO_BATCH:
            settings.setdefault("MaximumBatchingWindowInSeconds", 1)  # Lambda asks for a window with batches of more than ten
        settings["ScalingConfig"] = {"MaximumConcurrency": max(2, spec.max_concurrency)}
    return WantedMapping(function, names.prefix + function, source, creation, settings)


def _statements(specs: Iterable[QueueSpec], mappings: Iterable[SourceMapping], names: _Names) -> Iterator[Mapping[str, object]]:
    listed, read = list(specs), [mapping.spec for mapping in mappings]
    sent = [_sqs_arn(spec, names) for spec in listed if spec.kind in ("local", "sqs")]
    sent += [names.arn("sqs", names.queue(spec, dead=True)) for spec in listed if spec.kind == "kinesis"]
    received = [_sqs_arn(spec, names) for spec in read if spec.kind in ("local", "sqs")]
    put = [names.arn("kinesis", f"stream/{spec.address}") for spec in listed if spec.kind == "kinesis"]
    got = [names.arn("kinesis", f"stream/{spec.address}") for spec in read if spec.kind == "kinesis"]
    reading = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    streaming = ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards", "ListStreams"]
    wishes: tuple[tuple[list[str], list[str]], ...] = (
        (["sqs:SendMessage", "sqs:GetQueueUrl"], sent),
        (reading, received),
        (["kinesis:PutRecord", "kinesis:PutRecords"], put),
        ([f"kinesis:{action}" for action in streaming], got),
    )
    for actions, resources in wishes:
        if resources:
            yield {"Effect": "Allow", "Action": actions, "Resource": sorted(set(resources))}


def _sqs_arn(spec: QueueSpec, names: _Names) -> str:
    return names.arn("sqs", names.queue(spec) if spec.kind == "local" else spec.address.rstrip("/").rpartition("/")[2])
