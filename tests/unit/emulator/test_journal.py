"""Happenings as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fnkit_emulator.journal import Happening, Invoked, LogLine, Notice, Ready, as_text

COLD = Invoked("graph", "id-1", 200, 12.345, cold=True, init_ms=9.876, chunks=5, size=110, memory_mb=30, at=0.0)
WARM = Invoked("graph", "id-2", 502, 1.5, cold=False, error="ValueError: no\n  steps.py:3", at=0.0)


@pytest.mark.parametrize(
    ("happening", "event"),
    [
        (Ready("http://h/", {"graph": "http://h/"}), {"event": "ready", "url": "http://h/", "functions": {"graph": "http://h/"}}),
        (
            COLD,
            {
                "event": "invocation",
                "function": "graph",
                "request_id": "id-1",
                "status": 200,
                "ms": 12.35,
                "cold": True,
                "bytes": 110,
                "memory_mb": 30,
                "init_ms": 9.88,
                "chunks": 5,
            },
        ),
        (LogLine("graph", "hello"), {"event": "log", "function": "graph", "line": "hello"}),
        (Notice("no", "graph", "failure"), {"event": "failure", "function": "graph", "message": "no"}),
    ],
)
def test_a_happening_is_one_json_object(happening: Happening, event: dict[str, object]) -> None:
    found = json.loads(json.dumps(happening.as_event()))

    if "ms" in event:
        assert found["ms"] == pytest.approx(event["ms"], abs=0.01)
        event = {**event, "ms": found["ms"]}
    assert found == event


def test_a_line_says_function_status_time_and_cold_or_warm() -> None:
    assert as_text(COLD)[8:] == "  graph  200  12.3 ms  cold (9.9 ms)  5 chunks  30 MB"
    assert as_text(WARM)[8:] == "  graph  502  1.5 ms  warm  ValueError: no\n  steps.py:3"
    assert as_text(Invoked("graph", "id-3", 200, 1.0, cold=False, chunks=1, at=0.0))[8:] == "  graph  200  1.0 ms  warm  1 chunk"


def test_the_line_of_a_batch_says_which_queue_brought_it_and_how_many_messages_failed() -> None:
    batch = Invoked("keeper", "id-4", 200, 1.0, cold=False, at=0.0, queue="jobs", batch=3, failed=1)

    assert as_text(batch)[8:] == "  keeper  200  1.0 ms  warm  3 from queue jobs, 1 failed"
    assert batch.as_event()["failed"] == 1
    assert "failed" not in replace(batch, failed=0).as_event()


def test_users_lines_carry_the_functions_name() -> None:
    assert as_text(LogLine("graph", "hello")) == "[graph] hello"


def test_the_start_shows_every_url() -> None:
    text = as_text(Ready("http://h/", {"graph": "http://h/", "a": "http://h/_functions/a/"}))

    assert text.splitlines() == ["listening on http://h/", "  graph  http://h/", "  a      http://h/_functions/a/"]
