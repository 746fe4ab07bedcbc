"""Queues under faults: every event that was accepted is processed at least once or is a dead letter, and keys keep their order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.kafka_broker import Gate, create_topic, kafka_broker
from tests.fakes.queue_load import Host, Load, build_orders, duplicates, hosted, lost, out_of_order, wait_until

COUNTS = [1000, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
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
