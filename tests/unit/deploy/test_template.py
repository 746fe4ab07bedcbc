"""Templates of deployments, as documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.api import ManualArgs  # type: ignore[import-untyped]  # it has no types
from cfnlint.api import lint as run_lint
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.bundle import Build
from fnkit.deploy import Wishes, prepare
from fnkit.deploy.asynchronous import AsyncWishes
from fnkit.deploy.cloudformation import make_stack
from fnkit.errors import DeployError, ProblemsError
from fnkit.functions import place
from fnkit.manifest import Flow, Function, Manifest, Step
from tests.fakes.builds import fake_build, manifest
from tests.fakes.cloud import ACCOUNT, InMemoryCloud

MSK = "arn:aws:kafka:eu-central-1:123456789012:cluster/events/1a2b-3"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:AmazonMSK_orders-a1b2c3"
QUEUES: dict[str, dict[str, object]] = {
    "local": {"path": "", "batch_size": 50},
    "ordered": {"path": "", "sharding_func": "customer", "retention_in_hours": 5},
    "theirs": {"path": "sqs://theirs"},
    "stream": {"path": "kinesis://ticks", "batch_window": 3, "max_receives": 7},
    "topic": {"path": "kafka://one:9092,two:9092/orders", "group": "g"},
    "secret-topic": {"path": "kafka://one:9092/orders", "credentials": "KAFKA", "sasl_mechanism": "SCRAM-SHA-256"},
    "msk": {"path": "orders", "cluster": MSK},
    "polled": {"path": "kafka://one:9092/orders", "pollers": 3},
    "msk-secret": {"path": "orders", "cluster": MSK, "credentials": "MSK_ACCESS"},
}


def queues_graph(queues: Mapping[str, Mapping[str, object]] = QUEUES) -> Manifest:
    """Return a placed graph with each of *queues* read by a function of its own."""
    steps = [Step("take", handler="app:take")]
    for name, args in queues.items():
        steps.append(Step(name, kind="queue", args=args, after=("take",)))
        steps.append(Step(f"keep-{name}", handler="app:keep", after=(name,), function=f"keeper-{name}"))
    return place(Manifest("orders", Flow(tuple(steps)), functions=(Function("orders", "entry"),), python="3.11"), "step")


def template(build: Build, wishes: Wishes | None = None) -> Any:  # as YAML reads it
    return yaml.safe_load(make_stack(build, wishes or Wishes()).text)


def lint(text: str) -> list[str]:
    """Return the errors and warnings of cfn-lint, without its advice."""
    return [str(match) for match in run_lint(text, config=ManualArgs(regions=["eu-central-1"])) if match.rule.id[0] in "EW"]


def of_kind(document: Any, kind: str) -> dict[str, Any]:
    return {name: item for name, item in document["Resources"].items() if item["Type"] == f"AWS::{kind}"}


def resolved(value: Any, document: Any) -> Any:
    """Return *value* as CloudFormation would read it in the account of the fake cloud; a version is number 1."""
    match value:
        case {"Ref": str(name)}:
            return _ref(name, document)
        case {"Fn::GetAtt": [str(name), "Arn"]} if "Queue" in name:
            queue = document["Resources"][name]["Properties"]["QueueName"]
            return f"arn:aws:sqs:{ACCOUNT.region}:{ACCOUNT.number}:{queue}"
        case {"Fn::Sub": str(text)}:
            for name, there in (("Region", ACCOUNT.region), ("AccountId", ACCOUNT.number), ("Partition", "aws")):
                text = text.replace(f"${{AWS::{name}}}", there)
            return text.replace("${AWS::URLSuffix}", "amazonaws.com")
        case dict():
            return {key: resolved(item, document) for key, item in value.items()}
        case list():
            return [resolved(item, document) for item in value]
    return value


def _ref(name: str, document: Any) -> str:
    if name in document["Parameters"]:
        return f"parameter {name}"
    found = document["Resources"][name]
    return (
        f"{resolved(found['Properties']['FunctionName'], document)}:1"
        if "Version" in name
        else found["Properties"]["FunctionName"]
    )


def test_all_kinds_of_queues_make_a_template_without_a_fault(tmp_path: Path) -> None:
    stack = make_stack(fake_build(tmp_path, queues_graph()), Wishes(public=True, asynchronous=AsyncWishes(1, 600, "queue")))

    assert lint(stack.text) == []


def test_a_linter_that_finds_nothing_finds_what_is_wrong(tmp_path: Path) -> None:
    text = make_stack(fake_build(tmp_path), Wishes()).text

    assert lint(text.replace("MemorySize", "MemorySise")) != []


def test_mappings_say_what_the_deployer_tells_lambda(tmp_path: Path) -> None:
    build = fake_build(tmp_path, queues_graph())
    secrets = {"KAFKA": SECRET, "MSK_ACCESS": SECRET}

    document = template(build, Wishes(secrets=secrets))
    wanted = prepare(build, InMemoryCloud(), Wishes(secrets=secrets)).wanted

    found = [resolved(item["Properties"], document) for item in of_kind(document, "Lambda::EventSourceMapping").values()]
    for mapping, properties in zip(wanted.mappings, found, strict=True):
        expected = {"FunctionName": f"{mapping.name}:1", **mapping.creation, **mapping.settings}
        if "SelfManagedEventSource" in expected:
            expected["SelfManagedEventSource"] = {
                "Endpoints": {"KafkaBootstrapServers": expected["SelfManagedEventSource"]["Endpoints"]["KAFKA_BOOTSTRAP_SERVERS"]}  # type: ignore[index]  # made so
            }
        assert properties == expected


def test_the_role_and_the_variables_are_those_of_the_deployer(tmp_path: Path) -> None:
    build = fake_build(tmp_path, queues_graph({"jobs": {"path": ""}, "stream": {"path": "kinesis://ticks"}}))

    document = template(build)
    wanted = prepare(build, InMemoryCloud(), Wishes()).wanted

    assert wanted.role is not None
    (policy,) = document["Resources"]["Role"]["Properties"]["Policies"]
    assert resolved(policy["PolicyDocument"], document) == wanted.role.policy
    variables = document["Resources"]["ordersFunction"]["Properties"]["Environment"]["Variables"]
    assert resolved(variables["FNKIT_QUEUE_URLS"], document) == wanted.entry.configuration.environment["FNKIT_QUEUE_URLS"]


def test_nothing_of_an_account_is_in_a_template(tmp_path: Path) -> None:
    text = make_stack(fake_build(tmp_path, queues_graph({"jobs": {"path": ""}})), Wishes()).text

    assert "${AWS::AccountId}" in text
    assert "[[fnkit" not in text
    assert ACCOUNT.number not in text


def test_the_same_graph_makes_the_same_text(tmp_path: Path) -> None:
    build = fake_build(tmp_path, queues_graph())

    texts = {make_stack(build, Wishes(public=True)).text for _ in range(3)}

    assert len(texts) == 1
    assert "&id" not in texts.pop()  # CloudFormation reads no anchors


def test_new_code_makes_a_new_version_of_that_function_and_of_the_entry_function_which_pins_it(tmp_path: Path) -> None:
    before = of_kind(template(fake_build(tmp_path)), "Lambda::Version")

    after = of_kind(template(fake_build(tmp_path, contents={"greet": b"changed"})), "Lambda::Version")

    assert {name.partition("Version")[0] for name in set(after) - set(before)} == {"greet", "chat"}
    assert all(version["DeletionPolicy"] == "RetainExceptOnCreate" for version in after.values())


def test_a_changed_setting_makes_a_new_version_too(tmp_path: Path) -> None:
    before = of_kind(template(fake_build(tmp_path)), "Lambda::Version")

    after = of_kind(template(fake_build(tmp_path), Wishes(stream_runtime="wrapper")), "Lambda::Version")

    assert not set(after) & set(before)


def test_the_entry_function_is_told_the_versions_by_reference(tmp_path: Path) -> None:
    document = template(fake_build(tmp_path))

    versions = document["Resources"]["chatFunction"]["Properties"]["Environment"]["Variables"]["FNKIT_VERSIONS"]["Fn::Sub"]
    greet, shout = (
        next(name for name in document["Resources"] if name.startswith(f"{word}Version")) for word in ("greet", "shout")
    )
    assert versions == f'{{"greet": "${{{greet}.Version}}", "shout": "${{{shout}.Version}}"}}'


def test_what_stands_on_the_alias_waits_for_it(tmp_path: Path) -> None:
    document = template(fake_build(tmp_path, queues_graph({"jobs": {"path": ""}})), Wishes(public=True))

    assert document["Resources"]["Url"]["DependsOn"] == "LiveAlias"
    assert [item["DependsOn"] for item in of_kind(document, "Lambda::EventSourceMapping").values()] == ["LiveAlias"]
    permissions = of_kind(document, "Lambda::Permission").values()
    assert [item["Properties"]["FunctionName"] for item in permissions] == [{"Ref": "LiveAlias"}] * 2
    assert {item["Properties"]["Action"] for item in permissions} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}


def test_a_private_graph_has_no_permission_for_everyone(tmp_path: Path) -> None:
    document = template(fake_build(tmp_path, manifest(streaming=True)))

    assert of_kind(document, "Lambda::Permission") == {}
    assert document["Resources"]["Url"]["Properties"]["AuthType"] == "AWS_IAM"
    assert document["Resources"]["Url"]["Properties"]["InvokeMode"] == "RESPONSE_STREAM"


def test_queues_keep_their_messages_when_they_leave_the_stack(tmp_path: Path) -> None:
    document = template(fake_build(tmp_path, queues_graph({"jobs": {"path": "", "sharding_func": "customer"}})))

    dead, queue = of_kind(document, "SQS::Queue").values()
    for one in (dead, queue):
        assert (one["DeletionPolicy"], one["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert queue["Properties"]["FifoQueue"] is True
    assert queue["Properties"]["VisibilityTimeout"] == 360


def test_a_given_role_is_used_and_none_is_made(tmp_path: Path) -> None:
    role = "arn:aws:iam::123456789012:role/mine"

    document = template(fake_build(tmp_path), Wishes(role=role))

    assert of_kind(document, "IAM::Role") == {}
    assert {item["Properties"]["Role"] for item in of_kind(document, "Lambda::Function").values()} == {role}


def test_a_secret_that_is_not_known_yet_is_a_parameter(tmp_path: Path) -> None:
    build = fake_build(tmp_path, queues_graph({"topic": {"path": "kafka://one:9092/orders", "credentials": "KAFKA_ACCESS"}}))

    unknown, known = template(build), template(build, Wishes(secrets={"KAFKA_ACCESS": SECRET}))

    (parameter,) = set(unknown["Parameters"]) - {"CodeBucket"}
    (mapping,) = of_kind(unknown, "Lambda::EventSourceMapping").values()
    assert mapping["Properties"]["SourceAccessConfigurations"] == [{"Type": "BASIC_AUTH", "URI": {"Ref": parameter}}]
    assert "Default" not in unknown["Parameters"][parameter]
    assert set(known["Parameters"]) == {"CodeBucket"}


def test_credentials_themselves_are_refused_here_too(tmp_path: Path) -> None:
    build = fake_build(tmp_path, queues_graph({"topic": {"path": "kafka://one:9092/orders", "credentials": "KAFKA"}}))

    with pytest.raises(ProblemsError, match="KAFKA holds no ARN of a secret"):
        make_stack(build, Wishes(secrets={"KAFKA": '{"username": "a", "password": "b"}'}))


def test_another_group_of_a_topic_is_another_mapping(tmp_path: Path) -> None:
    ids = [
        set(
            of_kind(template(fake_build(tmp_path, queues_graph({"t": {"path": "kafka://one:9092/o", "group": group}}))), _MAPPING)
        )
        for group in ("old", "new", "old")
    ]

    assert ids[0] == ids[2]
    assert not ids[0] & ids[1]


_MAPPING = "Lambda::EventSourceMapping"


def test_a_given_bucket_is_the_default(tmp_path: Path) -> None:
    assert template(fake_build(tmp_path), Wishes(bucket="ours"))["Parameters"]["CodeBucket"]["Default"] == "ours"


def many(count: int) -> Manifest:
    steps = tuple(Step(f"s{n}", handler="app:run", after=(f"s{n - 1}",) if n else (), function=f"f{n}") for n in range(count))
    return place(Manifest("wide", Flow(steps), functions=(Function("wide", "entry"),), python="3.11"), "step")


def test_a_graph_of_too_many_functions_for_a_stack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="503 resources, CloudFormation takes 500 in a template") as raised:
        make_stack(fake_build(tmp_path, many(248)), Wishes(public=True))

    assert "--placement fused" in raised.value.hint


def test_a_graph_of_too_many_outputs_for_a_stack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="202 outputs, CloudFormation takes 200 in a template"):
        make_stack(fake_build(tmp_path, many(200)), Wishes())


def test_a_template_that_is_too_large_is_refused(tmp_path: Path) -> None:
    graph = many(150)
    functions = tuple(replace(function, environment={"DELETES": "\x7f" * 2900}) for function in graph.functions)

    with pytest.raises(DeployError, match=r"the template has 1\d{6} bytes, CloudFormation takes 1000000"):
        make_stack(fake_build(tmp_path, replace(graph, functions=functions)), Wishes())


@settings(max_examples=15, deadline=None)
@given(
    names=st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}[A-Za-z0-9]", fullmatch=True), min_size=1, max_size=6, unique=True)
)
def test_logical_ids_are_letters_and_digits_and_never_shared(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    steps = tuple(
        Step(f"s{n}", handler="app:run", after=(f"s{n - 1}",) if n else (), function=name) for n, name in enumerate(names)
    )
    graph = place(Manifest("g", Flow(steps), functions=(Function("g", "entry"),), python="3.11"), "step")

    document = template(fake_build(tmp_path_factory.mktemp("ids"), graph))

    assert all(name.isascii() and name.isalnum() and len(name) <= 255 for name in (*document["Resources"], *document["Outputs"]))
    assert len(of_kind(document, "Lambda::Function")) == len(graph.functions)
