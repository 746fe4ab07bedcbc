"""Model runners, written as users write them and run in a mock server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import fnkit
from fnkit.errors import GraphError, MLRunInvalidArgumentError, ModelRunnerError
from fnkit.project.graph import FlowGraph
from fnkit.project.mock import MockServer
from fnkit.serving import LLModel, LLMPromptArtifact, Model, ModelArtifact, ModelRunnerSelector, ModelRunnerStep
from tests.fakes.emulator_process import wait_until_gone
from tests.fakes.web import Asked, web

PROCESSES = ("process_pool", "dedicated_process")
ALL = ("naive", "asyncio", "thread_pool", *PROCESSES)


class Add(Model):
    def __init__(self, name: str, add: int = 1, **kwargs: object) -> None:
        super().__init__(name, **kwargs)  # type: ignore[arg-type]  # what the base takes
        self.add = add

    def predict(self, body: dict[str, object], **kwargs: object) -> object:  # type: ignore[override]  # bodies are dicts here
        value = body["v"]
        assert isinstance(value, int)
        body["v"] = value + self.add
        return body

    async def predict_async(self, body: dict[str, object], **kwargs: object) -> object:  # type: ignore[override]  # as above
        return self.predict(body)


class Where(Model):
    def predict(self, body: object, **kwargs: object) -> object:
        return {"pid": os.getpid(), "thread": threading.current_thread().name}


class Words(Model):
    def predict(self, body: object, **kwargs: object) -> Iterator[str]:
        for word in str(body).split():
            if word == "!":
                raise LookupError("stopped")
            yield word

    async def predict_async(self, body: object, **kwargs: object) -> AsyncIterator[str]:  # type: ignore[override]  # it streams
        for word in self.predict(body):
            yield word


class Fails(Model):
    def predict(self, body: object, **kwargs: object) -> object:
        raise TypeError(f"{self.name} cannot")


class Dies(Model):
    def predict(self, body: object, **kwargs: object) -> object:
        if body == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return body


class Unloadable(Model):
    def load(self) -> None:
        raise OSError("no weights")

    def predict(self, body: object, **kwargs: object) -> object:
        return body


class Counted(Model):
    loads: list[str] = []  # noqa: RUF012  # a list for all of them is what the test is about

    def load(self) -> None:
        self.loads.append(self.name)

    def run(self, body: object, path: str = "/", origin_name: str | None = None) -> object:
        return [self.name, origin_name, self.artifacts.get(origin_name or "", {})]

    def predict(self, body: object, **kwargs: object) -> object:
        return body


class NoPredict(Model):
    """A model without a method."""


class ByField(ModelRunnerSelector):
    def select_models(self, event: fnkit.Event, available_models: Sequence[Model]) -> Sequence[str | Model] | str | None:
        body = event.body
        return body.get("use") if isinstance(body, dict) else None


class ByKind(ModelRunnerSelector):
    def __init__(self, kind: str) -> None:
        super().__init__(kind=kind)
        self.kind = kind

    async def select_models(  # type: ignore[override]  # a selector may be async
        self, event: fnkit.Event, available_models: Sequence[Model]
    ) -> Sequence[str | Model]:
        return [model for model in available_models if type(model).__name__ == self.kind]


class Go(ModelRunnerSelector):
    def select_outlets(self, event: object) -> str | None:
        return event.get("go") if isinstance(event, dict) else None


def flow() -> FlowGraph:
    graph = fnkit.new_function("g", kind="serving").set_topology("flow")
    assert isinstance(graph, FlowGraph)
    return graph


def runner(*models: tuple[str, object, str], **options: object) -> ModelRunnerStep:
    step = ModelRunnerStep(name="mr", **options)  # type: ignore[arg-type]  # options of the step
    for name, model, mechanism in models:
        step.add_model(name, model, mechanism)
    return step


@contextmanager
def serving(step: ModelRunnerStep) -> Iterator[MockServer]:
    graph = flow()
    graph.to(step).respond()
    with graph.to_mock_server() as server:
        yield server


@pytest.mark.parametrize("mechanism", ALL)
def test_a_model_runs_wherever_it_is_told_to(mechanism: str) -> None:
    with serving(runner(("m", Where, mechanism) if mechanism != "asyncio" else ("m", Add, mechanism))) as server:
        answer = server.test(body={"v": 1})

    assert isinstance(answer, dict)
    if mechanism == "asyncio":
        assert answer == {"v": 2}
    else:
        assert (answer["pid"] == os.getpid()) == (mechanism not in PROCESSES)
        assert answer["thread"].startswith("fnkit-model") == (mechanism == "thread_pool")


@pytest.mark.parametrize("mechanism", ALL)
def test_a_model_streams_wherever_it_runs(mechanism: str) -> None:
    with serving(runner(("m", Words, mechanism))) as server:
        assert list(server.test(body="a b c")) == ["a", "b", "c"]  # type: ignore[call-overload]  # a stream
        with pytest.raises(Exception, match="LookupError: stopped"):
            list(server.test(body="a !"))  # type: ignore[call-overload]  # a stream
        assert list(server.test(body="again")) == ["again"]  # type: ignore[call-overload]  # a stream


@pytest.mark.parametrize("mechanism", ALL)
def test_a_stream_that_is_left_frees_its_model(mechanism: str) -> None:
    with serving(runner(("m", Words, mechanism))) as server:
        stream = server.test(body="a b c")
        assert next(stream) == "a"  # type: ignore[call-overload]  # a stream
        stream.close()  # type: ignore[attr-defined]  # a stream

        assert list(server.test(body="d e")) == ["d", "e"]  # type: ignore[call-overload]  # a stream


@pytest.mark.parametrize("mechanism", ["naive", "asyncio", "thread_pool", "dedicated_process"])
def test_several_models_run_on_copies_and_answer_by_name(mechanism: str) -> None:
    step = runner()
    step.add_model("one", "Add", mechanism, add=1)
    step.add_model("two", "Add", mechanism, add=2)

    with serving(step) as server:
        assert server.test(body={"v": 1}) == {"one": {"v": 2}, "two": {"v": 3}}


def test_models_in_threads_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=60)

    class Meets(Model):
        def predict(self, body: object, **kwargs: object) -> object:
            return both.wait() >= 0

    with serving(runner(("a", Meets, "thread_pool"), ("b", Meets, "thread_pool"))) as server:
        assert server.test(body={}) == {"a": True, "b": True}


def test_a_list_is_formatted_as_a_batch() -> None:
    class Batched(Model):
        def format_batch(self, body: list[object]) -> object:
            return {"inputs": body}

        def predict(self, body: object, **kwargs: object) -> object:
            return body

    with serving(runner(("m", Batched, "naive"))) as server:
        assert server.test(body=[1, 2]) == {"inputs": [1, 2]}


def test_a_selector_chooses_by_name_and_none_means_all() -> None:
    with serving(runner(("p", Add, "naive"), ("q", Add, "naive"), model_runner_selector=ByField)) as server:
        assert server.test(body={"v": 1, "use": ["q"]}) == {"q": {"v": 2, "use": ["q"]}}
        assert server.test(body={"v": 1, "use": "p"}) == {"p": {"v": 2, "use": "p"}}
        assert server.test(body={"v": 1}) == {"p": {"v": 2}, "q": {"v": 2}}


def test_choosing_no_model_answers_with_nothing() -> None:
    with serving(runner(("p", Add, "naive"), ("q", Add, "naive"), model_runner_selector="ByField")) as server:
        assert server.test(body={"v": 1, "use": []}) == {}


def test_a_selector_may_be_async_choose_models_and_have_parameters() -> None:
    step = runner(("p", Add, "naive"), ("w", Where, "naive"), model_selector="ByKind", model_selector_parameters={"kind": "Add"})

    with serving(step) as server:
        assert server.test(body={"v": 1}) == {"p": {"v": 2}}


def test_a_selector_may_be_an_object() -> None:
    with serving(runner(("p", Add, "naive"), ("w", Where, "naive"), model_runner_selector=ByKind("Add"))) as server:
        assert server.test(body={"v": 1}) == {"p": {"v": 2}}


@pytest.mark.parametrize(
    ("use", "message"),
    [(["zz", "p"], "The following selected Runnables are not registered: zz"), (["p", "p"], "more than one outlet named 'p'")],
)
def test_a_wrong_choice_is_named(use: list[str], message: str) -> None:
    with (
        serving(runner(("p", Add, "naive"), model_runner_selector=ByField)) as server,
        pytest.raises(RuntimeError, match=message),
    ):
        server.test(body={"v": 1, "use": use})


def test_a_selector_chooses_the_next_step() -> None:
    graph = flow()
    step = graph.to(runner(("m", Add, "naive"), model_runner_selector=Go))
    step.to(name="left", handler="(['left', event['v']])").to(name="end", handler="(event)").respond()
    step.to(name="right", handler="(['right', event['v']])").to(name="also", handler="(event)")
    graph["end"].after_step("right")

    with graph.to_mock_server() as server:
        assert server.test(body={"v": 1, "go": "left"}) == ["left", 2]
        assert server.test(body={"v": 1, "go": "right"}) == ["right", 2]
        with pytest.raises(RuntimeError, match=r"Invalid outlet 'up' for 'mr'\. Allowed outlets are: left, right\."):
            server.test(body={"v": 1, "go": "up"})


def test_the_error_has_a_line_for_each_model_that_ran() -> None:
    with serving(runner(("a", Fails, "naive"), ("b", Fails, "thread_pool"), ("c", Where, "naive"))) as server:
        with pytest.raises(RuntimeError) as caught:
            server.test(body={})

    assert (
        str(caught.value)
        == "failed (400): ModelRunnerError: ModelRunnerError: a TypeError: a cannot;\nb TypeError: b cannot;\nc None"
    )


def test_errors_may_be_results() -> None:
    with serving(runner(("a", Fails, "dedicated_process"), ("w", Add, "naive"), raise_exception=False)) as server:
        assert server.test(body={"v": 1}) == {"a": {"error": "TypeError: a cannot"}, "w": {"v": 2}}
    step = runner()
    step.add_model("a", Fails, "naive", raise_exception=False)
    with serving(step) as server:
        assert server.test(body={"v": 1}) == {"error": "TypeError: a cannot"}


def test_an_error_handler_gets_the_body_that_the_models_were_given() -> None:
    graph = flow()
    graph.to(runner(("a", Fails, "naive"))).respond()
    graph.error_handler(name="catch", handler="({'caught': event})")

    with graph.to_mock_server() as server:
        assert server.test(body={"v": 1}) == {"caught": {"v": 1}}


def test_two_models_cannot_stream_at_once() -> None:
    with serving(runner(("a", Words, "naive"), ("b", Where, "naive"))) as server:
        with pytest.raises(RuntimeError, match="StreamingError: Streaming is not supported when multiple runnables are selected"):
            server.test(body="x")


def test_a_process_that_dies_fails_its_call_and_is_started_again() -> None:
    with serving(runner(("m", Dies, "dedicated_process"))) as server:
        assert server.test(body="live") == "live"
        with pytest.raises(RuntimeError, match="the process of m ended with exit code -9"):
            server.test(body="die")
        assert server.test(body="back") == "back"


@pytest.mark.parametrize("mechanism", ALL)
def test_a_model_that_cannot_be_loaded_stops_the_start(mechanism: str) -> None:
    kind = type("Later", (Unloadable,), {"predict_async": Add.predict_async})

    with pytest.raises(OSError, match="no weights"), serving(runner(("m", kind, mechanism))):
        pass


@pytest.mark.parametrize(
    ("mechanism", "method"), [("naive", "predict"), ("asyncio", "predict_async"), ("process_pool", "predict")]
)
def test_a_model_without_its_method_is_refused_at_the_start(mechanism: str, method: str) -> None:
    with pytest.raises(ModelRunnerError, match=rf"m is running with {mechanism} execution_mechanism but {method}\(\) is not"):
        with serving(runner(("m", NoPredict, mechanism))):
            pass


def test_a_class_that_is_no_model_is_refused() -> None:
    class Stranger:
        def do(self, body: object) -> object:
            return body

    with pytest.raises(GraphError, match=r"which is no fnkit\.serving\.Model"), serving(runner(("m", Stranger, "naive"))):
        pass


def test_no_process_is_left_when_the_server_is_closed() -> None:
    with serving(runner(("m", Where, "dedicated_process"))) as server:
        answer = server.test(body={})

    assert isinstance(answer, dict)
    with pytest.raises(ProcessLookupError):
        os.kill(answer["pid"], 0)


def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(
        "import os, fnkit\n"
        "from fnkit.serving import Model, ModelRunnerStep\n"
        "class Where(Model):\n"
        "    def predict(self, body, **kwargs):\n"
        "        return os.getpid()\n"
        "graph = fnkit.new_function('g').set_topology('flow')\n"
        "step = ModelRunnerStep(name='mr')\n"
        "step.add_model('a', Where, 'dedicated_process')\n"
        "step.add_model('b', Where, 'process_pool')\n"
        "graph.to(step).respond()\n"
        "print(graph.to_mock_server().test(body={}), flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "parent.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)

    children = [
        int(pid) for pid in done.stdout.replace("{", "").replace("}", "").replace("'a':", "").replace("'b':", "").split(",")
    ]
    assert len(children) == 2
    for child in children:
        wait_for_end(child)


def wait_for_end(pid: int) -> None:
    """Wait until the process is gone."""
    wait_until_gone([pid])


def test_a_shared_model_is_loaded_once_for_all_its_proxies() -> None:
    Counted.loads.clear()
    graph = flow()
    graph.add_shared_model("llm", Counted, "naive", model_artifact="mock://")
    first, second = ModelRunnerStep(name="first"), ModelRunnerStep(name="second")
    first.add_shared_model_proxy("finance", {"key": "f"}, shared_model_name="llm")
    first.add_shared_model_proxy("sport", {"key": "s"}, shared_model_name="llm")
    second.add_shared_model_proxy("news", {"key": "n"}, shared_model_name="llm")
    graph.to(first).to(name="keep", handler="({'first': event})").to(second).respond()

    with graph.to_mock_server() as server:
        answer = server.test(body={})

    assert answer == ["llm", "news", {"key": "n"}]
    assert Counted.loads == ["llm"]


def test_a_shared_model_may_be_added_after_its_proxies() -> None:
    graph = flow()
    step = ModelRunnerStep(name="mr")
    step.add_shared_model_proxy("finance", {"key": "f"}, shared_model_name="llm")
    graph.to(step).respond()
    graph.add_shared_model("llm", Counted, "thread_pool")

    with graph.to_mock_server() as server:
        assert server.test(body={}) == ["llm", "finance", {"key": "f"}]


def test_a_shared_model_that_is_not_there_is_named() -> None:
    graph = flow()
    step = ModelRunnerStep(name="mr")
    step.add_shared_model_proxy("finance", shared_model_name="nope")
    graph.to(step).respond()

    with pytest.raises(GraphError, match="Can't find shared model named nope"):
        graph.to_mock_server()


def test_what_cannot_be_added_is_refused_at_once() -> None:
    step = runner(("same", Add, "naive"))
    with pytest.raises(MLRunInvalidArgumentError, match=r"^Model with name same already exists in this ModelRunnerStep\.$"):
        step.add_model("same", Add, "naive")
    step.add_model("same", Add, "thread_pool", override=True)
    with pytest.raises(ValueError, match=r"Execution mechanism 'zzz' is invalid\. It must be one of: \[process_pool, dedicated"):
        step.add_model("m", Add, "zzz")
    with pytest.raises(MLRunInvalidArgumentError, match=r"Cannot provide a model object as argument to `model_class`"):
        step.add_model("m", Add("m"), "naive", add=3)
    with pytest.raises(MLRunInvalidArgumentError, match="Inconsistent name for model"):
        step.add_model("m", Add("other"), "naive")
    with pytest.raises(MLRunInvalidArgumentError, match="use add_shared_model_proxy"):
        step.add_model("m", Add, "shared_executor")
    with pytest.raises(MLRunInvalidArgumentError, match="needs a shared_model_name"):
        step.add_shared_model_proxy("p")
    with pytest.raises(GraphError, match="either model_runner_selector or model_selector"):
        ModelRunnerStep(model_selector="A", model_runner_selector="B")
    with pytest.raises(MLRunInvalidArgumentError, match="an object has its parameters already"):
        ModelRunnerStep(model_runner_selector=ByKind("x"), model_runner_selector_parameters={"kind": "y"})
    with pytest.raises(GraphError, match="'mr' has no models"):
        flow().to(ModelRunnerStep(name="mr"))


def test_a_selector_that_nothing_knows_is_told_as_a_class() -> None:
    with (
        pytest.raises(ImportError, match="Failed to import NoSelector"),
        serving(runner(("p", Add, "naive"), model_runner_selector="NoSelector")),
    ):
        pass


def test_shared_models_are_checked_when_they_are_added() -> None:
    graph = flow()
    graph.add_shared_model("s1", Add, "naive")
    with pytest.raises(MLRunInvalidArgumentError, match=r"^Model with name s1 already exists in this graph\.$"):
        graph.add_shared_model("s1", Add, "naive")
    with pytest.raises(MLRunInvalidArgumentError, match="Cannot add a shared model with execution mechanism 'shared_executor'"):
        graph.add_shared_model("s2", Add, "shared_executor")


def test_an_endpoint_can_be_in_a_graph_only_once() -> None:
    graph = flow()
    first = graph.to(runner(("a", Add, "naive")))
    other = ModelRunnerStep(name="other")
    other.add_model("a", Add, "naive")

    with pytest.raises(GraphError, match=r"The graph already contains the model endpoints named - \['a'\]\."):
        first.to(other)


def test_models_that_are_added_to_a_step_after_it_joined_are_not_in_the_graph() -> None:
    step = runner(("a", Add, "naive"))
    graph = flow()
    graph.to(step).respond()
    step.add_model("b", Add, "naive")

    with graph.to_mock_server() as server:
        assert server.test(body={"v": 1}) == {"v": 2}


def test_events_wait_for_a_free_process_and_all_are_answered() -> None:
    step = runner(("m", Where, "process_pool"))
    step.configure_pool_resource(max_processes=2, pool_factor=2)
    graph = flow()
    graph.to(step).respond()

    with graph.to_mock_server() as server:
        topology = server._topology

        async def use() -> list[object]:
            return list(await asyncio.gather(*(topology.run(fnkit.Event({})) for _ in range(20))))

        answers = server._stepper.run(use())

    assert isinstance(answers, list)
    assert 1 <= len({answer["pid"] for answer in answers}) <= 2
    assert len(answers) == 20


PROMPT = LLMPromptArtifact(
    key="p",
    prompt_template=[{"role": "user", "content": "Q: {question} {unknown} {plain}"}],
    prompt_legend={"question": {"field": "q", "description": "what is asked"}},
    invocation_config={"temperature": 0.5},
)
MOCK_ANSWER = {
    "answer": "You are using a mock model provider, no actual inference is performed.",
    "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
}


class Spy(LLModel):
    def predict(self, body: object, **kwargs: object) -> object:
        return [kwargs["messages"], kwargs["invocation_config"]]


def test_a_prompt_is_filled_in_from_the_body() -> None:
    step = ModelRunnerStep(name="mr")
    step.add_model("m", Spy, "naive", model_artifact=PROMPT)

    with serving(step) as server:
        answer = server.test(body={"q": "why? {plain}", "plain": "P"})

    assert answer == [[{"role": "user", "content": "Q: why? {plain} {unknown} P"}], {"temperature": 0.5}]


def test_without_a_template_the_messages_are_those_of_the_body() -> None:
    step = ModelRunnerStep(name="mr")
    step.add_model("m", Spy, "naive", input_path="chat")

    with serving(step) as server:
        assert server.test(body={"chat": {"messages": [{"role": "user", "content": "hi"}]}}) == [
            [{"role": "user", "content": "hi"}],
            {},
        ]


def proxies(mechanism: str = "dedicated_process", **options: object) -> FlowGraph:
    graph = flow()
    step = ModelRunnerStep(name="model_runner_step")
    graph.add_shared_model(
        name="shared_llm",
        execution_mechanism=mechanism,
        model_class="LLModel",
        model_artifact=ModelArtifact(key="m", model_url="mock://any"),
        result_path="outputs",
        **options,  # type: ignore[arg-type]  # parameters of the model
    )
    for name in ("finance_endpoint", "sport_endpoint"):
        step.add_shared_model_proxy(endpoint_name=name, model_artifact=PROMPT, shared_model_name="shared_llm")
    graph.to(step).respond()
    return graph


@pytest.mark.parametrize("mechanism", ["asyncio", "dedicated_process"])
def test_proxies_ask_the_shared_language_model(mechanism: str) -> None:
    with proxies(mechanism).to_mock_server() as server:
        answer = server.test(body={"q": "why"})

    assert answer == {name: {"q": "why", "outputs": MOCK_ANSWER} for name in ("finance_endpoint", "sport_endpoint")}


@pytest.mark.parametrize("mechanism", ["naive", "thread_pool", "dedicated_process"])
def test_a_language_model_streams_tokens_when_told_to(mechanism: str) -> None:
    step = ModelRunnerStep(name="mr")
    step.add_model("m", LLModel, mechanism, model_artifact="mock://", streaming=True)

    with serving(step) as server:
        assert "".join(server.test(body={"messages": []})).strip() == MOCK_ANSWER["answer"]  # type: ignore[arg-type]  # a stream


def test_a_language_model_without_a_provider_says_what_is_missing() -> None:
    step = ModelRunnerStep(name="mr")
    step.add_model("e", LLModel, "naive")

    with serving(step) as server, pytest.raises(RuntimeError, match="Model provider could not be determined for model 'e'"):
        server.test(body={})


def test_an_unknown_provider_is_refused_at_the_start() -> None:
    step = ModelRunnerStep(name="mr")
    step.add_model("e", LLModel, "naive", model_artifact="carrier-pigeon://x")

    with pytest.raises(MLRunInvalidArgumentError, match="no model provider for the URL 'carrier-pigeon://x'"), serving(step):
        pass


def test_an_artifact_must_say_something() -> None:
    with pytest.raises(MLRunInvalidArgumentError, match="a model_artifact cannot be a int"):
        ModelRunnerStep(name="mr").add_model("e", LLModel, "naive", model_artifact=7)


def openai(asked: Asked) -> tuple[int, object]:
    body = asked.json()
    assert isinstance(body, dict)
    if asked.headers.get("authorization") != "Bearer key":
        return 401, {"error": "who are you?"}
    if body.get("stream"):
        pieces = [{"choices": [{"delta": {"content": word}}]} for word in ("Hel", "lo")]
        lines = [f"data: {json.dumps(piece)}\n\n" for piece in pieces]
        return 200, "".join([*lines, "data: [DONE]\n\n"])
    return 200, {"choices": [{"message": {"content": f"{body['model']} {body['temperature']}"}}], "usage": {"total_tokens": 3}}


@pytest.mark.parametrize("mechanism", ["naive", "asyncio"])
def test_a_service_with_openais_protocol_answers(mechanism: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = ModelRunnerStep(name="mr")
    artifact = {"model_url": "openai://gpt", "default_config": {"temperature": 0.1}}
    step.add_model("e", LLModel, mechanism, model_artifact=artifact, result_path="out")
    with web(openai) as site:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{site.url}/v1/")
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        with serving(step) as server:
            answer = server.test(body={"messages": [{"role": "user", "content": "hi"}]})

    assert isinstance(answer, dict)
    assert answer["out"] == {"answer": "gpt 0.1", "usage": {"total_tokens": 3}}
    assert site.asked[0].path == "/v1/chat/completions"


def test_a_service_streams_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    step = ModelRunnerStep(name="mr")
    step.add_model("e", LLModel, "thread_pool", model_artifact="openai://gpt", streaming=True)
    with web(openai) as site:
        monkeypatch.setenv("OPENAI_BASE_URL", site.url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        with serving(step) as server:
            assert list(server.test(body={"messages": []})) == ["Hel", "lo"]  # type: ignore[call-overload]  # a stream


def test_a_service_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    step = ModelRunnerStep(name="mr")
    step.add_model("e", LLModel, "naive", model_artifact="openai://gpt")
    with web(openai) as site:
        monkeypatch.setenv("OPENAI_BASE_URL", site.url)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with serving(step) as server, pytest.raises(RuntimeError, match=r"the model provider answered 401: .*who are you"):
            server.test(body={"messages": []})


def test_importing_fnkit_serving_loads_nothing_else() -> None:
    code = "import sys, fnkit.serving; print([name for name in sys.modules if name.startswith('fnkit.serving.') or name == 'asyncio'])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_language_model_streams_where_the_function_streams() -> None:
    function = fnkit.new_function("g", kind="serving")
    graph = function.set_topology("flow")
    step = ModelRunnerStep(name="mr")
    step.add_model("m", LLModel, "naive", model_artifact="mock://")
    assert isinstance(graph, FlowGraph)
    graph.to(step).respond()
    function.set_streaming(enabled=True)

    with function.to_mock_server() as server:
        assert list(server.test(body={"messages": []}))[:2] == ["You ", "are "]  # type: ignore[call-overload]  # a stream


class Agent(Model):
    def predict(self, body: dict[str, object], **kwargs: object) -> object:  # type: ignore[override]  # bodies are dicts here
        turn = body.get("turn", 0)
        assert isinstance(turn, int)
        return {**body, "turn": turn + 1, "tool": (["tool_a", "tool_b", None])[turn]}


class Tool:
    def __init__(self, tag: str) -> None:
        self.tag = tag

    def do(self, body: dict[str, object]) -> object:
        used = body.get("tag", [])
        assert isinstance(used, list)
        return {**body, "tag": [*used, self.tag]}


class PickTool(ModelRunnerSelector):
    def select_outlets(self, event: object) -> str:
        assert isinstance(event, dict)
        return event["tool"] or "end"


@pytest.mark.parametrize("mechanism", ["naive", "thread_pool"])
def test_a_runner_may_use_tools_in_a_loop(mechanism: str) -> None:
    graph = fnkit.new_function("g", kind="serving").set_topology("flow", allow_cyclic=True)
    assert isinstance(graph, FlowGraph)
    agent = graph.to(runner(("agent", Agent, mechanism), model_runner_selector=PickTool))
    agent.to(Tool, name="tool_a", tag="a", cycle_to=["mr"])
    agent.to(Tool, name="tool_b", tag="b", cycle_to=["mr"])
    agent.to(name="end", handler="(event)").respond()

    with graph.to_mock_server() as server:
        assert server.test(body={}) == {"turn": 3, "tool": None, "tag": ["a", "b"]}
