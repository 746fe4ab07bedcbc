"""A local queue that was deployed, under Amazon's Runtime Interface Emulator: an SQS queue, for which no package need be installed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import boto3
import pytest

from tests.contract.hosts import environment, managed_command, own_command
from tests.fakes.moto_cloud import moto_cloud
from tests.fakes.queue_load import build_orders
from tests.fakes.rie import running_rie

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The entry function of the queue's graph, unpacked as in /var/task."""
    built = build_orders(tmp_path / "build", "")
    task = tmp_path / "task"
    with zipfile.ZipFile(built / "orders.zip") as archive:
        archive.extractall(task)
    (task / "fnkit-bootstrap").chmod(0o755)
    return task


@pytest.mark.parametrize("way", ["wrapper", "patch"])
def test_an_event_reaches_the_sqs_queue_that_stands_for_a_local_one(way: str, rie: Path, bundle: Path, tmp_path: Path) -> None:
    with moto_cloud() as cloud:
        sqs = boto3.client(
            "sqs", region_name="eu-west-1", endpoint_url=cloud, aws_access_key_id="test", aws_secret_access_key="test"
        )
        url = sqs.create_queue(QueueName="orders-dev-jobs")["QueueUrl"]
        urls = json.dumps({"jobs": url})
        environ = environment(bundle, "", FNKIT_QUEUE_URLS=urls, AWS_ENDPOINT_URL=cloud, FNKIT_RESPONSE_MODE="buffered", **KEYS)
        if way == "patch":
            environ["PYTHONPATH"] = str(bundle)
        command = own_command(bundle) if way == "wrapper" else managed_command()
        with running_rie(rie, command, environ, bundle, tmp_path / "log") as server:
            answers = [server.call({"key": "k", "n": number}) for number in range(2)]
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]

    assert [answer.status for answer in answers] == [200, 200]
    assert sorted(json.loads(message["Body"])["body"]["n"] for message in received) == [0, 1]
