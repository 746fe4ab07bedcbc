"""Functions of one graph: what a queue wakes, what a client leaves behind, what one function tells another."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import requests

from fnkit.manifest.model import Flow, Function, Manifest, Route, Router, Step
from tests.contract.bundles import build_bundles
from tests.contract.conftest import PROJECT
from tests.contract.hosts import environment, managed_command, own_command, running
from tests.fakes.emulator_process import emulator
from tests.fakes.patience import quickest
from tests.fakes.runtime_api import FakeRuntimeApi


def sqs(*bodies: str) -> dict[str, object]:
    """Return a batch as Lambda delivers it."""
    source = {"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:1:orders", "attributes": {}}
    return {"Records": [{"messageId": str(number), "body": body, **source} for number, body in enumerate(bodies)]}


@pytest.mark.parametrize("managed", [False, True], ids=["own loop", "managed"])
def test_a_function_behind_a_queue_names_the_records_that_failed(managed: bool, tmp_path: Path) -> None:
    steps = (
        Step("out", kind="queue", args={"path": "orders"}),
        Step("count", target="steps:Count", after=("out",), function="child"),
        Step("mark", target="steps:Mark", after=("count",)),
    )
    functions = (Function("graph", "entry", module="steps"), Function("child", "child", module="steps"))
    built = build_bundles(Manifest("graph", Flow(steps), functions=functions), PROJECT, tmp_path / "out")
    bundle = built.folders["child"]
    wrapper = json.dumps({"full_event_wrapper": True, "body": {"n": 1}, "key": "k", "id": "e"})

    with FakeRuntimeApi() as api:
        command = managed_command() if managed else own_command(bundle)
        with running(command, bundle, environment(bundle, api.address), tmp_path / "log"):
            posted = api.call(sqs('{"n": 1}', '"no number"', wrapper))

    assert posted.json == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert "TypeError" in (tmp_path / "log").read_text()


def test_a_step_function_refuses_what_is_not_for_it(tmp_path: Path) -> None:
    steps = (Step("echo", target="steps:Echo"), Step("mark", target="steps:Mark", after=("echo",), responder=True))
    manifest = Manifest("graph", Flow(steps), functions=(Function("graph", "entry", module="steps"),))
    bundle = build_bundles(manifest, PROJECT, tmp_path / "out", "step").folders["echo"]

    with FakeRuntimeApi() as api:
        with running(own_command(bundle), bundle, environment(bundle, api.address), tmp_path / "log"):
            direct = api.call({"a": 1})
            other = api.call({"fnkit": {"step": "mark", "key": "k", "event": {"id": "e", "body": 1}}})

    for posted, text in ((direct, "call the entry function instead"), (other, "does not run a step called 'mark', only echo")):
        assert posted.kind == "error"
        assert text in str(posted.json)


@pytest.mark.slow
@pytest.mark.parametrize("topology", ["flow", "router"])
def test_a_route_of_a_router_runs_in_its_function(topology: str, tmp_path: Path) -> None:
    routes = (Route("far", "steps:Home", function="other"), Route("near", "steps:Home"))
    router = Step("router", "router", target="fnkit.serving:ModelRouter", routes=routes, responder=True)
    functions = (Function("graph", "entry", module="steps"), Function("other", "child", module="steps"))
    manifest = Manifest("graph", Flow((router,)), functions=functions)
    if topology == "router":
        manifest = Manifest("graph", Router(router), "router", functions=functions)
    built = build_bundles(manifest, PROJECT, tmp_path / "out", "declared")

    with emulator(built.out) as running_emulator:
        url = f"{running_emulator.url}v2/models"
        found = [requests.post(f"{url}/{key}/infer", json={"inputs": []}, timeout=60).text for key in ("far", "near")]

    assert found == ["other", "graph"]


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["fused", "step"])
def test_a_client_that_leaves_closes_a_sleeping_generator_within_a_second(placement: str, tmp_path: Path) -> None:
    steps = (Step("slow", target="steps:Slow", responder=True),)
    entry = Function("graph", "entry", module="steps", streaming=True)
    manifest = Manifest("graph", Flow(steps), functions=(entry,), streaming=True)
    built = build_bundles(manifest, PROJECT, tmp_path / "out", placement)  # type: ignore[arg-type]  # a parametrised name is a plain string

    with emulator(built.out) as running_emulator:

        def leave() -> float:
            told = len(running_emulator.events)
            with requests.post(running_emulator.url, data=b"x", stream=True, timeout=60) as answer:
                assert next(answer.iter_content(None)) == b"first"
            left = time.monotonic()
            running_emulator.wait_for(lambda event: event.get("line") == "closed", after=told)
            return time.monotonic() - left

        assert quickest(leave, 1) < 1
