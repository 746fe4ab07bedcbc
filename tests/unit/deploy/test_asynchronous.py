"""What a deployment says about asynchronous events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.validate import ParamValidator

from fnkit.deploy import Prepared, Reports, Wishes, carry_out, prepare
from fnkit.deploy.asynchronous import AsyncWishes
from fnkit.deploy.choices import Choices, choose
from fnkit.deploy.cloudformation import make_stack
from fnkit.deploy.state import Asynchronous
from fnkit.errors import ProblemsError
from fnkit.functions import place
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit.project import Settings
from tests.fakes.builds import fake_build, manifest
from tests.fakes.cloud import InMemoryCloud

ENTRY = "chat-dev-chat"
OWN = "arn:aws:sqs:eu-central-1:123456789012:chat-dev-asynchronous-dead"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:failures"
SAID = AsyncWishes(retries=1, max_age_s=600, failures="queue")


def deploy(folder: Path, cloud: InMemoryCloud, said: AsyncWishes) -> Prepared:
    prepared = prepare(fake_build(folder), cloud, Wishes(asynchronous=said))
    carry_out(prepared, cloud, Reports(lambda action: None, lambda name, sent, total: None))
    return prepared


def grants(cloud: InMemoryCloud) -> Any:  # as JSON
    policy = cloud.roles["chat-dev-role"].policy
    assert policy is not None
    statements: Any = policy["Statement"]
    return {action: grant["Resource"] for grant in statements for action in grant["Action"]}


def test_what_is_given_up_goes_to_a_queue_of_the_deployment_once_the_alias_stands(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    deploy(tmp_path, cloud, SAID)

    steps = (f"create {ENTRY}", f"alias {ENTRY} 1", f"asynchronous {ENTRY}")
    made, switched, told = map(cloud.changes.index, steps)
    assert made < switched < told
    assert cloud.functions[ENTRY].asynchronous == Asynchronous(1, 600, OWN)
    assert cloud.queues["chat-dev-asynchronous-dead"] == {"MessageRetentionPeriod": "1209600"}
    assert grants(cloud)["sqs:SendMessage"] == [OWN]


def test_a_second_run_plans_nothing_and_a_change_changes_that_alone(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud, SAID)

    again = prepare(fake_build(tmp_path), cloud, Wishes(asynchronous=SAID)).plan
    longer = prepare(fake_build(tmp_path), cloud, Wishes(asynchronous=replace(SAID, max_age_s=700))).plan

    assert again.actions == ()
    assert longer.lines() == (f"try asynchronous events of {ENTRY} again: 1 retry within 700 s, then to {OWN}",)


def test_what_is_not_said_is_left_as_it_is(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud, AsyncWishes())
    somebody = Asynchronous(0, 60, TOPIC)
    cloud.functions[ENTRY] = replace(cloud.functions[ENTRY], asynchronous=somebody)

    deploy(tmp_path, cloud, AsyncWishes())

    assert cloud.functions[ENTRY].asynchronous == somebody
    assert cloud.queues == {}
    assert deploy(tmp_path, cloud, AsyncWishes(retries=2)).plan.lines() == (
        f"try asynchronous events of {ENTRY} again: 2 retries within 21600 s",
    )


@pytest.mark.parametrize(
    ("arn", "action"),
    [
        ("arn:aws:sqs:eu-central-1:123456789012:failures", "sqs:SendMessage"),
        (TOPIC, "sns:Publish"),
        ("arn:aws:lambda:eu-central-1:123456789012:function:failed", "lambda:InvokeFunction"),
        ("arn:aws:events:eu-central-1:123456789012:event-bus/failures", "events:PutEvents"),
    ],
)
def test_a_destination_of_somebody_else_is_used_and_the_role_may_send_there(arn: str, action: str, tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    deploy(tmp_path, cloud, AsyncWishes(failures=arn))

    statements: Any = cloud.roles["chat-dev-role"].policy
    assert {"Effect": "Allow", "Action": [action], "Resource": [arn]} in statements["Statement"]
    assert cloud.functions[ENTRY].asynchronous == Asynchronous(on_failure=arn)
    assert cloud.queues == {}


def test_what_lambda_would_not_take_is_told_at_once(tmp_path: Path) -> None:
    steps = (Step("take", handler="app:take"), Step("asynchronous", kind="queue", args={"path": ""}, after=("take",)))
    graph = place(Manifest("g", Flow(steps), functions=(Function("g", "entry"),), python="3.11"), "step")

    wrong = AsyncWishes(retries=3, max_age_s=21_601, failures="quue")

    with pytest.raises(ProblemsError) as caught:
        prepare(fake_build(tmp_path), InMemoryCloud(), Wishes(asynchronous=wrong))
    with pytest.raises(ProblemsError) as fifo:
        prepare(fake_build(tmp_path), InMemoryCloud(), Wishes(asynchronous=AsyncWishes(failures=f"{OWN}.fifo")))
    with pytest.raises(ProblemsError, match="the SQS queue g-dev-asynchronous-dead would be that of a queue of the graph too"):
        prepare(fake_build(tmp_path, graph), InMemoryCloud(), Wishes(asynchronous=SAID))

    assert [line.partition(" ")[0] for line in map(str, caught.value.problems)] == [
        "async_retries",
        "async_max_age_s",
        "async_failures",
    ]
    assert "FIFO" in str(fifo.value)


@pytest.mark.parametrize("asynchronous", [Asynchronous(), Asynchronous(0, 60, TOPIC)])
def test_lambda_takes_the_arguments(asynchronous: Asynchronous) -> None:
    client = boto3.client("lambda", region_name="eu-central-1", aws_access_key_id="none", aws_secret_access_key="none")
    shape = client.meta.service_model.operation_model("PutFunctionEventInvokeConfig").input_shape

    report = ParamValidator().validate({"FunctionName": ENTRY, "Qualifier": "live", **asynchronous.arguments()}, shape)

    assert not report.has_errors(), report.generate_report()


def test_a_template_says_the_same(tmp_path: Path) -> None:
    document = yaml.safe_load(make_stack(fake_build(tmp_path), Wishes(asynchronous=SAID)).text)

    events = document["Resources"]["AsynchronousEvents"]
    (queue,) = (name for name, item in document["Resources"].items() if item["Type"] == "AWS::SQS::Queue")
    assert events["Type"] == "AWS::Lambda::EventInvokeConfig"
    assert events["DependsOn"] == "LiveAlias"
    assert events["Properties"] == {
        "FunctionName": {"Ref": "chatFunction"},
        "Qualifier": "live",
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 600,
        "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": [queue, "Arn"]}}},
    }
    policy = document["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]
    sending = [grant["Resource"] for grant in policy["Statement"] if "sqs:SendMessage" in grant["Action"]]
    assert sending == [[{"Fn::GetAtt": [queue, "Arn"]}]]
    assert "AsynchronousEvents" not in make_stack(fake_build(tmp_path), Wishes()).text


def test_the_settings_of_a_project_say_it() -> None:
    settings = Settings(async_retries=0, async_max_age_s=90, async_failures="queue")

    assert choose(Choices(), settings, manifest(), {}).asynchronous == AsyncWishes(0, 90, "queue")
    assert choose(Choices(), Settings(), manifest(), {}).asynchronous == AsyncWishes()
