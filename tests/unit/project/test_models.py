from __future__ import annotations

import pytest

import fnkit
from fnkit.errors import GraphError, ProblemsError
from fnkit.manifest import Flow, Step
from fnkit.project import FlowGraph
from fnkit.serving import Model, ModelRunnerSelector, ModelRunnerStep


class Adds(Model):
    def __init__(self, name: str = "", add: int = 0, **more: object) -> None:
        super().__init__(name=name, **more)  # type: ignore[arg-type]  # what the runner gives
        self.add = add

    def predict(self, body: object, **more: object) -> object:
        return {**body, "v": body["v"] + self.add}  # type: ignore[dict-item,index]  # the tests send mappings


class NoPredict:
    def __init__(self, name: str = "") -> None:
        self.name = name


class Picks(ModelRunnerSelector):
    def select_models(self, event: object, available_models: object) -> list[str]:
        return ["b"]


def _flow(engine: str = "async") -> FlowGraph:
    return fnkit.new_function("tests").set_topology("flow", engine=engine)


def _runner(**options: object) -> ModelRunnerStep:
    return ModelRunnerStep(name="run", **options)  # type: ignore[arg-type]  # options by name


def _step(graph: FlowGraph) -> Step:
    spec = graph._function.load().manifest.spec
    assert isinstance(spec, Flow)
    return spec.steps[0]


def test_a_runner_is_a_router_step_whose_routes_are_its_models() -> None:
    runner = _runner(model_runner_selector=Picks)
    runner.add_model("a", Adds, "naive", add=1)
    runner.add_model("b", "Adds", "thread_pool", add=2)
    graph = _flow()
    graph.to(runner).respond()

    step = _step(graph)

    assert (step.name, step.kind, step.target) == ("run", "router", "fnkit.serving:ModelRunner")
    assert [(route.key, route.target, route.args) for route in step.routes] == [
        ("a", f"{__name__}:Adds", {"add": 1}),
        ("b", f"{__name__}:Adds", {"add": 2}),
    ]
    assert step.args["_model_runner_selector"] == f"{__name__}:Picks"
    with graph.to_mock_server() as mock:
        assert mock.test(body={"v": 1}) == {"b": {"v": 3}}


def test_a_shared_model_serves_its_proxies() -> None:
    graph = _flow()
    runner = _runner()
    for name in ("one", "two"):
        runner.add_shared_model_proxy(name, shared_model_name="shared")
    graph.add_shared_model("shared", Adds, "thread_pool", add=5)
    graph.configure_shared_pool_resource(max_threads=2)
    graph.to(runner).respond()

    assert _step(graph).args["max_threads"] == 2
    with graph.to_mock_server() as mock:
        assert mock.test(body={"v": 1}) == {"one": {"v": 6}, "two": {"v": 6}}


def test_a_proxy_without_its_shared_model_is_refused() -> None:
    runner = _runner()
    runner.add_shared_model_proxy("one", shared_model_name="nope")
    graph = _flow()
    graph.to(runner).respond()

    with pytest.raises(GraphError, match="Can't find shared model named nope"):
        graph._function.load()


def test_an_endpoint_is_in_one_step_only() -> None:
    graph = _flow()
    for name in ("first", "second"):
        runner = ModelRunnerStep(name=name)
        runner.add_model("a", Adds, "naive")
        if name == "first":
            graph.to(runner)
            continue
        with pytest.raises(GraphError, match=r"The graph already contains the model endpoints named - \['a'\]\."):
            graph["first"].to(runner)

    assert list(graph.steps) == ["first"]


def test_a_runner_needs_an_asynchronous_flow() -> None:
    runner = _runner()
    runner.add_model("a", Adds, "naive")

    with pytest.raises(GraphError, match="ModelRunnerStep can be added to 'Flow' topology graph only"):
        _flow("sync").to(runner)


def test_a_model_has_predict_and_takes_its_arguments() -> None:
    runner = _runner()
    runner.add_model("a", NoPredict, "naive", ad=1)
    graph = _flow()
    graph.to(runner).respond()

    with pytest.raises(ProblemsError) as caught:
        graph._function.load()

    assert [problem.code for problem in caught.value.problems] == ["unknown-argument", "no-predict"]  # type: ignore[attr-defined]  # records
