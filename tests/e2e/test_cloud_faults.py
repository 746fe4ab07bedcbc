"""SQS and Kinesis under faults, on moto's server: what was accepted is processed or buried, with only the path of the queue changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.fakes.moto_cloud import moto_process
from tests.fakes.patience import wait_until
from tests.fakes.queue_load import Load, Report, build_orders, hosted, settle

COUNTS = [100, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])]


@pytest.fixture
def sqs_cloud() -> Iterator[str]:
    """moto's server, as an endpoint."""
    with moto_process() as url:
        yield url


@pytest.fixture
def kinesis_cloud() -> Iterator[str]:
    """moto's server, as an endpoint, that takes one request after the other."""
    with moto_process(threads=False) as url:
        yield url


def client(service: str, endpoint: str) -> Any:  # boto3 has no types
    return boto3.client(
        service, region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
    )


@pytest.mark.parametrize("count", COUNTS)
def test_sqs_loses_nothing_when_workers_and_the_emulator_are_killed(
    tmp_path: Path, sqs_cloud: str, count: int, record_testsuite_property: Report
) -> None:
    sqs = client("sqs", sqs_cloud)
    graves = _orders_with_graves(sqs, receives=8, visibility_s=2)
    built = build_orders(tmp_path / "build", "sqs://orders")

    with hosted(built, tmp_path, "--env", "CRASH=0.01", *_reaching(sqs_cloud)) as host:
        load = Load(host, count)
        load.begin()
        load.wait_until_accepted(count // 2)
        host.kill()
        host.start()
        settle(host, load, record_testsuite_property, "SQS", ordered=False)
        graves_full = _visible(sqs, graves)

    assert graves_full == 0


@pytest.mark.parametrize("count", COUNTS)
def test_kinesis_loses_nothing_when_workers_and_the_emulator_are_killed(
    tmp_path: Path, kinesis_cloud: str, count: int, record_testsuite_property: Report
) -> None:
    client("kinesis", kinesis_cloud).create_stream(StreamName="orders", ShardCount=2)
    built = build_orders(tmp_path / "build", "kinesis://orders", max_receives=8, batch_size=100)

    with hosted(built, tmp_path, "--env", "CRASH=0.01", *_reaching(kinesis_cloud)) as host:
        load = Load(host, count)
        load.begin()
        load.wait_until_accepted(count // 2)
        host.kill()
        host.start()
        settle(host, load, record_testsuite_property, "Kinesis", dead="jobs.dead")


def test_a_poisonous_event_goes_where_the_redrive_policy_of_sqs_says(tmp_path: Path, sqs_cloud: str) -> None:
    sqs = client("sqs", sqs_cloud)
    graves = _orders_with_graves(sqs, receives=2, visibility_s=1)
    built = build_orders(tmp_path / "build", "sqs://orders")

    with hosted(built, tmp_path, *_reaching(sqs_cloud)) as host:
        for number in range(10):
            host.post({"key": "k", "n": number, "poison": number == 5})
        wait_until(lambda: _visible(sqs, graves) == 1 and len(host.lines()) == 9, "the poisonous event to be buried")

    assert {number for _, number in host.lines()} == set(range(10)) - {5}


def test_a_poisonous_event_of_kinesis_is_a_dead_letter_and_its_shard_goes_on(tmp_path: Path, kinesis_cloud: str) -> None:
    client("kinesis", kinesis_cloud).create_stream(StreamName="orders", ShardCount=1)
    built = build_orders(tmp_path / "build", "kinesis://orders", max_receives=2)

    with hosted(built, tmp_path, *_reaching(kinesis_cloud)) as host:
        for number in range(10):
            host.post({"key": "k", "n": number, "poison": number == 5})
        wait_until(lambda: len(host.lines()) == 9, "the neighbours of the poisonous event")

    assert host.lines() == [("k", number) for number in range(10) if number != 5]
    assert host.dead("jobs.dead") == [{"key": "k", "n": 5, "poison": True}]


def _orders_with_graves(sqs: Any, *, receives: int, visibility_s: int) -> str:
    """Make the queue `orders`, and return the URL of the queue of what it has delivered *receives* times in vain."""
    graves: str = sqs.create_queue(QueueName="graves")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=graves, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(receives)})
    sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": str(visibility_s)})
    return graves


def _reaching(cloud: str) -> tuple[str, ...]:
    return ("--env", f"AWS_ENDPOINT_URL={cloud}", "--env", "AWS_ACCESS_KEY_ID=test", "--env", "AWS_SECRET_ACCESS_KEY=test")


def _visible(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages"]
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][names[0]])
