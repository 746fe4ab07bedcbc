"""Asynchronous invocations under faults: what was answered with 202 is processed, or written down where it was to go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.queue_load import Load, Report, build_orders, hosted, settle

COUNTS = [300, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
ASYNCHRONOUS = {
    "path": "/2015-03-31/functions/plain/invocations",
    "headers": {"x-amz-invocation-type": "Event"},
    "graph": "plain",
}


@pytest.mark.parametrize("count", COUNTS)
def test_every_accepted_event_is_processed_or_a_dead_letter_when_workers_and_the_emulator_are_killed(
    tmp_path: Path, count: int, record_testsuite_property: Report
) -> None:
    built = build_orders(tmp_path / "build", "", project="plain.py")

    with hosted(built, tmp_path, "--env", "CRASH=0.02", "--max-environments", "4", **ASYNCHRONOUS) as host:
        load = Load(host, count, status=202)
        load.go_through_kills()
        settle(host, load, record_testsuite_property, "asynchronous", dead="plain.async", ordered=False)
