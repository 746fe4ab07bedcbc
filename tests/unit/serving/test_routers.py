"""Routers, model servers and ensembles."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from fnkit.engine import Context, Event, FlowTopology, Response, Stream, drive
from fnkit.errors import GraphError, MLRunInvalidArgumentError, MLRunRuntimeError
from fnkit.manifest.model import Flow, Manifest, Route, Router, Step
from fnkit.serving import BaseModelRouter, ModelRouter, ParallelRun, V2ModelServer, compile_router
from tests.fakes.flows import running
from tests.fakes.web import Asked, web


class Scaler(V2ModelServer):
    def load(self) -> None:
        self.k = self.get_param("k", 1)

    def predict(self, request: dict[str, object]) -> object:
        inputs, k = request["inputs"], self.k
        assert isinstance(inputs, list)
        assert isinstance(k, int)
        return [value * k for value in inputs]


class LaterScaler(Scaler):
    async def predict(self, request: dict[str, object]) -> object:
        return super().predict(request)


class Talker(V2ModelServer):
    def load(self) -> None:
        """There is nothing to load."""

    def predict(self, request: dict[str, object]) -> object:
        inputs = request["inputs"]
        assert isinstance(inputs, list)
        return (str(word) for word in inputs)


class Broken(V2ModelServer):
    def load(self) -> None:
        """There is nothing to load."""

    def predict(self, request: dict[str, object]) -> object:
        raise ArithmeticError("no luck")


class Unloadable(V2ModelServer):
    def load(self) -> None:
        raise OSError("no such file")


class Hooked(ModelRouter):
    def preprocess(self, event: Event) -> Event:
        event.body = {"inputs": [7]}
        return event

    async def postprocess(self, event: Event) -> Event:  # type: ignore[override]  # hooks may be async
        assert isinstance(event.body, dict)
        event.body = event.body["outputs"]
        return event


NAMES = {name: value for name, value in globals().items() if isinstance(value, type)}


def router(
    *routes: Route,
    target: str = "fnkit.serving:ModelRouter",
    context: Context | None = None,
    name: str = "router",
    **args: object,
) -> FlowTopology:
    step = Step(name, kind="router", target=target, args=args, routes=routes)
    manifest = Manifest("g", Router(step), topology="router")
    return compile_router(manifest, namespaces=[NAMES], context=context or Context())


def scaler(key: str, k: int, target: str = "Scaler") -> Route:
    return Route(key, target=target, args={"k": k})


def ask(flow: FlowTopology, path: str, body: object = None, method: str = "POST") -> object:
    async def use() -> object:
        value = await flow.run(Event(body, id="E1", path=path, method=method))
        return [chunk async for chunk in value] if isinstance(value, Stream) else value

    return running(use)


def outputs(answer: object) -> object:
    assert isinstance(answer, dict), answer
    return answer["outputs"]


INPUTS = {"inputs": [1, 2]}


def test_a_path_names_the_model_its_version_and_the_operation() -> None:
    flow = router(scaler("m", 2), scaler("s:v2", 5))

    paths = ["/v2/models/m", "/v2/models/m/", "/v2/models/m/predict", "/v2/models/s/versions/v2/infer", "/v2/models/s:v2/infer"]

    assert [outputs(ask(flow, path, INPUTS)) for path in paths] == [[2, 4], [2, 4], [2, 4], [5, 10], [5, 10]]


def test_the_health_check_names_the_router_and_the_prefix_lists_the_models() -> None:
    flow = router(scaler("m", 2), scaler("s:v2", 5))

    health = {"name": "ModelRouter", "version": "v2", "extensions": []}

    assert [ask(flow, "/", method="GET"), ask(flow, "/v2/health/live", method="GET")] == [health, health]
    assert ask(flow, "/v2/models/", method="GET") == {"models": ["m", "s:v2"]}


def test_a_router_of_plain_models_needs_no_event_loop() -> None:
    flow = router(scaler("m", 2))

    assert not flow.needs_loop
    assert outputs(drive(flow.run(Event(INPUTS, path="/v2/models/m", method="POST")))) == [2, 4]
    assert router(scaler("m", 2, "LaterScaler")).needs_loop


def test_a_model_may_predict_asynchronously() -> None:
    assert outputs(ask(router(scaler("m", 3, "LaterScaler")), "/", INPUTS)) == [3, 6]


def test_a_model_may_stream() -> None:
    assert ask(router(Route("t", target="Talker")), "/v2/models/t/infer", {"inputs": ["a", "b"]}) == ["a", "b"]


def test_bodies_are_read_as_json_and_images_as_files() -> None:
    flow = router(scaler("m", 2), Route("kind", handler="(str(event))"))

    image = running(lambda: flow.run(Event(b"\x89PNG", path="/v2/models/kind", content_type="image/png", method="POST")))

    assert str(image).startswith("<_io.BytesIO")
    assert outputs(ask(flow, "/v2/models/m", b'{"inputs": [4]}')) == [8]


def test_an_address_in_the_body_is_not_fetched() -> None:
    with pytest.raises(ValueError, match="data_url is not followed"):
        ask(router(scaler("m", 2)), "/v2/models/m", {"data_url": "http://127.0.0.1/secret"})


def test_an_empty_request_is_told_what_is_missing() -> None:
    with pytest.raises(Exception, match='Expected key "inputs" in request body'):
        ask(router(scaler("m", 2)), "/v2/models/m")


def test_ready_and_metadata_are_answered_to_get() -> None:
    flow = router(scaler("m:v1", 2))

    assert ask(flow, "/v2/models/m:v1/ready", method="GET") == Response(body=b"Model m:v1 is ready (event_id = E1)")
    assert ask(flow, "/v2/models/m:v1", method="GET") == {"name": "m", "model_endpoint_uid": "", "inputs": [], "outputs": []}


def test_a_model_that_cannot_be_loaded_says_which() -> None:
    with pytest.raises(RuntimeError, match="failed to load model m") as caught:
        router(Route("m", target="Unloadable"))

    assert isinstance(caught.value.__cause__, OSError)


def test_a_model_that_loads_in_the_background_is_not_ready_before() -> None:
    may_load, loaded = threading.Event(), threading.Event()

    class Slow(V2ModelServer):
        def load(self) -> None:
            may_load.wait(60)

        def set_metric(self, name: str, value: float) -> None:
            loaded.set()

    model = Slow(name="m")
    model.post_init("async")

    with pytest.raises(RuntimeError, match="model m is not ready yet"):
        drive(model.do_event(Event({"inputs": []}, method="POST")))
    event = drive(model.do_event(Event(method="GET", path="/ready")))
    assert isinstance(event, Event)
    assert event.body == Response(body=b"model not ready", status_code=408)
    may_load.set()


def test_parameters_of_the_model_go_before_those_of_the_function() -> None:
    model = Scaler(context=Context(parameters={"k": 2, "z": 3}), name="m", k=1)

    assert (model.get_param("k"), model.get_param("z"), model.get_param("none", 5)) == (1, 3, 5)


def test_a_model_file_is_found_by_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").touch()
    (tmp_path / "b.json").touch()

    assert Scaler(model_path=str(tmp_path)).get_model(".json") == (str(tmp_path / "b.json"), {"a.pkl": str(tmp_path / "a.pkl")})
    assert Scaler(model_path=f"file://{tmp_path}/a.pkl").get_model() == (str(tmp_path / "a.pkl"), {})


@pytest.mark.parametrize("path", [None, "s3://bucket/model", "nowhere"])
def test_a_model_file_that_is_not_there_is_an_error_with_a_remedy(path: str | None) -> None:
    with pytest.raises(MLRunInvalidArgumentError) as caught:
        Scaler(model_path=path).get_model()

    assert "model_path" in caught.value.hint


def test_operations_on_dicts_are_refused() -> None:
    with pytest.raises(MLRunInvalidArgumentError, match="infer_dict needs a model spec"):
        ask(router(scaler("m", 2)), "/v2/models/m/infer_dict", INPUTS)


def test_methods_that_are_missing_are_named() -> None:
    model = V2ModelServer(name="m", model=object())

    with pytest.raises(NotImplementedError, match=r"no method predict\(self, request\)"):
        model.predict({})
    with pytest.raises(NotImplementedError, match=r"no method explain\(self, request\)"):
        model.explain({})


def test_hooks_of_a_router_may_change_request_and_response() -> None:
    assert ask(router(scaler("m", 2), target="Hooked"), "/", {"x": 1}) == [14]


def test_a_router_without_routes_is_refused() -> None:
    with pytest.raises(MLRunRuntimeError, match="You have to add models to the router step"):
        BaseModelRouter(routes={})


def test_only_routers_are_compiled_as_routers() -> None:
    with pytest.raises(GraphError, match="is a flow, not a router"):
        compile_router(Manifest("g", Flow(())), context=Context())


def test_paths_of_the_body_hold_for_the_router() -> None:
    step = Step(
        "r", kind="router", target="fnkit.serving:ModelRouter", routes=(scaler("m", 2),), input_path="in", result_path="out"
    )
    flow = compile_router(Manifest("g", Router(step), topology="router"), namespaces=[NAMES], context=Context())

    answer = ask(flow, "/v2/models/m", {"in": INPUTS, "kept": 1})

    assert isinstance(answer, dict)
    assert answer["kept"] == 1
    assert answer["out"]["outputs"] == [2, 4]


def ensemble(*routes: Route, **args: object) -> FlowTopology:
    return router(*routes, target="fnkit.serving:VotingEnsemble", name="VotingEnsemble", **args)  # type: ignore[arg-type]  # all are args


THREE = (scaler("a", 1), scaler("b", 1), scaler("c", 3))


@pytest.mark.parametrize("path", ["/", "/v2/models/infer", "/v2/models/VotingEnsemble/infer", "/v2/models/VotingEnsemble"])
def test_an_ensemble_votes_over_all_models(path: str) -> None:
    assert ask(ensemble(*THREE), path, INPUTS) == {"id": "E1", "model_name": "VotingEnsemble", "outputs": [1, 2]}


@pytest.mark.parametrize("path", ["/v2/models/infer", "/v2/models/VotingEnsemble"])
@pytest.mark.parametrize(
    ("body", "told"), [({"x": 1}, 'Expected key "inputs"'), ({"inputs": 5}, 'Expected "inputs" to be a list')]
)
def test_a_request_to_an_ensemble_is_checked_before_its_models_are_asked(path: str, body: object, told: str) -> None:
    with pytest.raises(Exception, match=f"^{told}"):
        ask(ensemble(*THREE), path, body)


def test_an_ensemble_tells_what_it_is_and_whether_it_is_ready() -> None:
    flow = ensemble(*THREE)
    path = "/v2/models/VotingEnsemble"

    assert ask(flow, path, method="GET") == {"name": "VotingEnsemble", "model_endpoint_uid": "", "inputs": [], "outputs": []}
    assert ask(flow, f"{path}/ready", method="GET") == Response(body=b"Model VotingEnsemble is ready (event_id = E1)")
    with pytest.raises(ValueError, match="illegal model operation infer, method=GET"):
        ask(flow, f"{path}/infer", method="GET")


@pytest.mark.parametrize("executor", ["thread", "array"])
def test_weights_of_any_unit_decide_a_vote(executor: str) -> None:
    flow = ensemble(*THREE, weights={"a": 1, "b": 1, "c": 5}, executor_type=executor)

    assert outputs(ask(flow, "/", INPUTS)) == [3, 6]


def test_other_numbers_are_averaged_by_weight() -> None:
    flow = ensemble(*THREE, vote_type="regression", weights={"a": 1, "b": 1, "c": 2})

    assert outputs(ask(flow, "/", INPUTS)) == [2.0, 4.0]


def test_outputs_can_have_a_column_name() -> None:
    flow = ensemble(*THREE, format_response_with_col_name_flag=True, prediction_col_name="label")

    assert outputs(ask(flow, "/", INPUTS)) == {"label": [1, 2]}


def test_a_tie_goes_to_the_smallest_value() -> None:
    assert outputs(ask(ensemble(scaler("a", 9), scaler("b", 4)), "/", {"inputs": [1]})) == [4]


def test_an_unknown_model_of_an_ensemble_is_told_what_there_is() -> None:
    with pytest.raises(
        ValueError, match=r"model zz doesnt exist, available models: a \| b \| c \| VotingEnsemble or an operation alone"
    ):
        ask(ensemble(*THREE), "/v2/models/zz/infer", INPUTS)


def test_a_failing_member_fails_the_vote_and_is_named() -> None:
    with pytest.raises(RuntimeError, match="routes of VotingEnsemble failed: bad ArithmeticError: no luck"):
        ask(ensemble(scaler("a", 1), Route("bad", target="Broken")), "/", INPUTS)


@pytest.mark.parametrize(
    "arguments",
    [{"weights": {"a": 1}}, {"weights": {"a": 0, "b": 0, "c": 0}}, {"vote_type": "guess"}, {"executor_type": "process"}],
)
def test_an_ensemble_refuses_what_it_cannot_do(arguments: dict[str, object]) -> None:
    with pytest.raises(MLRunInvalidArgumentError):
        ensemble(*THREE, **arguments)


def test_a_parallel_run_merges_in_the_order_of_the_routes() -> None:
    routes = (Route("one", handler="({'x': 1, 'from': 'one'})"), Route("two", handler="({'y': event['q'], 'from': 'two'})"))

    plain = router(*routes, target="fnkit.serving:ParallelRun")
    extended = router(*routes, target="fnkit.serving:ParallelRun", extend_event=True)

    assert ask(plain, "/", {"q": 5}) == {"x": 1, "y": 5, "from": "two"}
    assert ask(extended, "/", {"q": 5}) == {"q": 5, "x": 1, "y": 5, "from": "two"}
    with pytest.raises(ValueError, match="illegal path prefix /elsewhere, must start with /v2/models"):
        ask(plain, "/elsewhere", {"q": 5})


def test_routes_of_a_parallel_run_are_under_way_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=60)

    class Meet:
        def do(self, body: object) -> object:
            return {"met": both.wait() >= 0}

    step = Step(
        "p", kind="router", target="fnkit.serving:ParallelRun", routes=(Route("a", target="Meet"), Route("b", target="Meet"))
    )
    flow = compile_router(Manifest("g", Router(step), topology="router"), namespaces=[{"Meet": Meet}], context=Context())

    assert ask(flow, "/", {"q": 1}) == {"met": True}


def test_routes_of_a_parallel_run_do_not_share_the_body() -> None:
    class Spoil:
        def do(self, body: object) -> object:
            assert isinstance(body, dict)
            body["list"].append(1)
            return {str(len(body["list"])): True}

    step = Step(
        "p", kind="router", target="fnkit.serving:ParallelRun", routes=(Route("a", target="Spoil"), Route("b", target="Spoil"))
    )
    flow = compile_router(Manifest("g", Router(step), topology="router"), namespaces=[{"Spoil": Spoil}], context=Context())

    assert ask(flow, "/", {"list": []}) == {"1": True}


def test_a_parallel_run_needs_dicts() -> None:
    with pytest.raises(TypeError, match="the route one returned a int"):
        ask(router(Route("one", handler="(1)"), target="fnkit.serving:ParallelRun"), "/", {"q": 1})


def test_a_merger_of_ones_own_is_used() -> None:
    class Names(ParallelRun):
        def merger(self, body: object, results: object) -> object:
            assert isinstance(results, dict)
            return sorted(results)

    step = Step("p", kind="router", target="Names", routes=(Route("b", handler="(1)"), Route("a", handler="(2)")))
    flow = compile_router(Manifest("g", Router(step), topology="router"), namespaces=[{"Names": Names}], context=Context())

    assert ask(flow, "/", {"q": 1}) == ["a", "b"]


@pytest.mark.parametrize("kind", ["EnrichmentModelRouter", "EnrichmentVotingEnsemble"])
def test_routers_of_the_feature_store_are_refused_plainly(kind: str) -> None:
    with pytest.raises(MLRunInvalidArgumentError, match=f"{kind} reads feature vectors from MLRun's feature store"):
        router(scaler("m", 1), target=f"fnkit.serving:{kind}")


def test_requests_to_a_router_run_at_the_same_time() -> None:
    entered: list[int] = []
    release = asyncio.Event()

    class Waits(V2ModelServer):
        def load(self) -> None:
            """There is nothing to load."""

        async def predict(self, request: dict[str, object]) -> object:
            entered.append(1)
            if len(entered) == 8:
                release.set()
            await release.wait()
            return [len(entered)]

    step = Step("r", kind="router", target="fnkit.serving:ModelRouter", routes=(Route("w", target="Waits"),))
    flow = compile_router(Manifest("g", Router(step), topology="router"), namespaces=[{"Waits": Waits}], context=Context())

    async def use() -> list[object]:
        events = [Event(INPUTS, path="/v2/models/w", method="POST") for _ in range(8)]
        return list(await asyncio.wait_for(asyncio.gather(*(flow.run(event) for event in events)), 60))

    assert [outputs(answer) for answer in running(use)] == [[8]] * 8


def test_closing_the_graph_closes_what_its_models_hold() -> None:
    closed: list[str] = []

    class Holds(Scaler):
        def close(self) -> None:
            closed.append(self.name)

    step = Step("r", kind="router", target="fnkit.serving:ModelRouter", routes=(Route("m", target="Holds"), scaler("s", 1)))
    flow = compile_router(Manifest("g", Router(step), topology="router"), namespaces=[{"Holds": Holds}, NAMES], context=Context())

    drive(flow.close())

    assert closed == ["m"]


def test_a_route_may_be_another_server() -> None:
    def other(asked: Asked) -> tuple[int, object]:
        return 200, {"outputs": [asked.method, asked.json()]}

    with web(other) as site:
        flow = router(Route("far", target="fnkit.steps:RemoteStep", args={"url": site.url, "retries": 0}))

        async def use() -> object:
            answer = await flow.run(Event(INPUTS, path="/v2/models/far/infer", method="POST"))
            await flow.close()
            return answer

        assert outputs(running(use)) == ["POST", INPUTS]
