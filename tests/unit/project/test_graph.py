from __future__ import annotations

import pytest
import yaml

import fnkit
from fnkit.errors import GraphError, MLRunInvalidArgumentError, MLRunNotFoundError
from fnkit.project import FlowGraph, RouterGraph, ServingFunction


class Echo:
    def do(self, body: object) -> object:
        return body


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def do(self, body: object) -> object:
        return body


def double(body: int) -> int:
    return body * 2


def _function() -> ServingFunction:
    return fnkit.new_function("tests")


def _flow(**options: object) -> FlowGraph:
    graph = _function().set_topology("flow", **options)  # type: ignore[call-overload]  # options by name
    assert isinstance(graph, FlowGraph)
    return graph


def test_the_default_topology_is_a_router() -> None:
    assert isinstance(_function().set_topology(), RouterGraph)


@pytest.mark.parametrize(
    ("topology", "options", "message"),
    [
        ("weird", {}, "unsupported topology weird, use 'router' or 'flow'"),
        ("router", {"allow_cyclic": True}, "cyclic graphs are only supported in flow topology with async engine"),
        (
            "flow",
            {"engine": "sync", "allow_cyclic": True},
            "Cyclic graphs are not supported with sync engine, please use async engine",
        ),
        ("flow", {"engine": "aysnc"}, "unsupported engine aysnc, use 'async' or 'sync'"),
        ("flow", {"alow_cyclic": True}, "set_topology('flow') has no argument 'alow_cyclic'"),
    ],
)
def test_a_topology_that_cannot_be_is_refused(topology: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(MLRunInvalidArgumentError) as caught:
        _function().set_topology(topology, **options)  # type: ignore[call-overload]  # options by name

    assert str(caught.value) == message


def test_a_misspelt_engine_is_told_which_one_is_meant() -> None:
    with pytest.raises(MLRunInvalidArgumentError) as caught:
        _flow(engine="aysnc")

    assert caught.value.hint == "did you mean 'async'?"


def test_a_second_topology_needs_exist_ok() -> None:
    function = _function()
    first = function.set_topology("flow")

    with pytest.raises(MLRunInvalidArgumentError, match="use exist_ok=True to override"):
        function.set_topology("flow")
    assert function.set_topology("flow", exist_ok=True) is not first


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("pkg.mod.Class",), "Class"),
        ((Echo,), "Echo"),
        ((double,), "double"),
        ((Named("own"),), "own"),
        ((Echo(),), "Echo"),
        ((None, None, double), "double"),
        (("Echo", "given"), "given"),
    ],
)
def test_a_step_is_named_after_its_class_or_function(arguments: tuple[object, ...], name: str) -> None:
    assert _flow().to(*arguments).name == name  # type: ignore[arg-type]  # positional arguments of all kinds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "class_name or handler must be provided"),
        ({"handler": "(event + 1)"}, "name or class_name must be provided"),
        ({"handler": lambda body: body}, "name or class_name must be provided"),
        ({"class_name": ">>", "path": ""}, "queue name must be specified"),
        ({"class_name": "$queue", "name": "q"}, "path=<stream path or None> must be specified for queues"),
    ],
)
def test_a_step_that_does_not_say_what_it_is_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(MLRunInvalidArgumentError) as caught:
        _flow().to(**options)  # type: ignore[arg-type]  # options by name

    assert str(caught.value) == message


def test_steps_follow_each_other_and_after_adds_predecessors() -> None:
    graph = _flow()
    graph.to(Echo, "a")
    graph.to(Echo, "b")

    last = graph["a"].to(Echo, "c", after=["b", "a"])

    assert graph["a"].after == []
    assert last.after == ["a", "b"]


def test_prev_is_the_step_that_was_added_last() -> None:
    graph = _flow()
    graph.add_step(Echo, "a", after="$prev")
    graph.add_step(Echo, "b", after="$prev")

    assert graph["a"].after == []
    assert graph["b"].after == ["a"]


