"""Queues behind credentials: they are used where they are right, refused plainly where they are wrong, and nothing is lost meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.fakes.aws_refusals import json_refusal, refusing_aws, sqs_refusal
from tests.fakes.emulator_process import REPOSITORY
from tests.fakes.kafka_broker import create_topic, kafka_broker
from tests.fakes.patience import wait_until
from tests.fakes.queue_load import Host, build_orders, hosted
from tests.fakes.sasl_gate import SaslGate

SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "ann", "sasl.password": "correct"}
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_orders-AbCdEf"
CLUSTER = "arn:aws:kafka:eu-west-1:123456789012:cluster/orders/6cc0432b-1-2"


@pytest.fixture
def gate() -> Iterator[SaslGate]:
    """A broker behind a gate, which has the topic `orders`."""
    gate = SaslGate("ann", "correct")
    with kafka_broker(advertised_port=gate.port) as broker:
        gate.open(broker)
        create_topic(gate.address, "orders", access=SASL)
        yield gate
        gate.close()


def login(password: str) -> dict[str, str]:
    return {"LOGIN": json.dumps({"username": "ann", "password": password})}


def said(host: Host, text: str) -> str:
    assert host.running is not None
    return str(host.running.wait_for(lambda event: text in str(event.get("message", "")))["message"])


def told(host: Host) -> str:
    """Everything that the emulator has written so far."""
    assert host.running is not None
    return json.dumps(host.running.told())


def post(host: Host, number: int) -> requests.Response:
    assert host.running is not None
    return requests.post(host.running.url, json={"key": "k", "n": number}, timeout=60)


def test_wrong_credentials_for_kafka_are_complained_of_until_they_are_right_and_then_serve(
    tmp_path: Path, gate: SaslGate
) -> None:
    gate.password = "changed"
    options: dict[str, Any] = {"credentials": "LOGIN", "security_protocol": "SASL_PLAINTEXT"}
    soon = {"message_timeout_ms": 1000}
    built = build_orders(tmp_path / "build", f"kafka://{gate.address}/orders", kafka_producer_options=soon, **options)

    with hosted(built, tmp_path, environ=login("correct")) as host:
        complaint = said(host, "cannot be read at the moment")
        refused = post(host, 1)
        gate.password = "correct"
        wait_until(lambda: host.post({"key": "k", "n": 2}) == 200, "the broker to take an event")
        wait_until(lambda: ("k", 2) in host.lines(), "the event to be kept")
        everything = told(host)

    assert "no such user, or not this password" in complaint
    assert "see the credentials in the variable" in complaint
    assert refused.status_code == 503
    assert f"topic 'orders' on {gate.address} did not accept a message" in refused.text
    assert "no such user, or not this password" in refused.text
    assert "correct" not in everything
    assert "correct" not in "".join(path.read_text() for path in (tmp_path / "queues").rglob("*.json"))
    assert host.lines().count(("k", 1)) == 0


@pytest.mark.long
def test_brokers_and_secret_of_a_cluster_on_aws_are_asked_for(tmp_path: Path, gate: SaslGate) -> None:
    built = build_orders(tmp_path / "build", "kafka://orders", cluster=CLUSTER, credentials="LOGIN")
    refusal = json_refusal("AccessDeniedException", "not authorized to perform kafka:GetBootstrapBrokers", status=403)

    with refusing_aws(refusal) as aws:
        keys = {"AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": "AKIDUSER", "AWS_SECRET_ACCESS_KEY": "hush-hush"}
        with hosted(built, tmp_path, environ={**keys, "LOGIN": SECRET}) as host:
            complaint = said(host, f"the brokers of cluster {CLUSTER} cannot be found")
            refused = host.post({"key": "k", "n": 1})
            everything = told(host)

    assert "kafka:GetBootstrapBrokers" in complaint
    assert "their role may not do this" in complaint
    assert refused >= 500
    assert "hush" not in everything


def test_credentials_that_nobody_has_set_refuse_the_start(tmp_path: Path) -> None:
    built = build_orders(tmp_path / "build", "kafka://127.0.0.1:1/orders", credentials="FNKIT_TEST_LOGIN")

    command = [sys.executable, "-m", "fnkit", "emulate", str(built), "--port", "0", "--queue-dir", str(tmp_path / "queues")]
    ended = subprocess.run(
        command, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )

    assert ended.returncode == 2
    assert "queue 'jobs': the variable FNKIT_TEST_LOGIN, which holds the credentials, is not set" in ended.stderr


@pytest.mark.parametrize(
    ("path", "refusal", "reading"),
    [
        pytest.param(
            "sqs://orders",
            sqs_refusal("InvalidClientTokenId", "The security token included in the request is invalid."),
            "SQS",
            marks=pytest.mark.long,  # what is said and not accepted is seen in the tests of the parts too
        ),
        pytest.param(
            "kinesis://orders",
            json_refusal("ExpiredTokenException", "The security token is expired"),
            "stream",
            marks=pytest.mark.long,
        ),
    ],
    ids=["sqs-unknown", "kinesis-expired"],
)
def test_wrong_aws_credentials_are_complained_of_and_nothing_is_accepted(
    tmp_path: Path, path: str, refusal: tuple[int, dict[str, str], object], reading: str
) -> None:
    built = build_orders(tmp_path / "build", path)

    with refusing_aws(refusal) as aws:
        keys = {"AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": "AKIDUSER", "AWS_SECRET_ACCESS_KEY": "hush-hush"}
        shell = {**keys, "AWS_SESSION_TOKEN": "hush-token", "AWS_REGION": "eu-west-1"}
        with hosted(built, tmp_path, environ=shell) as host:
            assert host.running is not None
            complaint = host.running.wait_for(lambda event: event["event"] == "failure")["message"]
            answer = post(host, 1)
            everything = told(host)
        asked = [headers["authorization"] for _, _, headers, _ in aws.asked]

    assert reading in complaint
    assert "credentials" in complaint
    assert answer.status_code == 503
    assert "did not accept a message" in answer.text or "there is no SQS queue" in answer.text
    assert all("Credential=AKIDUSER/" in one for one in asked)
    assert "hush" not in everything
    assert host.lines() == []
