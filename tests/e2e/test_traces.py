"""A trace goes along with an event through functions and queues, however it came in."""

from __future__ import annotations

from pathlib import Path

import requests

from fnkit.bundle import build
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit.project.loaded import Loaded
from tests.fakes.emulator_process import EmulatorProcess, emulator

PROJECT = Path(__file__).parents[1] / "projects" / "traces"
STEPS = (
    Step("near", target="steps:Traced"),
    Step("out", "queue", args={"path": "out"}, after=("near",)),
    Step("far", target="steps:Other", after=("out",), function="behind"),
)


def built(out: Path) -> Path:
    functions = (Function("graph", "entry", module="steps"), Function("behind", "child", module="steps"))
    build(Loaded(Manifest("graph", Flow(STEPS), functions=functions), PROJECT), out, placement="step")
    return out


def traces(running: EmulatorProcess, step: str, trace: str) -> list[str]:
    """Wait until *step* has told that it saw *trace*; return what it told."""
    prefix = f"traced {step} "
    told = running.wait_for(lambda event: str(event.get("line", "")).startswith(prefix) and trace in event["line"].split())
    return str(told["line"]).removeprefix(prefix).split()


def test_traces_and_keys_reach_the_last_function_over_http_calls_queues_and_asynchronous_events(tmp_path: Path) -> None:
    with emulator(built(tmp_path / "build"), "--queue-dir", str(tmp_path / "queues")) as running:
        headers = {"traceparent": "00-11-22-01", "X-Amzn-Trace-Id": "Root=1-http"}
        requests.post(running.url, json={"a": 1}, headers=headers, timeout=60).raise_for_status()
        near, far = (traces(running, step, "Root=1-http") for step in ("near", "far"))

        lambda_api = f"{running.url}2015-03-31/functions/graph/invocations"
        headers = {"X-Amz-Invocation-Type": "Event", "X-Amzn-Trace-Id": "Root=1-event"}
        accepted = requests.post(lambda_api, json={"a": 2}, headers=headers, timeout=60)
        later = [traces(running, step, "Root=1-event") for step in ("near", "far")]

    assert near == ["00-11-22-01", "Root=1-http", "/near/1"]
    assert far == ["00-11-22-01", "Root=1-http", ":out/1/far/1"]
    assert accepted.status_code == 202
    assert later == [["none", "Root=1-event", "/near/1"], ["none", "Root=1-event", ":out/1/far/1"]]
