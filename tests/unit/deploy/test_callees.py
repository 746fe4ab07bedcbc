"""Functions that call each other are made in an order in which each can be told what it calls."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from fnkit.deploy import Prepared, Reports, Wishes, carry_out, prepare
from fnkit.deploy.callees import find_callees, in_order
from fnkit.deploy.cloudformation import make_stack
from fnkit.functions import place
from fnkit.manifest import Flow, Function, Manifest, Route, Step
from tests.fakes.builds import fake_build, manifest
from tests.fakes.cloud import InMemoryCloud


def queue(name: str, after: str) -> Step:
    return Step(name, kind="queue", args={"path": ""}, after=(after,))


def step(name: str, after: str, function: str) -> Step:
    return Step(name, handler=f"app:{name}", after=(after,) if after else (), function=function)


def graph(*steps: Step) -> Manifest:
    """Return the placed graph of *steps*; its functions stand in the order in which the steps name them."""
    return place(Manifest("orders", Flow(steps), functions=(Function("orders", "entry"),), python="3.11"), "declared")


WORK = graph(
    Step("take", handler="app:take"),
    queue("jobs", "take"),
    step("begin", "jobs", "worker"),
    step("score", "begin", "gpu"),
    step("end", "score", "worker"),
)


def deploy(folder: Path, cloud: InMemoryCloud, contents: dict[str, bytes] | None = None) -> Prepared:
    prepared = prepare(fake_build(folder, WORK, contents), cloud, Wishes())
    carry_out(prepared, cloud, Reports(lambda action: None, lambda name, sent, total: None))
    return prepared


def told(cloud: InMemoryCloud, function: str) -> object:
    version = cloud.functions[f"orders-dev-{function}"].versions[-1]
    return json.loads(version.configuration.environment.get("FNKIT_VERSIONS", "{}"))


def test_what_a_queue_wakes_is_made_after_what_it_calls_and_is_told_its_version(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    deploy(tmp_path, cloud)

    published = [change.rpartition("-")[2] for change in cloud.changes if change.startswith("publish")]
    assert published == ["gpu", "worker", "orders"]
    assert (told(cloud, "gpu"), told(cloud, "worker")) == ({}, {"gpu": "1"})
    assert told(cloud, "orders") == {"gpu": "1", "worker": "1"}


def test_new_code_of_what_is_called_moves_the_mapping_of_who_calls_it_to_a_version_that_calls_it(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    deploy(tmp_path, cloud)

    deploy(tmp_path, cloud, {"gpu": b"new"})
    again = deploy(tmp_path, cloud, {"gpu": b"new"})

    (mapping,) = cloud.sources["orders-dev-worker"]
    assert mapping.version == "2"
    assert told(cloud, "worker") == {"gpu": "2"}
    assert again.plan.actions == ()


def test_a_template_tells_it_by_reference(tmp_path: Path) -> None:
    document = yaml.safe_load(make_stack(fake_build(tmp_path, WORK), Wishes()).text)

    variables = document["Resources"]["workerFunction"]["Properties"]["Environment"]["Variables"]
    assert "gpuVersion" in str(variables["FNKIT_VERSIONS"])
    assert "FNKIT_VERSIONS" not in document["Resources"]["gpuFunction"]["Properties"]["Environment"]["Variables"]


def test_functions_that_queues_wake_may_call_each_other_in_a_circle() -> None:
    circle = graph(
        Step("take", handler="app:take"),
        queue("one", "take"),
        step("a", "one", "left"),
        step("b", "a", "right"),
        queue("two", "take"),
        step("c", "two", "right"),
        step("d", "c", "left"),
    )

    callees = find_callees(circle)

    assert callees["left"] == {"right"}
    assert callees["right"] == {"left"}
    assert [function.name for function in in_order(circle.functions, callees)] == ["left", "right", "orders"]


def test_routes_of_a_router_are_called_by_the_function_of_the_router() -> None:
    routes = (Route("m1", "app:Model", function="models"), Route("m2", "app:Model"))
    router = Step("router", kind="router", target="fnkit.serving:ModelRouter", routes=routes, after=("jobs",), function="worker")
    functions = (Function("orders", "entry"), Function("worker", "child"), Function("models", "child"))
    placed = Manifest("orders", Flow((Step("take", handler="app:take"), queue("jobs", "take"), router)), functions=functions)

    assert find_callees(placed)["worker"] == {"models"}


def test_the_entry_function_may_call_all_others_and_they_call_nobody() -> None:
    assert find_callees(manifest()) == {"chat": {"greet", "shout"}, "greet": frozenset(), "shout": frozenset()}
