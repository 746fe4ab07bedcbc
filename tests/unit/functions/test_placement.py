"""Which step runs in which function."""

from __future__ import annotations

import pytest

from fnkit.functions import function_name, place
from fnkit.manifest.model import Document, Flow, Function, Manifest, Route, Router, Step


def graph(*steps: Step, functions: tuple[Function, ...] = (), name: str = "g") -> Manifest:
    entry = Function(name, "entry", module="app", requirements=("requests",), memory_mb=256)
    return Manifest(name, Flow(steps), functions=(entry, *functions))


def homes(manifest: Manifest) -> dict[str, str]:
    assert isinstance(manifest.spec, Flow)
    return {step.name: step.function for step in manifest.spec.steps}


def test_by_step_each_class_gets_a_function_named_after_its_first_step() -> None:
    manifest = graph(
        Step("first", target="app:Twice"),
        Step("second", target="app:Twice", after=("first",)),
        Step("third", target="app:Other", after=("second",)),
    )

    placed = place(manifest, "step")

    assert homes(placed) == {"first": "first", "second": "first", "third": "third"}
    assert [(function.name, function.kind, function.steps) for function in placed.functions] == [
        ("g", "entry", ()),
        ("first", "step", ("first", "second")),
        ("third", "step", ("third",)),
    ]
    assert placed.placement == "step"


def test_a_function_made_for_a_step_has_the_requirements_and_limits_of_the_entry_function() -> None:
    placed = place(graph(Step("a", target="lib.parts:A")), "step")

    made = placed.function("a")

    assert (made.requirements, made.memory_mb, made.module) == (("requests",), 256, "lib.parts")


def test_ready_made_steps_expressions_and_handler_functions_stay_in_the_entry_function() -> None:
    manifest = graph(
        Step("choice", target="fnkit.steps:Choice"),
        Step("function", handler="app:shout", after=("choice",)),
        Step("expression", handler="(event)", after=("function",)),
        Step("models", kind="router", target="app:Router", after=("expression",)),
    )

    placed = place(manifest, "step")

    assert set(homes(placed).values()) == {"g"}
    assert len(placed.functions) == 1


def test_a_declared_function_wins_over_the_function_of_the_class() -> None:
    child = Function("gpu", "child", module="gpu_file", requirements=("numpy",), memory_mb=2048)
    manifest = graph(Step("a", target="app:A", function="gpu"), Step("b", target="app:A", after=("a",)), functions=(child,))

    placed = place(manifest, "step")

    assert homes(placed) == {"a": "gpu", "b": "b"}
    assert placed.function("gpu") == Function("gpu", "child", ("a",), module="gpu_file", requirements=("numpy",), memory_mb=2048)


def test_declared_placement_moves_only_what_is_declared() -> None:
    manifest = graph(Step("a", target="app:A"), Step("b", target="app:B", after=("a",), function="apart"))

    placed = place(manifest, "declared")

    assert homes(placed) == {"a": "g", "b": "apart"}
    assert placed.function("apart").kind == "step"


def test_fused_placement_takes_the_declared_functions_and_their_requirements_in() -> None:
    child = Function("gpu", "child", requirements=("numpy", "requests"))
    manifest = graph(Step("a", target="app:A"), Step("b", target="app:B", after=("a",), function="gpu"), functions=(child,))

    placed = place(manifest, "fused")

    assert homes(placed) == {"a": "g", "b": "g"}
    assert [function.name for function in placed.functions] == ["g"]
    assert placed.entry.requirements == ("requests", "numpy")


@pytest.mark.parametrize("mode", ["step", "declared", "fused"])
def test_what_lies_behind_a_queue_runs_in_the_function_that_the_queue_wakes(mode: str) -> None:
    child = Function("log", "child", requirements=("numpy",))
    manifest = graph(
        Step("print", handler="app:show"),
        Step("out", kind="queue", after=("print",)),
        Step("read", target="child:Read", after=("out",), function="log"),
        Step("write", target="child:Write", after=("read",)),
        functions=(child,),
    )

    placed = place(manifest, mode)  # type: ignore[arg-type]  # a parametrised name is a plain string

    assert homes(placed) == {"print": "g", "out": "g", "read": "log", "write": "log"}
    assert placed.function("log").steps == ("read", "write")
    assert placed.function("log").requirements == ("numpy",)


def test_a_step_behind_a_queue_without_a_function_gets_one_of_its_own() -> None:
    manifest = graph(Step("q", kind="queue"), Step("reader", handler="app:read", after=("q",)))

    placed = place(manifest, "fused")

    assert homes(placed)["reader"] == "reader"
    assert placed.function("reader").kind == "child"


def test_a_function_declared_under_a_longer_name_is_meant_where_exactly_one_ends_so() -> None:
    child = Function("nuclio-log-ds", "child", module="nuclio_log_dataset")
    manifest = graph(Step("q", kind="queue"), Step("r", handler="x:y", after=("q",), function="log-ds"), functions=(child,))

    placed = place(manifest, "step")

    assert homes(placed)["r"] == "nuclio-log-ds"
    assert [function.name for function in placed.functions] == ["g", "nuclio-log-ds"]


