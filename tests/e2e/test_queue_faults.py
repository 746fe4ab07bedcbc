"""The local queue under faults: every event that was accepted is processed at least once or is a dead letter, and keys keep their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.patience import wait_until
from tests.fakes.queue_load import Load, Report, build_orders, hosted, settle, sniping

COUNTS = [400, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])]


@pytest.mark.parametrize("count", COUNTS)
def test_nothing_is_lost_when_workers_and_the_emulator_are_killed(
    tmp_path: Path, count: int, record_testsuite_property: Report
) -> None:
    built = build_orders(tmp_path / "build", "", max_receives=8)

    with hosted(built, tmp_path, "--env", "CRASH=0.01") as host:
        with sniping(host) as shot:
            load = Load(host, count)
            load.go_through_kills()
            load.finish()
        settle(host, load, record_testsuite_property, "local queue", shot=len(shot))


def test_a_drain_in_mid_run_neither_loses_nor_repeats_anything(tmp_path: Path, record_testsuite_property: Report) -> None:
    built = build_orders(tmp_path / "build", "")

    with hosted(built, tmp_path) as host:
        load = Load(host, 400)
        load.begin()
        load.wait_until_accepted(200)
        host.stop()
        host.start()
        counts = settle(host, load, record_testsuite_property, "local queue, drained")

    assert counts["duplicates"] == 0
    assert counts["dead letters"] == 0


def test_a_poisonous_event_is_buried_after_its_receives_and_its_neighbours_live(tmp_path: Path) -> None:
    built = build_orders(tmp_path / "build", "", max_receives=2)

    with hosted(built, tmp_path) as host:
        for number in range(20):
            host.post({"key": "one", "n": number, "poison": number == 5})
        wait_until(lambda: len(host.lines()) == 19 and len(host.dead()) == 1, "the neighbours to be kept")

    assert host.lines() == [("one", number) for number in range(20) if number != 5]
    assert host.dead() == [{"key": "one", "n": 5, "poison": True}]
