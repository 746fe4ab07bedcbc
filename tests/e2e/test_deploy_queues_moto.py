"""Queues deployed to moto's server: SQS queues with redrive policies, mappings of published versions, nothing to do the second time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.fakes.moto_cloud import moto_cloud
from tests.fakes.queue_load import build_orders

REGION = "eu-central-1"


@pytest.fixture
def endpoint() -> Iterator[str]:
    with moto_cloud() as url:
        yield url


def client(service: str, endpoint: str) -> Any:  # boto3 has no types
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, region_name=REGION, endpoint_url=endpoint, **keys)


def deploy(built: Path, endpoint: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
    command = [sys.executable, "-m", "fnkit", "deploy", str(built), "--endpoint-url", endpoint, "--region", REGION]
    return subprocess.run(command, check=False, env=environ, cwd=cwd, capture_output=True, text=True, timeout=100)


def mappings(endpoint: str) -> list[dict[str, Any]]:
    return list(client("lambda", endpoint).list_event_source_mappings()["EventSourceMappings"])


def test_a_local_queue_is_made_mapped_and_left_alone_the_second_time(tmp_path: Path, endpoint: str) -> None:
    built = build_orders(tmp_path / "build", "", max_receives=4)

    first = deploy(built, endpoint)
    (mapping,) = mappings(endpoint)
    again = deploy(built, endpoint)

    sqs = client("sqs", endpoint)
    url = sqs.get_queue_url(QueueName="orders-dev-jobs.fifo")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert first.returncode == 0, first.stderr
    assert again.returncode == 0, again.stderr
    assert json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] == 4
    assert mapping["EventSourceArn"].endswith(":orders-dev-jobs.fifo")
    assert mapping["FunctionArn"].endswith(":orders-dev-keeper:1")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert [one["UUID"] for one in mappings(endpoint)] == [mapping["UUID"]]
    assert "queue" not in again.stdout + again.stderr


def test_a_kinesis_stream_is_mapped_with_a_destination_for_failures(tmp_path: Path, endpoint: str) -> None:
    client("kinesis", endpoint).create_stream(StreamName="orders", ShardCount=1)
    built = build_orders(tmp_path / "build", "kinesis://orders")

    done = deploy(built, endpoint)

    (mapping,) = mappings(endpoint)
    assert done.returncode == 0, done.stderr
    assert mapping["EventSourceArn"].endswith(":stream/orders")


def test_asynchronous_events_that_are_given_up_go_to_a_queue_where_the_settings_say_so(tmp_path: Path, endpoint: str) -> None:
    built = build_orders(tmp_path / "build", "")
    (tmp_path / "pyproject.toml").write_text('[tool.fnkit]\nasync_retries = 1\nasync_failures = "queue"\n')

    first, again = (deploy(built, endpoint, tmp_path) for _ in range(2))

    assert first.returncode == 0, first.stderr
    config = client("lambda", endpoint).get_function_event_invoke_config(FunctionName="orders-dev-orders", Qualifier="live")
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (1, 21_600)
    queue = "orders-dev-asynchronous-dead"
    assert config["DestinationConfig"]["OnFailure"]["Destination"].endswith(f":{queue}")
    assert client("sqs", endpoint).get_queue_url(QueueName=queue)["QueueUrl"]
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout + again.stderr