def test_a_step_for_everywhere_is_listed_in_every_function() -> None:
    manifest = graph(Step("a", target="app:A"), Step("log", target="app:Log", function="*", after=("a",)))

    placed = place(manifest, "step")

    assert homes(placed)["log"] == "*"
    assert {function.name: function.steps for function in placed.functions} == {"g": ("log",), "a": ("a", "log")}


def test_an_error_handler_goes_with_the_step_that_it_guards() -> None:
    manifest = graph(
        Step("q", kind="queue"),
        Step("r", handler="x:y", after=("q",), function="child", on_error="catch"),
        Step("catch", handler="x:z"),
    )

    placed = place(manifest, "declared")

    assert homes(placed)["catch"] == "child"


def test_a_cycle_does_not_confuse_the_placement() -> None:
    manifest = graph(
        Step("a", target="app:A", after=("b",), cycle_from=("b",)),
        Step("b", target="app:B", after=("a",)),
    )

    assert homes(place(manifest, "step")) == {"a": "a", "b": "b"}


def test_names_keep_to_letters_digits_hyphens_and_forty_characters() -> None:
    assert function_name("model_runner step") == "model-runner-step"
    assert function_name("x" * 60) == "x" * 40
    assert function_name("a", taken=["a", "a-2"]) == "a-3"
    assert function_name("x" * 60, taken=["x" * 40]) == "x" * 38 + "-2"
    assert function_name("__") == "function"


def test_a_step_named_like_the_graph_does_not_take_the_place_of_the_entry_function() -> None:
    placed = place(graph(Step("g", target="app:A")), "step")

    assert homes(placed) == {"g": "g-2"}
    assert [function.name for function in placed.functions] == ["g", "g-2"]


def test_placing_what_is_placed_changes_nothing() -> None:
    placed = place(graph(Step("a", target="app:A")), "step")

    assert place(placed, "fused") == placed


def test_a_document_has_its_entry_function_only() -> None:
    manifest = Manifest("my graph", Document({"nodes": {}}), "inference_graph")

    placed = place(manifest, "step")

    assert placed.functions == (Function("my-graph", "entry"),)


def test_a_router_runs_in_the_entry_function_and_its_routes_where_they_are_declared() -> None:
    routes = (Route("m1", "app:M"), Route("m2", "app:M", function="gpu"))
    manifest = Manifest("g", Router(Step("router", kind="router", routes=routes)), "router")

    placed = place(manifest, "step")

    assert isinstance(placed.spec, Router)
    assert [route.function for route in placed.spec.step.routes] == ["", "gpu"]
    assert [(function.name, function.steps) for function in placed.functions] == [("g", ("router",)), ("gpu", ("m2",))]


def routed(*, behind_queue: bool) -> Manifest:
    """Return a flow with a router, in the entry function or behind a queue, one of whose routes has a function."""
    routes = (Route("m1", "m:M", function="gpu"), Route("m2", "m:M"))
    steps = (
        Step("a", handler="m:a"),
        Step("q", kind="queue", args={"path": ""}, after=("a",)),
        Step("b", handler="m:b", after=("q",), function="worker"),
        Step("r", "router", target="fnkit.serving:ModelRouter", after=("b" if behind_queue else "a",), routes=routes),
    )
    declared = (Function("worker", "child", requirements=("w",)), Function("gpu", "child", requirements=("torch",)))
    return Manifest("g", Flow(steps), functions=(Function("g", "entry", requirements=("base",)), *declared))


@pytest.mark.parametrize("mode", ["step", "declared"])
def test_a_route_of_a_router_in_a_flow_runs_where_it_is_declared(mode: str) -> None:
    placed = place(routed(behind_queue=False), mode)  # type: ignore[arg-type]  # a parametrised name is a plain string

    assert isinstance(placed.spec, Flow)
    assert [(function.name, function.steps) for function in placed.functions] == [
        ("g", ("a", "q", "r")),
        ("worker", ("b",)),
        ("gpu", ("m1",)),
    ]
    assert [route.function for route in placed.spec.steps[-1].routes] == ["gpu", ""]


@pytest.mark.parametrize(
    ("behind_queue", "needed"),
    [(False, {"g": ("base", "torch"), "worker": ("w",)}), (True, {"g": ("base",), "worker": ("w", "torch")})],
)
def test_what_is_fused_brings_its_requirements_to_the_function_that_runs_it(
    behind_queue: bool, needed: dict[str, tuple[str, ...]]
) -> None:
    placed = place(routed(behind_queue=behind_queue), "fused")

    assert isinstance(placed.spec, Flow)
    assert {function.name: function.requirements for function in placed.functions} == needed
    assert [route.function for route in placed.spec.steps[-1].routes] == ["", ""]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown placement 'all'"):
        place(graph(), "all")  # type: ignore[arg-type]  # that is the point
