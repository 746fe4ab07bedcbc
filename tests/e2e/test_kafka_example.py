"""The page's example with a Kafka queue and a child function, as printed, on a broker with a network listener."""

from __future__ import annotations

from pathlib import Path

import requests

from tests.fakes.emulator_process import REPOSITORY, emulator
from tests.fakes.kafka_broker import create_topic, kafka_broker

EXAMPLE = REPOSITORY / "examples" / "kafka" / "serve.py"


def test_the_pages_kafka_example_runs_as_printed(tmp_path: Path) -> None:
    with kafka_broker() as broker:
        create_topic(broker, "kafka-topic")
        places = ("--queue-dir", str(tmp_path))
        with emulator(EXAMPLE, *places, environ={"KAFKA_BROKERS": broker}) as running:
            answer = requests.post(running.url, json={"records": [{"int": 2, "x2": 4}]}, timeout=60)
            running.wait_for(lambda event: str(event.get("line", "")).startswith("print_event_log"))
            batch = running.invocation(function="nuclio-log-ds")

    lines = [event["line"] for event in running.events if event["event"] == "log"]
    assert answer.status_code == 200
    assert list(answer.json()) == ["id"]
    assert lines == [
        "print_event({'records': [{'int': 2, 'x2': 4}]})",
        "print_event({'records': [{'int': 2, 'x2': 4}], 'extend': 'something'})",
        "save_record({'records': [{'int': 2, 'x2': 4}], 'extend': 'something'})",
        "print_event_log({'records': [{'int': 2, 'x2': 4}], 'extend': 'something'})",
    ]
    assert (batch["queue"], batch["batch"]) == ("OutputStream", 1)
