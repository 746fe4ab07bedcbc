"""Queues under faults: every event that was accepted is processed at least once or is a dead letter, and keys keep their order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.fakes.kafka_broker import Gate, create_topic, kafka_broker
from tests.fakes.moto_cloud import moto_cloud
from tests.fakes.queue_load import Host, Load, build_orders, duplicates, hosted, lost, out_of_order, wait_until

COUNTS = [1000, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
Report = Callable[[str, object], None]


def settle(host: Host, load: Load, record: Report, *, dead: str = "jobs", ordered: bool = True) -> None:
    """Wait until everything that was accepted is accounted for, check it, and report the counts."""
    load.finish()
    wait_until(lambda: not lost(load, host.dead(dead)), "every accepted event to be processed")
    lines = host.lines()
    counts = {
        "accepted": len(load.accepted),
        "dead letters": len(host.dead(dead)),
        "duplicates": duplicates(lines),
        "attempts of senders that failed": load.refused,
    }
    for name, value in counts.items():
        record(name, value)
    print(", ".join(f"{value} {name}" for name, value in counts.items()))
    assert len(load.accepted) == load.count
    if ordered:
        assert out_of_order(lines) == []


@pytest.mark.parametrize("count", COUNTS)
def test_a_local_queue_loses_nothing_when_workers_and_the_emulator_are_killed(
    tmp_path: Path, count: int, record_property: Report
) -> None:
    built = build_orders(tmp_path / "build", "", max_receives=8)

    with hosted(built, tmp_path, "--env", "CRASH=0.01") as host:
        load = Load(host, count)
        load.begin()
        for part in (1, 2):
            load.wait_until_accepted(count * part // 3)
            host.kill()
            host.start()
        settle(host, load, record_property)


@pytest.mark.parametrize("count", COUNTS)
def test_kafka_loses_nothing_when_connections_break_and_readers_are_killed(
    tmp_path: Path, count: int, record_property: Report
) -> None:
    gate = Gate()
    with kafka_broker(advertised_port=gate.port) as broker:
        gate.open(broker)
        create_topic(gate.address, "orders")
        built = build_orders(tmp_path / "build", f"kafka://{gate.address}/orders", max_receives=8)

        with hosted(built, tmp_path, "--env", "CRASH=0.01") as host:
            load = Load(host, count)
            load.begin()
            load.wait_until_accepted(count // 4)
            gate.shut()
            gate.open(broker)
            load.wait_until_accepted(count // 2)
            host.kill()
            host.start()
            load.wait_until_accepted(3 * count // 4)
            gate.shut()
            gate.open(broker)
            settle(host, load, record_property, dead="jobs.dead")
        gate.shut()


@pytest.fixture
def cloud() -> Iterator[str]:
    """moto's server, as an endpoint."""
    with moto_cloud() as url:
        yield url


def client(service: str, endpoint: str) -> Any:  # boto3 has no types
    return boto3.client(
        service, region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
    )


def test_sqs_carries_the_same_graph_with_only_the_path_changed(tmp_path: Path, cloud: str, record_property: Report) -> None:
    sqs = client("sqs", cloud)
    graves = sqs.create_queue(QueueName="graves")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=graves, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "3"})
    sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": "2"})
    built = build_orders(tmp_path / "build", "sqs://orders")

    with hosted(built, tmp_path, "--env", "CRASH=0.01", *_reaching(cloud)) as host:
        load = Load(host, 200)
        load.begin()
        load.wait_until_accepted(100)
        host.kill()
        host.start()
        host.post({"key": "poison", "n": -1, "poison": True})
        settle(host, load, record_property, ordered=False)
        wait_until(lambda: _visible(sqs, graves) > 0, "the poisonous event to be buried")


def test_kinesis_carries_the_same_graph_with_only_the_path_changed(tmp_path: Path, cloud: str, record_property: Report) -> None:
    client("kinesis", cloud).create_stream(StreamName="orders", ShardCount=2)
    built = build_orders(tmp_path / "build", "kinesis://orders", max_receives=4)

    with hosted(built, tmp_path, "--env", "CRASH=0.01", *_reaching(cloud)) as host:
        load = Load(host, 200)
        load.begin()
        load.wait_until_accepted(100)
        host.kill()
        host.start()
        host.post({"key": "poison", "n": -1, "poison": True})
        settle(host, load, record_property, dead="jobs.dead")
        wait_until(lambda: any(body.get("poison") for body in host.dead("jobs.dead")), "the poisonous event to be buried")


def test_a_poisonous_event_is_buried_after_its_receives_and_its_neighbours_live(tmp_path: Path) -> None:
    built = build_orders(tmp_path / "build", "", max_receives=2)

    with hosted(built, tmp_path) as host:
        for number in range(20):
            host.post({"key": "one", "n": number, "poison": number == 5})
        wait_until(lambda: len(host.lines()) == 19 and len(host.dead()) == 1, "the neighbours to be kept")

    assert host.lines() == [("one", number) for number in range(20) if number != 5]
    assert host.dead() == [{"key": "one", "n": 5, "poison": True}]


def _reaching(cloud: str) -> tuple[str, ...]:
    return ("--env", f"AWS_ENDPOINT_URL={cloud}", "--env", "AWS_ACCESS_KEY_ID=test", "--env", "AWS_SECRET_ACCESS_KEY=test")


def _visible(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages"]
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][names[0]])
