"""The event source mapping of a queue: what Lambda reads, from where, how much at once, and what happens to what fails.

SQS and Kinesis are told which records failed (`ReportBatchItemFailures`). Lambda takes these reports for Kafka too, with a limit of
retries and with bisecting, but in provisioned mode only: with pollers of the mapping's own, which are paid for by the hour
(`pollers=`). Without them a batch with a failed record fails as a whole, comes again up to ten times, which is what Lambda does as soon
as a mapping has a destination, and is then described in the dead-letter queue, by topic, partition and offsets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fnkit.deploy.queue_names import Names
from fnkit.deploy.state import WantedMapping
from fnkit.functions.queues.readers import SourceMapping
from fnkit.functions.queues.spec import QueueSpec

FIFO_BATCH = 10
_REPORT = ["ReportBatchItemFailures"]
_STARTS = {"earliest": "TRIM_HORIZON", "latest": "LATEST"}
_ACCESS = {"PLAIN": "BASIC_AUTH", "SCRAM-SHA-256": "SASL_SCRAM_256_AUTH", "SCRAM-SHA-512": "SASL_SCRAM_512_AUTH"}

Parts = tuple[str, dict[str, object], dict[str, object]]


def want_mapping(mapping: SourceMapping, names: Names, secrets: Mapping[str, str]) -> WantedMapping:
    """Return the mapping by which its function reads a queue; *secrets* are ARNs by the variables that queues name."""
    spec = mapping.spec
    match spec.kind:
        case "kafka":
            source, creation, settings = _kafka(spec, names, mapping.function, secrets)
        case "kinesis":
            source, creation, settings = _kinesis(spec, names)
        case _:
            source, creation, settings = _sqs(spec, names)
    return WantedMapping(mapping.function, names.prefix + mapping.function, source, creation, settings)


def kafka_source(cluster: str, topics: Sequence[str], group: str) -> str:
    """Return what identifies a mapping for Kafka: its cluster (an ARN, or brokers) and topic, and the group, which it cannot change."""
    return f"kafka:{cluster}/{','.join(topics)} as {group}"


def consumer_group(spec: QueueSpec, names: Names, function: str) -> str:
    """Return the group by which *function* reads: its own on each stage, unless the queue names one."""
    return spec.group or f"{names.prefix}{function}-consumer-group"


def _kafka(spec: QueueSpec, names: Names, function: str, secrets: Mapping[str, str]) -> Parts:
    group = {"ConsumerGroupId": consumer_group(spec, names, function)}
    creation: dict[str, object] = {"Topics": [spec.address], "StartingPosition": _STARTS[spec.starting]}
    if spec.cluster:
        creation |= {"EventSourceArn": spec.cluster, "AmazonManagedKafkaEventSourceConfig": group}
    else:
        servers = {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": list(spec.brokers)}}
        creation |= {"SelfManagedEventSource": servers, "SelfManagedKafkaEventSourceConfig": group}
    settings = {**_batches(spec), **_failures(spec, names)}
    if spec.pollers:
        settings |= {"ProvisionedPollerConfig": {"MinimumPollers": 1, "MaximumPollers": spec.pollers}, **_retries(spec)}
    if spec.credentials:
        settings["SourceAccessConfigurations"] = [{"Type": _ACCESS[spec.sasl_mechanism], "URI": secrets[spec.credentials]}]
    source = kafka_source(spec.cluster or ",".join(spec.brokers), [spec.address], group["ConsumerGroupId"])
    return source, creation, settings


def _kinesis(spec: QueueSpec, names: Names) -> Parts:
    source = names.arn("kinesis", f"stream/{spec.address}")
    settings = {"MaximumBatchingWindowInSeconds": 0, **_batches(spec), **_retries(spec), **_failures(spec, names)}
    return source, {"EventSourceArn": source, "StartingPosition": _STARTS[spec.starting]}, settings


def _sqs(spec: QueueSpec, names: Names) -> Parts:
    source = names.sqs_arn(spec)
    settings = {"MaximumBatchingWindowInSeconds": 0, **_batches(spec), "FunctionResponseTypes": _REPORT}
    if source.endswith(".fifo"):
        settings["BatchSize"] = min(FIFO_BATCH, spec.batch_size)
        settings.pop("MaximumBatchingWindowInSeconds", None)
    elif spec.batch_size > FIFO_BATCH:
        settings["MaximumBatchingWindowInSeconds"] = (
            settings["MaximumBatchingWindowInSeconds"] or 1
        )  # Lambda asks for a window with batches of more than ten
    settings["ScalingConfig"] = {"MaximumConcurrency": min(1000, max(2, spec.max_concurrency))}
    return source, {"EventSourceArn": source}, settings


def _batches(spec: QueueSpec) -> dict[str, object]:
    settings: dict[str, object] = {"BatchSize": spec.batch_size}
    if spec.batch_window_s:
        settings["MaximumBatchingWindowInSeconds"] = min(300, max(1, round(spec.batch_window_s)))
    return settings


def _retries(spec: QueueSpec) -> dict[str, object]:
    """Return what isolates a record that fails and gives it up after *max_receives*."""
    return {
        "FunctionResponseTypes": _REPORT,
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": spec.retention.max_receives - 1,
    }


def _failures(spec: QueueSpec, names: Names) -> dict[str, object]:
    return {"DestinationConfig": {"OnFailure": {"Destination": names.arn("sqs", names.dead(spec))}}}
