"""Queues of a graph as they are planned for AWS."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import boto3
import pytest
from botocore.validate import ParamValidator

from fnkit.bundle import Build
from fnkit.deploy import Prepared, Reports, Wishes, carry_out, prepare
from fnkit.deploy.sources import find_secrets, find_warnings
from fnkit.deploy.state import Account
from fnkit.errors import DeployError, ProblemsError, UsageError
from fnkit.functions import place
from fnkit.manifest import Flow, Function, Manifest, Step
from tests.fakes.builds import fake_build
from tests.fakes.cloud import InMemoryCloud

SQS = "arn:aws:sqs:eu-central-1:123456789012"
MSK = "arn:aws:kafka:eu-central-1:123456789012:cluster/events/1a2b-3"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:AmazonMSK_orders-a1b2c3"


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


def statements(cloud: InMemoryCloud) -> Sequence[Mapping[str, object]]:
    policy = cloud.roles["orders-dev-role"].policy
    assert policy is not None
    found = policy["Statement"]
    assert isinstance(found, list)
    return found


def grants(cloud: InMemoryCloud) -> dict[str, object]:
    """Return on what the role may do each action."""
    return {action: grant["Resource"] for grant in statements(cloud) for action in list(grant["Action"])}  # type: ignore[call-overload]  # it is a list


class Elsewhere(InMemoryCloud):
    """A cloud whose account is none."""

    def account(self) -> Account:
        return Account("nobody", "eu-central-1")


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
    assert cloud.queues["orders-dev-jobs.fifo"]["FifoThroughputLimit"] == "perMessageGroupId"
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
    assert mapping.source == "kafka:one:9092,two:9092/orders as g"
    assert mapping.settings == {
        "BatchSize": 100,
        "DestinationConfig": {"OnFailure": {"Destination": f"{SQS}:orders-dev-jobs-dead"}},
    }
    assert mapping.creation == {
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["one:9092", "two:9092"]}},
        "Topics": ["orders"],
        "StartingPosition": "TRIM_HORIZON",
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "g"},
    }
    assert [queue.name for queue in prepared.wanted.queues] == ["orders-dev-jobs-dead"]


def test_stages_read_a_topic_in_groups_of_their_own(tmp_path: Path) -> None:
    build = fake_build(tmp_path, graph(queue("jobs", path="kafka://one:9092/orders")))

    groups = [prepare(build, InMemoryCloud(), Wishes(stage=stage)).wanted.mappings[0].source for stage in ("dev", "prod")]

    assert groups == [
        "kafka:one:9092/orders as orders-dev-keeper-consumer-group",
        "kafka:one:9092/orders as orders-prod-keeper-consumer-group",
    ]


def test_another_group_is_another_mapping_for_lambda_cannot_change_it(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud, queue("jobs", path="kafka://one:9092/orders", group="old"))

    lines = ready(tmp_path, cloud, queue("jobs", path="kafka://one:9092/orders", group="new")).plan.lines()

    assert [line for line in lines if "mapping" in line] == [
        "create the mapping from kafka:one:9092/orders as new to orders-dev-keeper",
        "remove the mapping from kafka:one:9092/orders as old to orders-dev-keeper",
    ]


def test_a_topic_of_amazon_msk_is_mapped_by_its_cluster_and_read_by_iam(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    prepared = deploy(
        tmp_path, cloud, queue("jobs", path="orders", cluster=MSK, batch_window=3, trigger_args={"seekTo": "latest"})
    )

    (mapping,) = prepared.wanted.mappings
    assert mapping.source == f"kafka:{MSK}/orders as orders-dev-keeper-consumer-group"
    assert mapping.creation == {
        "EventSourceArn": MSK,
        "Topics": ["orders"],
        "StartingPosition": "LATEST",
        "AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": "orders-dev-keeper-consumer-group"},
    }
    assert mapping.settings["MaximumBatchingWindowInSeconds"] == 3
    allowed = grants(cloud)
    assert allowed["kafka:GetBootstrapBrokers"] == [MSK]
    assert allowed["kafka-cluster:ReadData"] == [
        MSK,
        "arn:aws:kafka:eu-central-1:123456789012:group/events/1a2b-3/*",
        "arn:aws:kafka:eu-central-1:123456789012:topic/events/1a2b-3/orders",
    ]
    assert allowed["ec2:CreateNetworkInterface"] == ["*"]
    assert allowed["sqs:SendMessage"] == [f"{SQS}:orders-dev-jobs-dead"]


def test_a_topic_with_pollers_of_its_own_has_retries_and_names_what_failed(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    prepared = deploy(tmp_path, cloud, queue("jobs", path="kafka://one:9092/orders", pollers=4, max_receives=6))

    (mapping,) = prepared.wanted.mappings
    assert mapping.settings["ProvisionedPollerConfig"] == {"MinimumPollers": 1, "MaximumPollers": 4}
    assert mapping.settings["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (mapping.settings["BisectBatchOnFunctionError"], mapping.settings["MaximumRetryAttempts"]) == (True, 5)
    assert cloud.functions["orders-dev-keeper"].latest.configuration.environment["FNKIT_KAFKA_REPORTS"] == "orders"
    assert "FNKIT_KAFKA_REPORTS" not in cloud.functions["orders-dev-orders"].latest.configuration.environment


def test_more_pollers_than_lambda_keeps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match="pollers is 2001, Lambda keeps at most 2000"):
        ready(tmp_path, InMemoryCloud(), queue("jobs", path="kafka://one:9092/orders", pollers=2001))


def test_what_lambda_adds_to_a_mapping_is_no_difference(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud, queue("jobs", path="kinesis://orders"))
    (made,) = cloud.sources["orders-dev-keeper"]
    answered = {**made.settings, "DestinationConfig": {"OnSuccess": {}, **made.settings["DestinationConfig"]}, "State": "Enabled"}  # type: ignore[dict-item]  # it is a mapping
    cloud.sources["orders-dev-keeper"] = (replace(made, settings=answered),)

    assert ready(tmp_path, cloud, queue("jobs", path="kinesis://orders")).plan.actions == ()


def test_a_window_and_an_age_that_are_no_longer_asked_for_are_taken_back(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud, queue("jobs", batch_window=5, retention_in_hours=1))

    deploy(tmp_path, cloud, queue("jobs"))

    assert cloud.sources["orders-dev-keeper"][0].settings["MaximumBatchingWindowInSeconds"] == 0
    assert cloud.queues["orders-dev-jobs"]["MessageRetentionPeriod"] == "1209600"


@pytest.mark.parametrize(
    ("mechanism", "access"),
    [("PLAIN", "BASIC_AUTH"), ("SCRAM-SHA-256", "SASL_SCRAM_256_AUTH"), ("SCRAM-SHA-512", "SASL_SCRAM_512_AUTH")],
)
def test_credentials_reach_a_mapping_by_the_arn_of_their_secret(tmp_path: Path, mechanism: str, access: str) -> None:
    cloud = InMemoryCloud()
    build = fake_build(
        tmp_path, graph(queue("jobs", path="kafka://one:9092/orders", credentials="KAFKA", sasl_mechanism=mechanism))
    )

    prepared = prepare(build, cloud, Wishes(secrets={"KAFKA": SECRET}))
    carry_out(prepared, cloud, Reports(lambda action: None, lambda name, sent, total: None))

    assert prepared.wanted.mappings[0].settings["SourceAccessConfigurations"] == [{"Type": access, "URI": SECRET}]
    assert cloud.functions["orders-dev-orders"].latest.configuration.environment["KAFKA"] == SECRET
    assert grants(cloud)["secretsmanager:GetSecretValue"] == [SECRET]
    decrypting = next(grant for grant in statements(cloud) if grant["Action"] == ["kms:Decrypt"])
    assert decrypting["Condition"] == {
        "StringEquals": {
            "kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com",
            "kms:EncryptionContext:SecretARN": [SECRET],
        }
    }


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ({}, "environment variable KAFKA is not set: set it to the ARN of a secret"),
        ({"KAFKA": '{"username": "me", "password": "hidden"}'}, "environment variable KAFKA holds no ARN of a secret"),
        ({"KAFKA": SECRET.replace("eu-central-1", "eu-west-1")}, "environment variable KAFKA names a secret in eu-west-1"),
        ({"KAFKA": SECRET + "x" * 200}, "environment variable KAFKA has 2.. characters, an event source mapping takes 200"),
    ],
)
def test_credentials_that_a_mapping_cannot_use_are_refused_and_not_shown(
    tmp_path: Path, secrets: dict[str, str], message: str
) -> None:
    build = fake_build(tmp_path, graph(queue("jobs", path="kafka://one:9092/orders", credentials="KAFKA")))

    with pytest.raises(ProblemsError, match=f"queue 'jobs': {message}") as raised:
        prepare(build, InMemoryCloud(), Wishes(secrets=secrets))

    assert "hidden" not in raised.value.explain()


def test_credentials_without_encryption_are_refused(tmp_path: Path) -> None:
    args = {"path": "kafka://one:9092/orders", "credentials": "KAFKA", "security_protocol": "SASL_PLAINTEXT"}

    with pytest.raises(ProblemsError, match="Lambda sends credentials over TLS only: use security_protocol='SASL_SSL'"):
        prepare(fake_build(tmp_path, graph(queue("jobs", **args))), InMemoryCloud(), Wishes(secrets={"KAFKA": SECRET}))


def test_secrets_are_looked_for_in_the_functions_first_and_then_in_the_environment() -> None:
    manifest = graph(*(queue(name, path="kafka://one:9092/orders", credentials=name.upper()) for name in ("a", "b", "c")))
    functions = tuple(replace(function, environment={"A": "of functions"}) for function in manifest.functions)

    found = find_secrets(replace(manifest, functions=functions), {"A": "here", "B": "here", "OTHER": "not asked for"})

    assert found == {"A": "of functions", "B": "here"}


@pytest.mark.parametrize(
    "args",
    [
        {"path": ""},
        {"path": "", "sharding_func": "customer"},
        {"path": "sqs://theirs"},
        {"path": "kinesis://stream"},
        {"path": "kafka://one:9092/orders", "credentials": "KAFKA"},
        {"path": "orders", "cluster": MSK},
        {"path": "orders", "cluster": MSK, "pollers": 9},
    ],
)
def test_lambda_takes_every_argument_of_every_kind_of_mapping(tmp_path: Path, args: dict[str, object]) -> None:
    client = boto3.client("lambda", region_name="eu-central-1", aws_access_key_id="none", aws_secret_access_key="none")
    shapes = client.meta.service_model
    build = fake_build(tmp_path, graph(queue("jobs", **args)))

    (mapping,) = prepare(build, InMemoryCloud(), Wishes(secrets={"KAFKA": SECRET})).wanted.mappings

    target = {"FunctionName": f"{mapping.name}:1", **mapping.settings}
    for operation, arguments in (
        ("CreateEventSourceMapping", {**target, **mapping.creation}),
        ("UpdateEventSourceMapping", {"UUID": str(UUID(int=1)), **target}),
    ):
        report = ParamValidator().validate(arguments, shapes.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize(
    ("path", "arn"),
    [
        ("sqs://theirs", f"{SQS}:theirs"),
        ("https://sqs.us-east-2.amazonaws.com/210987654321/theirs.fifo", "arn:aws:sqs:us-east-2:210987654321:theirs.fifo"),
        ("https://eu-west-1.queue.amazonaws.com/210987654321/theirs", "arn:aws:sqs:eu-west-1:210987654321:theirs"),
        ("http://sqs.localhost:4566/000000000000/theirs", f"{SQS}:theirs"),
    ],
)
def test_an_sqs_queue_is_read_where_its_url_says_that_it_is(tmp_path: Path, path: str, arn: str) -> None:
    prepared = ready(tmp_path, InMemoryCloud(), queue("jobs", path=path))

    assert prepared.wanted.mappings[0].source == arn
    assert prepared.wanted.queues == ()


def test_names_that_sqs_does_not_take_are_refused_all_at_once(tmp_path: Path) -> None:
    long = queue("n" * 70)
    twins = (queue("jobs", path="kafka://one:9092/a"), queue("jobs!", path="kafka://one:9092/b"))
    number = "queues cannot be addressed: 'nobody' is no number of an AWS account"

    with pytest.raises(ProblemsError) as raised:
        prepare(fake_build(tmp_path, graph(long, *twins)), Elsewhere(), Wishes())

    said = raised.value.explain()
    assert f"'orders-dev-{'n' * 70}' has 81 characters, the name of an SQS queue at most 80" in said
    assert f"'orders-dev-{'n' * 70}-dead' has 86 characters" in said
    assert "queues 'jobs' and 'jobs!' would both be the SQS queue 'orders-dev-jobs-dead'" in said
    assert number in said


def test_a_batch_that_lambda_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match="batch_size is 10001, Lambda takes at most 10000"):
        ready(tmp_path, InMemoryCloud(), queue("jobs", batch_size=10_001))


@pytest.mark.parametrize(
    ("args", "warning"),
    [
        ({"sharding_func": "customer", "batch_size": 50}, "batches of 10, not 50"),
        ({"sharding_func": "customer", "batch_window": 2}, "batch_window is not used"),
        ({"max_concurrency": 1}, "up to 2 batches at once, not 1"),
        ({"retention_in_hours": 500}, "messages are kept for 14 days"),
        ({"path": "kafka://one:9092/orders"}, "comes again as a whole, ten times; then 'jobs-dead' holds its offsets"),
        (
            {"path": "kafka://one:9092/orders", "kafka_producer_options": {"ssl_cafile": "ca.pem"}},
            "ssl.ca.location hold for what functions send",
        ),
        ({"path": "kafka://one:9092/orders", "shards": 4}, "shards and retention are those that its topic was made with"),
        ({"path": "kinesis://orders", "retention_in_hours": 4}, "shards and retention are those that its stream was made with"),
        ({"path": "kafka://localhost:9092/orders"}, "broker 'localhost:9092' is this machine"),
        ({"path": "orders", "cluster": MSK}, "a cluster of Amazon MSK is reached from inside its network only"),
    ],
)
def test_what_aws_does_otherwise_is_said(args: dict[str, object], warning: str) -> None:
    assert any(warning in said for said in find_warnings(graph(queue("jobs", **args))))


def test_a_plain_queue_needs_no_warning() -> None:
    assert list(find_warnings(graph(queue("jobs", batch_size=100, batch_window=5, max_concurrency=8)))) == []
    assert list(find_warnings(graph(queue("jobs", path="kafka://one:9092/orders", pollers=1)))) == []


def test_a_kinesis_stream_has_retries_and_a_place_for_what_fails(tmp_path: Path) -> None:
    prepared = ready(tmp_path, InMemoryCloud(), queue("jobs", path="kinesis://orders", max_receives=4))

    (mapping,) = prepared.wanted.mappings
    assert mapping.source == "arn:aws:kinesis:eu-central-1:123456789012:stream/orders"
    assert mapping.settings["MaximumRetryAttempts"] == 3
    assert [queue.name for queue in prepared.wanted.queues] == ["orders-dev-jobs-dead"]


def test_a_queue_that_cannot_wake_a_function_on_aws_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"queue 'jobs' \(v3io\) cannot wake function 'keeper' on AWS"):
        ready(tmp_path, InMemoryCloud(), queue("jobs", path="v3io:///projects/orders"))


def test_a_queue_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    cloud.queues["orders-dev-jobs"] = {}
    cloud.tags_of_queues["orders-dev-jobs"] = {"team": "billing"}

    with pytest.raises(DeployError, match="not made by this deployment, though it has the name: orders-dev-jobs"):
        ready(tmp_path, cloud, queue("jobs"))


def test_what_a_stack_made_is_left_to_the_stack(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud, queue("jobs"))
    made = cloud.functions["orders-dev-keeper"]
    cloud.functions["orders-dev-keeper"] = replace(made, tags={**made.tags, "aws:cloudformation:stack-name": "orders-dev"})

    with pytest.raises(DeployError, match="stage dev of orders belongs to the CloudFormation stack orders-dev"):
        ready(tmp_path, cloud, queue("jobs"))


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