def test_before_puts_a_step_between_others() -> None:
    graph = _flow()
    graph.to(Echo, "a").to(Echo, "x")
    graph["a"].to(Echo, "y")

    graph.add_step(Echo, "new", before=["x", "y"])

    assert graph["new"].after == ["a"]
    assert graph["x"].after == graph["y"].after == ["new"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"after": "zz"}, MLRunInvalidArgumentError, "cant set after, there is no step named zz"),
        ({"before": "zz"}, MLRunInvalidArgumentError, "cant set before, there is no step named zz"),
        ({"before": "x"}, GraphError, "graph loop, step x is specified in before and/or after x"),
        ({"after": "a", "before": "a"}, GraphError, "graph loop, step a is specified in before and/or after x"),
        ({"cycle_to": "zz"}, GraphError, "cyclic graphs are not allowed, enable allow_cyclic"),
    ],
)
def test_a_step_at_a_wrong_place_is_refused_and_not_added(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    graph = _flow()
    graph.to(Echo, "a")

    with pytest.raises(error) as caught:
        graph.add_step(Echo, "x", **options)  # type: ignore[arg-type]  # options by name

    assert str(caught.value) == message
    assert list(graph.steps) == ["a"]


def test_a_name_can_be_used_once() -> None:
    graph = _flow()
    first = graph.to(Echo, "a")

    with pytest.raises(GraphError, match="there is already a step named a"):
        first.to(Echo, "a")

    assert graph["a"] is first


def test_a_removed_step_can_be_replaced() -> None:
    graph = _flow()
    graph.to(Echo, "a").to(Echo, "b").to(Echo, "c")

    del graph["b"]
    graph.add_step(Named, "b", after="a")

    assert "b" in graph
    assert graph["c"].after == ["b"]
    assert graph["b"].class_name is Named


def test_a_missing_step_is_told_which_one_is_meant() -> None:
    graph = _flow()
    graph.to(Echo, "generator")

    with pytest.raises(KeyError, match="did you mean 'generator'"):
        graph["genrator"]


def test_a_cycle_is_kept_in_both_lists() -> None:
    graph = _flow(allow_cyclic=True)
    graph.to(Echo, "a").to(Echo, "b", cycle_to=["a"]).cycle_to("a").cycle_to(["b"])

    assert (graph["a"].after, graph["a"].cycle_from) == (["b"], ["b"])
    assert (graph["b"].after, graph["b"].cycle_from) == (["a", "b"], ["b"])


def test_a_cycle_leads_to_steps_that_exist() -> None:
    graph = _flow(allow_cyclic=True)

    with pytest.raises(GraphError) as caught:
        graph.to(Echo, "a").cycle_to("zz")

    assert str(caught.value) == "step zz doesnt exist in the graph under "


@pytest.mark.parametrize(("given", "limit"), [(None, 100), (7, 7)])
def test_the_limit_of_a_cyclic_graph_is_a_hundred_unless_said(given: int | None, limit: int) -> None:
    assert _flow(allow_cyclic=True, max_iterations=given).max_iterations == limit


def test_a_graph_that_becomes_cyclic_later_has_the_limit_too() -> None:
    graph = _flow()
    assert graph.max_iterations is None

    graph.allow_cyclic = True

    assert graph.max_iterations == 100
    graph.max_iterations = 5
    assert graph.max_iterations == 5


def test_an_error_handler_is_a_step_beside_the_flow() -> None:
    graph = _flow()
    step = graph.to(Echo, "a")

    assert step.error_handler("catch", class_name=Echo, before="a") is step
    assert graph.error_handler(class_name=Echo) is graph

    assert (step.on_error, graph.on_error) == ("catch", "Echo")
    assert graph["catch"].after == []


def test_an_error_handler_of_the_graph_goes_nowhere() -> None:
    with pytest.raises(MLRunInvalidArgumentError, match="`before` arg can't be specified for graph error handler"):
        _flow().error_handler("catch", class_name=Echo, before="a")


def test_set_flow_chains_steps_of_all_forms() -> None:
    graph = _flow()

    last = graph.set_flow([{"class_name": Echo, "name": "a"}, double, "pkg.Third"])

    assert last.name == "Third"
    assert [(step.name, step.after) for step in graph.steps.values()] == [("a", []), ("double", ["a"]), ("Third", ["double"])]


def test_set_flow_replaces_a_flow_only_by_force() -> None:
    graph = _flow()
    graph.to(Echo, "a").to(Echo, "b")

    with pytest.raises(MLRunInvalidArgumentError, match="set force=True"):
        graph.set_flow([Echo])
    graph["a"].set_flow([double], force=True)

    assert list(graph.steps) == ["a", "double"]


def test_clear_children_removes_steps() -> None:
    graph = _flow()
    graph.to(Echo, "a").to(Echo, "b")

    graph.clear_children(["b"])
    assert list(graph.steps) == ["a"]
    graph.clear_children()
    assert len(graph) == 0


def test_a_graph_is_written_under_the_known_keys() -> None:
    graph = _flow(allow_cyclic=True)
    graph.to("Generator", max_iterations=30, n=1).to(Echo, "b", full_event=False).cycle_to("Generator").respond()

    assert graph.to_dict() == {
        "kind": "flow",
        "steps": {
            "Generator": {
                "kind": "task",
                "class_name": "Generator",
                "class_args": {"n": 1},
                "after": ["b"],
                "max_iterations": 30,
                "cycle_from": ["b"],
            },
            "b": {"kind": "task", "class_name": "Echo", "after": ["Generator"], "full_event": False, "responder": True},
        },
        "engine": "async",
        "allow_cyclic": True,
        "max_iterations": 100,
    }
    assert yaml.safe_load(graph.to_yaml()) == graph.to_dict()


def test_only_routers_have_routes_and_only_flows_have_steps() -> None:
    with pytest.raises(GraphError, match="only router steps have routes"):
        _flow().to(Echo, "a").add_route("m")
    with pytest.raises(GraphError, match="a router has routes, not steps"):
        _function().set_topology("router").to("Echo")


def test_a_model_needs_a_class_but_no_path() -> None:
    function = _function()

    with pytest.raises(ValueError, match="model_path must be provided with class_name"):
        function.add_model("m1", "models/m1")
    function.add_model("m1:v1", class_name="Model", k=2)
    with pytest.raises(ValueError, match="class_name or handler must be provided"):
        function.add_model("m1")
    route = function.add_model("m1:v2", class_name=Echo)

    graph = function.spec.graph
    assert isinstance(graph, RouterGraph)
    assert graph["m1:v2"] is route
    assert graph["m1:v1"].class_args == {"k": 2}


def test_a_model_is_added_to_the_one_router_of_a_flow() -> None:
    function = _function()
    graph = function.set_topology("flow")
    graph.to(Echo, "a")
    with pytest.raises(GraphError, match="graph does not contain any router"):
        function.add_model("m", class_name=Echo)

    graph.to("*", "one")
    function.add_model("m", class_name=Echo, model_path="p")
    graph.to("*pkg.Router", "two")
    with pytest.raises(GraphError, match="found 2 routers, please specify the router_step"):
        function.add_model("m", class_name=Echo)
    function.add_model("remote", model_url="http://127.0.0.1:1/", router_step="two")

    assert graph["one"].routes["m"].class_args == {"model_path": "p"}
    assert graph["two"].routes["remote"].class_args == {"url": "http://127.0.0.1:1/"}
    assert graph["one"].class_name == "ModelRouter"


def test_streaming_and_other_triggers_exclude_each_other() -> None:
    function = _function()
    function.set_streaming()

    with pytest.raises(MLRunInvalidArgumentError) as caught:
        function.add_trigger("k", {"kind": "kafka"})
    function.add_trigger("web", {"kind": "http"})
    function.set_streaming(enabled=False)
    function.add_trigger("k", {"kind": "kafka"})

    assert str(caught.value) == (
        "Cannot add non-HTTP trigger 'k' (kind='kafka') when streaming is enabled. Streaming only supports HTTP triggers. "
        "Either disable streaming with set_streaming(False) or use HTTP triggers only."
    )


def test_an_attribute_that_nobody_reads_is_refused() -> None:
    with pytest.raises(AttributeError, match="did you mean 'parameters'"):
        _function().spec.paramters = {}


def test_kinds_and_hub_names_are_checked() -> None:
    with pytest.raises(MLRunInvalidArgumentError) as caught:
        fnkit.new_function("f", kind="servng")
    assert caught.value.hint == "did you mean 'serving'?"

    with pytest.raises(MLRunNotFoundError, match="there is no function hub://v3_model"):
        fnkit.import_function("hub://v3_model")


def test_a_project_keeps_its_functions() -> None:
    project = fnkit.get_or_create_project("tests-of-projects")

    function = project.set_function(name="f")

    assert function.project == "tests-of-projects"
    assert project.get_function("f") is function
    assert project.list_functions() == [function]
    assert fnkit.get_or_create_project("tests-of-projects") is project
    with pytest.raises(MLRunNotFoundError):
        project.get_function("g")


def test_children_have_names_of_their_own() -> None:
    function = _function()
    function.add_child_function("child")

    with pytest.raises(MLRunInvalidArgumentError, match="there is already a child function named child"):
        function.add_child_function("child")


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ({"class_name": "Named", "name": "b"}, "b"),
        ({"class_name": Named}, "Named"),
        ({"class_name": ">>", "name": "q2", "path": ""}, "q2"),
    ],
)
def test_what_comes_behind_a_queue_runs_in_a_function_of_its_own(step: dict[str, object], named: str) -> None:
    queue = _function().set_topology("flow").to(">>", "q", path="")

    with pytest.raises(
        MLRunInvalidArgumentError, match=f"step '{named}' must specify a function, because it follows a queue step"
    ):
        queue.to(**step)  # type: ignore[arg-type]  # arguments by name

    assert queue.to(**step, function="child").after == ["q"]  # type: ignore[arg-type]  # as above


def test_models_are_loaded_before_the_first_event_and_no_other_way() -> None:
    function = _function()

    function.spec.load_mode = "sync"  # type: ignore[misc]  # MLRun's users set it
    with pytest.raises(MLRunInvalidArgumentError, match="load_mode 'async' is not possible"):
        function.spec.load_mode = "async"  # type: ignore[misc]  # as above

    assert function.spec.load_mode == "sync"
