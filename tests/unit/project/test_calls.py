"""Call options as users write them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

import fnkit
from fnkit.errors import GraphError, MLRunInvalidArgumentError, ProblemsError, StepTimeoutError
from fnkit.manifest import CallOptions, Flow, Manifest, dumps, loads
from fnkit.project import FlowGraph, ServingFunction, check


class Echo:
    def do(self, body: object) -> object:
        return body


class Stuck:
    async def do(self, body: object) -> None:
        await asyncio.Event().wait()


def _flow() -> tuple[ServingFunction, FlowGraph]:
    function = fnkit.new_function("tests")
    graph = function.set_topology("flow")
    return function, graph


def _calls(function: ServingFunction) -> dict[str, CallOptions]:
    manifest: Manifest = loads(dumps(function.load().manifest))
    assert isinstance(manifest.spec, Flow)
    return {step.name: step.call for step in manifest.spec.steps}


def test_options_are_given_with_the_step_set_on_it_or_added_to_it() -> None:
    function, graph = _flow()

    graph.to(Echo, "a", call={"timeout_s": 2, "retry_on": ConnectionError}).to(Echo, "b", call=CallOptions(retries=1))
    graph.add_step(Echo, "c", after="$prev", call={"idle_timeout_s": 1}).with_call(timeout_s=3, retries=2).with_call(retries=0)
    graph["c"].to(Echo, "d").respond()
    graph["d"].call = {"retry_on": ["KeyError", TimeoutError], "jitter": "none"}

    assert _calls(function) == {
        "a": CallOptions(timeout_s=2, retry_on=("ConnectionError",)),
        "b": CallOptions(retries=1),
        "c": CallOptions(timeout_s=3, idle_timeout_s=1, retries=0),
        "d": CallOptions(retry_on=("KeyError", "TimeoutError"), jitter="none"),
    }
    assert graph.to_dict()["steps"]["a"]["call"] == {"timeout_s": 2, "retry_on": ["ConnectionError"]}  # type: ignore[index]  # a dict


def test_what_a_step_does_not_say_its_function_says_and_then_the_graph() -> None:
    function, graph = _flow()
    graph.with_call(timeout_s=9, retries=9)
    function.with_call(retries=8)
    function.add_child_function("far").with_call(retries=7, backoff_s=7)

    graph.to(Echo, "a").to(Echo, "b", function="far").to(Echo, "c", function="far", call={"retries": 1}).respond()

    assert _calls(function) == {
        "a": CallOptions(timeout_s=9, retries=8),
        "b": CallOptions(timeout_s=9, retries=7, backoff_s=7),
        "c": CallOptions(timeout_s=9, retries=1, backoff_s=7),
    }


def test_queues_are_left_out_of_the_defaults() -> None:
    function, graph = _flow()
    graph.with_call(timeout_s=9)
    function.add_child_function("far")

    graph.to(Echo, "a").to(">>", "q", path="").to(Echo, "b", function="far")

    assert _calls(function)["q"] == CallOptions()


def test_models_of_a_router_have_options_of_their_own() -> None:
    function, graph = _flow()
    graph.to("*", name="router").respond()

    function.add_model("m1", ".", class_name="fnkit.serving:V2ModelServer").with_call(timeout_s=2)

    assert graph["router"].routes["m1"].call == CallOptions(timeout_s=2)
    assert graph.to_dict()["steps"]["router"]["routes"]["m1"]["call"] == {"timeout_s": 2}  # type: ignore[index]  # a dict


@pytest.mark.parametrize(
    ("write", "where", "text", "hint"),
    [
        (lambda graph: graph.to(Echo, call={"timeout": 3}), "step 'Echo'", "a call has no option 'timeout'", "'timeout_s' here"),
        (lambda graph: graph.to(Echo).with_call(max_attempts=3), "step 'Echo'", "no option 'max_attempts'", "'retries' here"),
        (lambda graph: graph.with_call(retris=3), "the graph", "no option 'retris'", "did you mean 'retries'?"),
        (lambda graph: graph.to(Echo, call=3), "step 'Echo'", "not 3", "step.class_args['call']"),
    ],
)
def test_a_word_that_is_no_option_is_refused_with_the_right_one(
    write: Callable[[FlowGraph], object], where: str, text: str, hint: str
) -> None:
    _, graph = _flow()

    with pytest.raises(MLRunInvalidArgumentError) as caught:
        write(graph)

    assert caught.value.where == where
    assert text in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(("word", "option"), [("timeout_s", "timeout_s"), ("timeout", "timeout_s"), ("retries", "retries")])
def test_an_option_of_calls_among_the_arguments_of_a_class_is_told_where_it_belongs(word: str, option: str) -> None:
    function, graph = _flow()
    graph.to(Echo, "a", **{word: 3}).respond()  # type: ignore[arg-type]  # as the word stands there

    with pytest.raises(ProblemsError) as caught:
        function.load()

    (problem,) = caught.value.problems
    assert str(problem).endswith(f"did you mean an option of the calls to this step: call={{'{option}': ...}}?)")


def test_a_value_that_means_nothing_is_told_with_all_other_faults() -> None:
    function, graph = _flow()
    graph.to(Echo, "a", call={"timeout_s": -1, "retries": "two"}).to("Nobody", "b").respond()

    with pytest.raises(ProblemsError) as caught:
        function.load()

    for line in ("step 'a': call.timeout_s: must be more than 0", "step 'a': call.retries: expected a whole number", "step 'b'"):
        assert line in str(caught.value)


def test_the_mock_server_keeps_the_limits() -> None:
    function, graph = _flow()
    graph.to(Stuck, call={"timeout_s": 0.05}).respond()

    with (
        function.to_mock_server() as server,
        pytest.raises(RuntimeError, match=r"failed \(504\): StepTimeoutError: step 'Stuck' did"),
    ):
        server.test(body=1)


def test_the_mock_server_refuses_what_cannot_be_meant() -> None:
    function, graph = _flow()
    graph.to(Echo, call={"timeout_s": 0}).respond()

    with pytest.raises(GraphError, match="must be more than 0"):
        function.to_mock_server()


def test_a_check_warns_of_limits_that_are_never_reached(tmp_path: Path) -> None:
    path = tmp_path / "graph.py"
    path.write_text(
        "import fnkit\n\n\n"
        "class Echo:\n    def do(self, body):\n        return body\n\n\n"
        "fn = fnkit.code_to_function('g', kind='serving')\n"
        "fn.spec.timeout_s = 30\n"
        "graph = fn.set_topology('flow')\n"
        "graph.to('Echo', 'a', call={'timeout_s': 50}).to('Echo', 'b', call={'timeout_s': 20, 'retries': 1}).respond()\n"
    )

    checked = check(str(path))

    assert checked.problems == ()
    assert [(warning.step, warning.code) for warning in checked.warnings] == [("a", "call-timeout"), ("b", "call-retries")]


def test_the_error_of_a_late_step_is_a_timeout_to_python_too() -> None:
    assert issubclass(StepTimeoutError, TimeoutError)
