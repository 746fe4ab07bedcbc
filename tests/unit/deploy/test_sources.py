"""Queues of a graph as they are planned for AWS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fnkit.bundle import Build
from fnkit.deploy import Prepared, Reports, Wishes, carry_out, prepare
from fnkit.errors import ProblemsError, UsageError
from fnkit.functions import place
from fnkit.manifest import Flow, Function, Manifest, Step
from tests.fakes.builds import fake_build
from tests.fakes.cloud import InMemoryCloud


def graph(*queues: Step) -> Manifest:
    """Return a placed graph: `take`, then each queue with a function `NAME-reader` behind it."""
    steps = [Step("take", handler="app:take")]
    for queue in queues:
        steps.append(queue)
        steps.append(Step(f"keep-{queue.name}", handler="app:keep", after=(queue.name,), function="keeper"))
    return place(Manifest("orders", Flow(tuple(steps)), functions=(Function("orders", "entry"),), python="3.11"), "step")


def queue(name: str, **args: object) -> Step:
    return Step(name, kind="queue", args={"path": "", **args}, after=("take",))


def ready(folder: Path, cloud: InMemoryCloud, *queues: Step, contents: dict[str, bytes] | None = None) -> Prepared:
    build: Build = fake_build(folder, graph(*queues), contents)
    return prepare(build, cloud, Wishes())


def deploy(folder: Path, cloud: InMemoryCloud, *queues: Step, contents: dict[str, bytes] | None = None) -> Prepared:
    prepared = ready(folder, cloud, *queues, contents=contents)
    carry_out(prepared, cloud, Reports(lambda action: None, lambda name, sent, total: None))
    return prepared


def test_a_local_queue_becomes_an_sqs_queue_with_a_dead_letter_queue_and_a_mapping(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    deploy(tmp_path, cloud, queue("jobs", max_receives=5))

    assert list(cloud.queues) == ["orders-dev-jobs-dead", "orders-dev-jobs"]
    assert json.loads(cloud.queues["orders-dev-jobs"]["RedrivePolicy"]) == {
        "deadLetterTargetArn": "arn:aws:sqs:eu-central-1:123456789012:orders-dev-jobs-dead",
        "maxReceiveCount": 5,
    }
    assert cloud.queues["orders-dev-jobs"]["VisibilityTimeout"] == "360"
    (mapping,) = cloud.sources["orders-dev-keeper"]
    assert mapping.source == "arn:aws:sqs:eu-central-1:123456789012:orders-dev-jobs"
    assert mapping.settings["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_queues_come_before_functions_and_mappings_after_the_switch_of_the_alias(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    deploy(tmp_path, cloud, queue("jobs"))

    assert cloud.changes == [
        "create role orders-dev-role",
        "queue orders-dev-jobs-dead",
        "queue orders-dev-jobs",
        "create orders-dev-keeper",
        "publish orders-dev-keeper",
        "create orders-dev-orders",
        "publish orders-dev-orders",
        "alias orders-dev-orders 1",
        "url orders-dev-orders AWS_IAM BUFFERED",
        "mapping orders-dev-keeper 1",
    ]


def test_a_second_run_plans_nothing_for_queues(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud, queue("jobs"))

    assert ready(tmp_path, cloud, queue("jobs")).plan.actions == ()


def test_new_code_of_the_reader_moves_its_mapping_to_the_new_version(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud, queue("jobs"))
    cloud.changes.clear()

    deploy(tmp_path, cloud, queue("jobs"), contents={"keeper": b"new code"})

    assert cloud.changes[-1] == "mapping orders-dev-keeper 2"
    assert [one.version for one in cloud.sources["orders-dev-keeper"]] == ["2"]


def test_a_changed_option_changes_the_queue_and_its_mapping_alone(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud, queue("jobs"))

    plan = ready(tmp_path, cloud, queue("jobs", max_receives=9, batch_size=4)).plan

    assert [line for line in plan.lines() if "queue" in line or "mapping" in line] == [
        "change queue orders-dev-jobs",
        "change the mapping from arn:aws:sqs:eu-central-1:123456789012:orders-dev-jobs to orders-dev-keeper",
    ]


def test_a_queue_that_is_read_no_more_loses_its_mapping_and_stays(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud, queue("jobs"), queue("other"))

    deploy(tmp_path, cloud, queue("other"))

    assert [one.source.rpartition(":")[2] for one in cloud.sources["orders-dev-keeper"]] == ["orders-dev-other"]
    assert "orders-dev-jobs" in cloud.queues


def test_messages_with_keys_get_a_fifo_queue(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    deploy(tmp_path, cloud, queue("jobs", sharding_func="customer", batch_size=50))

    assert list(cloud.queues) == ["orders-dev-jobs-dead.fifo", "orders-dev-jobs.fifo"]
    assert cloud.queues["orders-dev-jobs.fifo"]["FifoQueue"] == "true"
    assert cloud.sources["orders-dev-keeper"][0].settings["BatchSize"] == 10


def test_writers_are_told_the_urls_and_the_role_may_use_the_queues(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    deploy(tmp_path, cloud, queue("jobs"))

    environment = cloud.functions["orders-dev-orders"].latest.configuration.environment
    policy = json.dumps(cloud.roles["orders-dev-role"].policy)
    assert json.loads(environment["FNKIT_QUEUE_URLS"]) == {
        "jobs": "https://sqs.eu-central-1.amazonaws.com/123456789012/orders-dev-jobs"
    }
    assert "sqs:SendMessage" in policy
    assert "sqs:ReceiveMessage" in policy


def test_a_kafka_topic_is_mapped_as_a_self_managed_cluster(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    prepared = ready(tmp_path, cloud, queue("jobs", path="kafka://one:9092,two:9092/orders", group="g", batch_size=100))

    (mapping,) = prepared.wanted.mappings
    assert prepared.wanted.queues == ()
    assert mapping.source == "kafka:one:9092,two:9092/orders"
    assert mapping.settings == {"BatchSize": 100}
    assert mapping.creation == {
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["one:9092", "two:9092"]}},
        "Topics": ["orders"],
        "StartingPosition": "TRIM_HORIZON",
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "g"},
    }


def test_a_kinesis_stream_has_retries_and_a_place_for_what_fails(tmp_path: Path) -> None:
    prepared = ready(tmp_path, InMemoryCloud(), queue("jobs", path="kinesis://orders", max_receives=4))

    (mapping,) = prepared.wanted.mappings
    assert mapping.source == "arn:aws:kinesis:eu-central-1:123456789012:stream/orders"
    assert mapping.settings["MaximumRetryAttempts"] == 3
    assert [queue.name for queue in prepared.wanted.queues] == ["orders-dev-jobs-dead"]


def test_a_queue_that_cannot_wake_a_function_on_aws_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"queue 'jobs' \(v3io\) cannot wake function 'keeper' on AWS"):
        ready(tmp_path, InMemoryCloud(), queue("jobs", path="v3io:///projects/orders"))


def test_one_queue_for_two_functions_is_refused(tmp_path: Path) -> None:
    manifest = graph(queue("jobs"))
    second = Step("also", handler="app:also", after=("jobs",), function="other")
    assert isinstance(manifest.spec, Flow)
    both = place(Manifest("orders", Flow((*manifest.spec.steps, second)), functions=manifest.functions, python="3.11"), "step")

    with pytest.raises(UsageError, match="functions keeper, other read the same queue 'jobs'"):
        prepare(fake_build(tmp_path, both), InMemoryCloud(), Wishes())


def test_a_given_bucket_carries_events_that_are_too_large_to_send(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    prepared = prepare(fake_build(tmp_path, graph(queue("jobs"))), cloud, Wishes(bucket="ours"))
    carry_out(prepared, cloud, Reports(lambda action: None, lambda name, sent, total: None))

    environment = cloud.functions["orders-dev-orders"].latest.configuration.environment
    assert environment["FNKIT_OBJECT_BUCKET"] == "ours"
    assert "arn:aws:s3:::ours/fnkit-objects/*" in json.dumps(cloud.roles["orders-dev-role"].policy)
