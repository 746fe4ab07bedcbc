"""A FIFO queue of SQS from the sender to the function behind it: order in each group, and a failing group holds up itself alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.fakes.moto_cloud import moto_cloud
from tests.fakes.patience import wait_until
from tests.fakes.queue_load import Event, build_orders, hosted

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@pytest.fixture
def cloud() -> Iterator[str]:
    with moto_cloud() as url:
        yield url


def client(endpoint: str) -> Any:  # boto3 has no types
    return boto3.client(
        "sqs", region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
    )


def create_fifo(sqs: Any, name: str, **attributes: str) -> str:
    created = sqs.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true", **attributes})
    return str(created["QueueUrl"])


def group(events: list[Event], key: str) -> list[int]:
    return [number for one, number in dict.fromkeys(events) if one == key]


def test_a_group_keeps_its_order_and_a_failing_one_holds_up_itself_alone(tmp_path: Path, cloud: str) -> None:
    sqs = client(cloud)
    graves = create_fifo(sqs, "graves")
    arn = sqs.get_queue_attributes(QueueUrl=graves, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
    url = create_fifo(sqs, "orders", RedrivePolicy=redrive, VisibilityTimeout="20")
    built = build_orders(tmp_path / "build", "sqs://orders.fifo", batch_size=1)  # SQS counts a receive for all of a batch
    shell = {**KEYS, "AWS_ENDPOINT_URL": cloud}  # the functions get these, as their queue is on AWS

    with hosted(built, tmp_path, environ=shell) as host:
        for number in range(6):
            for key in ("bad", "good"):
                assert host.post({"key": key, "n": number, "poison": (key, number) == ("bad", 2)}) == 200
        wait_until(lambda: len(group(host.lines(), "good")) == 6, "the good group to be kept")
        wait_until(lambda: len(group(host.lines(), "bad")) == 5, "the rest of the bad group to be kept")
        lines = host.lines()
        buried = sqs.receive_message(QueueUrl=graves, MessageSystemAttributeNames=["All"])["Messages"]
        left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    assert group(lines, "good") == list(range(6))
    assert group(lines, "bad") == [number for number in range(6) if number != 2]
    assert [json.loads(message["Body"])["body"]["n"] for message in buried] == [2]
    assert buried[0]["Attributes"]["MessageGroupId"] == "bad"
    assert buried[0]["Attributes"]["MessageDeduplicationId"]
    assert left["ApproximateNumberOfMessages"] == "0"
