"""What is wrong with queues is said plainly, and nothing that was not accepted is answered as accepted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.fakes.emulator_process import REPOSITORY
from tests.fakes.kafka_broker import Gate, create_topic, kafka_broker
from tests.fakes.patience import wait_until
from tests.fakes.ports import free_port
from tests.fakes.queue_load import build_orders, hosted

GRAPH = """
import fnkit

fn = fnkit.code_to_function("orders", kind="serving", filename="steps.py")
fn.add_child_function("one", "steps.py")
fn.add_child_function("two", "steps.py")
graph = fn.set_topology("flow", engine="async")
queue = graph.to(name="take", handler="take").to(">>", "jobs", {queue})
queue.to(name="keep", handler="keep", function="one")
{more}
"""
STEPS = "def take(event):\n    return event\n\n\ndef keep(event):\n    return event\n"


def emulate(folder: Path, queue: str, more: str = "") -> subprocess.CompletedProcess[str]:
    """Try to emulate the graph; it must end by itself."""
    (folder / "steps.py").write_text(STEPS)
    (folder / "serve.py").write_text(GRAPH.format(queue=queue, more=more))
    command = [
        sys.executable,
        "-m",
        "fnkit",
        "emulate",
        str(folder / "serve.py"),
        "--port",
        "0",
        "--queue-dir",
        str(folder / "q"),
    ]
    return subprocess.run(
        command, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize(
    ("queue", "more", "said"),
    [
        ('path="", batch_size=0', "", "batch_size must be a number of at least 1, not 0"),
        ('path="ftp://here/orders"', "", "has an unknown scheme"),
        ('path="kafka://broker:9092"', "", "names no topic"),
        (
            'path=""',
            'queue.to(name="also", handler="keep", function="two")',
            "functions one, two read the same queue 'jobs'",
        ),
        ('path="v3io:///projects/orders"', "", "can be written but not read here"),
    ],
)
def test_a_queue_that_cannot_be_used_refuses_the_start(tmp_path: Path, queue: str, more: str, said: str) -> None:
    ended = emulate(tmp_path, queue, more)

    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_emulator_over_the_same_queues_is_refused(tmp_path: Path) -> None:
    built = build_orders(tmp_path / "build", "")

    with hosted(built, tmp_path):
        command = [sys.executable, "-m", "fnkit", "emulate", str(built), "--port", "0", "--queue-dir", str(tmp_path / "queues")]
        second = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)

    assert second.returncode == 2
    assert "another emulator reads the queues of graph 'orders'" in second.stderr
    assert "--queue-dir" in second.stderr


def test_an_event_that_is_too_large_is_refused_with_413_and_sent_nowhere(tmp_path: Path) -> None:
    built = build_orders(tmp_path / "build", "")

    with hosted(built, tmp_path) as host:
        assert host.running is not None
        answer = requests.post(host.running.url, json={"key": "k", "n": 1, "text": "x" * 1_100_000}, timeout=60)

    assert answer.status_code == 413
    assert "does not fit into queue 'jobs'" in answer.text
    assert host.lines() == []


def test_a_broker_that_is_down_is_complained_of_until_it_is_there(tmp_path: Path) -> None:
    gate = Gate()
    soon = {"message_timeout_ms": 1000}
    built = build_orders(tmp_path / "build", f"kafka://{gate.address}/orders", kafka_producer_options=soon)

    with kafka_broker(advertised_port=gate.port) as broker, gate:
        gate.open(broker)
        create_topic(gate.address, "orders")  # not while a client asks for it: this broker would make it for that one
        gate.shut()
        with hosted(built, tmp_path) as host:
            assert host.running is not None
            complaint = host.running.wait_for(lambda event: "cannot be read at the moment" in str(event.get("message", "")))
            refused = host.post({"key": "k", "n": 1})
            gate.open(broker)
            wait_until(lambda: host.post({"key": "k", "n": 2}) == 200, "the broker to take an event")
            wait_until(lambda: ("k", 2) in host.lines(), "the event to be kept")

    assert gate.address in complaint["message"]
    assert refused == 503


def test_an_sqs_queue_that_is_not_there_is_complained_of(tmp_path: Path) -> None:
    built = build_orders(tmp_path / "build", "sqs://missing")
    nobody = f"http://127.0.0.1:{free_port()}"
    keys = ("--env", "AWS_ACCESS_KEY_ID=test", "--env", "AWS_SECRET_ACCESS_KEY=test")

    with hosted(built, tmp_path, "--env", f"AWS_ENDPOINT_URL={nobody}", *keys) as host:
        assert host.running is not None
        complaint = host.running.wait_for(lambda event: "there is no SQS queue 'missing'" in str(event.get("message", "")))
        status = host.post({"key": "k", "n": 1})

    assert complaint["event"] == "failure"
    assert status >= 500


def test_a_queue_that_nobody_reads_is_remarked_on_and_keeps_what_it_is_sent(tmp_path: Path) -> None:
    text = GRAPH.format(queue='path=""', more="").replace('queue.to(name="keep", handler="keep", function="one")', "")
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "serve.py").write_text(text)

    with hosted(tmp_path / "serve.py", tmp_path) as host:
        assert host.running is not None
        remark = host.running.wait_for(lambda event: "read by none of its functions" in str(event.get("message", "")))
        answer = requests.post(host.running.url, json={"n": 1}, timeout=60)

    listed = subprocess.run(
        [sys.executable, "-m", "fnkit", "queues", "--dir", str(tmp_path / "queues"), "--json"],
        check=False,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    found = [json.loads(line) for line in listed.stdout.splitlines()]
    assert answer.status_code == 200
    assert "queue 'jobs'" in remark["message"]
    assert [(one["queue"], one["waiting"]) for one in found if one.get("event") == "queue"] == [("jobs", 1)]
