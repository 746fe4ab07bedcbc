from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fnkit
from fnkit.engine import Response
from fnkit.errors import GraphError, MLRunInvalidArgumentError, MLRunRuntimeError
from fnkit.project import FlowGraph, ServingFunction
from tests.fakes.patience import quickest

ended: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    ended.clear()


class Words:
    """Yield words, and note that the generator ended."""

    def do(self, body: str) -> Iterator[str]:
        try:
            yield from body.split()
        finally:
            ended.append("words")


class AsyncWords:
    async def do(self, body: str) -> AsyncIterator[str]:
        try:
            for word in body.split():
                await asyncio.sleep(0)
                yield word
        finally:
            ended.append("async words")


class Seen:
    """Tell what the event looks like."""

    def do_event(self, event: Any) -> Any:
        event.body = [event.path, event.method, event.id, event.content_type, event.body]
        return event


class Waits:
    async def do(self, body: object) -> object:
        await asyncio.sleep(0.001)
        ended.append("waited")
        return body


class Streams:
    def __init__(self, context: Any) -> None:
        self.context = context

    def do(self, body: str) -> Any:
        return self.context.Response(body=(word for word in body.split()), status_code=201)


def _function(**parameters: object) -> ServingFunction:
    function = fnkit.new_function("tests")
    function.spec.parameters = parameters
    return function


def _flow(**options: object) -> FlowGraph:
    graph = _function().set_topology("flow", **options)  # type: ignore[call-overload]  # options by name
    assert isinstance(graph, FlowGraph)
    return graph


def _server(step: object, **options: object) -> Any:
    graph = _flow()
    graph.to(step, **options).respond()  # type: ignore[arg-type]  # options by name
    return graph.to_mock_server()


@pytest.mark.parametrize("step", [Words, AsyncWords])
def test_a_stream_is_a_generator_of_its_chunks(step: type) -> None:
    with _server(step) as server:
        stream = server.test(body="a b c")

        assert list(stream) == ["a", "b", "c"]
        assert len(ended) == 1


@pytest.mark.parametrize("step", [Words, AsyncWords])
def test_closing_the_stream_closes_the_generator_of_the_step(step: type) -> None:
    with _server(step) as server:
        stream = server.test(body="a b c")
        assert next(stream) == "a"

        stream.close()

        assert len(ended) == 1
        assert list(stream) == []


def test_an_abandoned_stream_is_closed() -> None:
    with _server(AsyncWords) as server:
        stream = server.test(body="a b c")
        next(stream)

        del stream
        gc.collect()

        assert ended == ["async words"]


def test_two_streams_can_be_pulled_in_turns() -> None:
    with _server(AsyncWords) as server:
        one, other = server.test(body="a b"), server.test(body="c d")

        assert [next(one), next(other), next(one), next(other)] == ["a", "c", "b", "d"]


def test_a_response_that_streams_keeps_its_status() -> None:
    with _server(Streams) as server:
        response = server.test(body="a b")

        assert response.status_code == 201
        assert list(response.body) == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, ["/", "GET", "", None]),
        ({"body": 0}, ["/", "GET", "", 0]),
        ({"body": {}}, ["/", "GET", "", {}]),
        ({"body": 1}, ["/", "POST", "", 1]),
        ({"body": '{"a": 1}'}, ["/", "POST", "", {"a": 1}]),
        ({"body": '{"a": 1}', "content_type": "text/plain"}, ["/", "POST", "text/plain", '{"a": 1}']),
        ({"path": "/x", "method": "PUT", "body": b"\xff"}, ["/x", "PUT", "", b"\xff"]),
        ({"headers": {"MLRUN-EVENT-PATH": "/y"}}, ["/y", "GET", "", None]),
    ],
)
def test_the_event_is_what_was_given(given: dict[str, Any], seen: list[object]) -> None:
    with _server(Seen) as server:
        path, method, _, content_type, body = server.test(**given)

    assert [path, method, content_type, body] == seen


def test_the_event_has_the_id_that_was_given_or_one_of_its_own() -> None:
    with _server(Seen) as server:
        given, header, own = (
            server.test(event_id="E1")[2],
            server.test(headers={"MLRUN-EVENT-ID": "E2"})[2],
            server.test()[2],
        )

    assert (given, header) == ("E1", "E2")
    assert len(own) == 32


def test_a_whole_answer_can_be_had_as_a_response() -> None:
    with _server(Seen) as server:
        assert isinstance(server.test(get_body=False), Response)


def test_bad_json_is_answered_and_raised_as_it_would_be_over_http() -> None:
    with _server(Seen) as server:
        with pytest.raises(RuntimeError, match=r"failed \(400\): .*failed to json decode event"):
            server.test(body="{", content_type="application/json")
        assert server.test(body="{", content_type="application/json", silent=True).status_code == 400


def test_no_thread_is_left_and_none_is_started() -> None:
    before = threading.active_count()

    server = _server(AsyncWords)
    list(server.test(body="a b"))

    assert threading.active_count() == before
    server.close()


def test_a_server_is_there_in_a_few_milliseconds() -> None:
    _server(Waits).close()

    def start_s() -> float:
        start = time.perf_counter()
        server = _server(Waits)
        took = time.perf_counter() - start
        server.close()
        return took

    assert quickest(start_s, 0.05, tries=20) < 0.05


def test_it_works_where_a_loop_is_running_already() -> None:
    async def cell() -> object:
        with _server(Waits) as server:
            return server.test(body="x")

    assert asyncio.run(cell()) == "x"


def test_without_a_responder_the_work_is_done_when_the_id_is_answered() -> None:
    graph = _flow()
    graph.to(Waits)

    with graph.to_mock_server() as server:
        assert server.test(body=1, event_id="E1") == {"id": "E1"}
        assert ended == ["waited"]


def test_an_error_that_nobody_waits_for_is_kept() -> None:
    graph = _flow()
    graph.to(name="fail", handler="(event['missing'])")

    with graph.to_mock_server() as server:
        assert server.test(body={}, event_id="E1") == {"id": "E1"}

        (record,) = [error for error in server.errors if error["source"] == "fail"]  # type: ignore[index]  # records of push_error
        assert record["event"]["id"] == "E1"  # type: ignore[index]  # records of push_error


def test_the_result_of_a_flow_comes_when_it_is_completed() -> None:
    graph = _flow()
    graph.to("storey.Reduce", initial_value=0, fn=lambda total, body: total + body)
    server = graph.to_mock_server()
    for number in (1, 2, 3):
        server.test(body=number)

    assert server.wait_for_completion() == 6
    with pytest.raises(ValueError, match="Cannot emit to a terminated flow"):
        server.test(body=4)
    assert server.wait_for_completion() is None


def test_an_event_of_a_queue_is_not_answered() -> None:
    with _server(Seen) as server:
        assert server.test("/x", body=1, event_id="E1", trigger=SimpleNamespace(kind="kafka")) == {"id": "E1"}
        assert server.test("/x", body=1, event_id="E1", trigger="http")[0] == "/x"


def test_what_a_last_queue_gets_is_kept() -> None:
    graph = _flow()
    graph.to(name="a", handler="(event + 1)").to(">>", "out", path="kafka://broker.invalid:9092/topic")
    graph["a"].to("$queue", "whole", path="", full_event=True)

    with graph.to_mock_server() as server:
        server.test(body=1, event_id="E1")

        assert server.queues["out"].event_list == [2]
        assert server.queues["whole"].event_list == [{"full_event_wrapper": True, "body": 2, "key": "", "id": "E1"}]
        assert server.graph["out"].async_object.event_list == [2]  # type: ignore[attr-defined]  # as MLRun's users look for it


def test_children_run_the_code_of_their_own_file(tmp_path: Path) -> None:
    (tmp_path / "parent_code.py").write_text("def note(body):\n    return [*body, 'parent']\n")
    (tmp_path / "child_code.py").write_text("def note(body):\n    return [*body, 'child']\n")
    function = fnkit.code_to_function("tests", filename=str(tmp_path / "parent_code.py"))
    function.add_child_function("nuclio-log-ds", str(tmp_path / "child_code.py"))
    chain = function.set_topology("flow").to(name="a", handler="note").to(">>", "q", path="")
    chain.to(name="b", handler="note", function="log-ds").respond()

    with function.to_mock_server() as server:
        assert server.test(body=[]) == ["parent", "child"]
    with function.to_mock_server(current_function="log-ds") as server:
        assert server.test(body=[]) == ["child"]


@pytest.mark.parametrize(
    ("current", "answer"), [("*", [1, 2, 3]), ("", {"id": "E1"}), (None, {"id": "E1"}), ("far", {"id": "E1"})]
)
def test_a_server_for_one_function_lets_go_what_goes_on_to_another(current: str | None, answer: object) -> None:
    function = _function()
    function.add_child_function("far")
    chain = (
        function.set_topology("flow").to(name="a", handler="(event + [1])").to(name="b", handler="(event + [2])", function="far")
    )
    chain.to(name="c", handler="(event + [3])").respond()

    with function.to_mock_server(current_function=current) as server:
        assert server.test(body=[], event_id="E1") == answer
        assert server.test(body=[], event_id="E1") == answer


def test_what_answers_in_one_function_answers_though_a_branch_goes_on_to_another() -> None:
    function = _function()
    function.add_child_function("far")
    first = function.set_topology("flow").to(name="a", handler="(event + [1])")
    first.to(name="b", handler="(event + [2])", function="far")
    first.to(name="c", handler="(event + [3])").respond()

    with function.to_mock_server(current_function="") as server:
        assert server.test(body=[], event_id="E1") == [1, 3]


def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "changing.py"
    answers = []
    for text in ("one", "another"):
        path.write_text(f"def say(body):\n    return {text!r}\n")
        function = fnkit.code_to_function("tests", filename=str(path))
        function.set_topology("flow").to(name="a", handler="say").respond()
        with function.to_mock_server() as server:
            answers.append(server.test(body=1))

    assert answers == ["one", "another"]


def test_names_are_looked_up_in_the_given_namespaces_first() -> None:
    graph = _flow()
    graph.to("Seen", handler="answer").respond()

    with graph.to_mock_server(namespace={"Seen": SimpleNamespace(answer=lambda body: "given", do=None)}) as server:
        assert server.test(body=1) == "given"


def test_a_name_that_nothing_has_is_told_with_the_one_that_may_be_meant() -> None:
    graph = _flow()
    graph.to("AsyncWord")

    with pytest.raises(ImportError, match="Failed to import AsyncWord") as caught:
        graph.to_mock_server()

    assert caught.value.__notes__ == ["hint: did you mean 'AsyncWords'?"]


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ("nofn", "handler 'nofn' not found"),
        ("json.dmps", "handler 'json.dmps' not found"),
        ("print", "handler 'print' not found"),
    ],
)
def test_a_handler_that_nothing_has_is_refused(handler: str, message: str) -> None:
    graph = _flow()
    graph.to(name="a", handler=handler)

    with pytest.raises(ImportError, match=f"state/function init failed, {message}"):
        graph.to_mock_server()


def test_a_class_of_a_module_that_lacks_it_is_refused() -> None:
    graph = _flow()
    graph.to("json.NoSuch")

    with pytest.raises(AttributeError, match="module 'json' has no attribute 'NoSuch'"):
        graph.to_mock_server()


def test_several_faults_of_a_graph_are_told_at_once() -> None:
    graph = _flow()
    graph.to(Seen, "a").respond()
    graph.to(Seen, "b").respond()
    graph["b"].after_step("zz")

    with pytest.raises(GraphError, match="2 problems"):
        graph.to_mock_server()


def test_a_single_fault_is_raised_as_the_class_that_mlrun_raises() -> None:
    graph = _flow()
    graph.to(Seen, "a").error_handler("caught", Seen, before="far").respond()

    with pytest.raises(MLRunInvalidArgumentError, match="cant set before, there is no step named far"):
        graph.to_mock_server()
    with pytest.raises(MLRunRuntimeError, match="You have to add models to the router step before initializing it"):
        _function().set_topology("router").to_mock_server()


def test_a_function_without_a_graph_has_no_server() -> None:
    with pytest.raises(MLRunInvalidArgumentError, match="there is no graph to run"):
        _function().to_mock_server()


def test_instances_are_steps_as_they_are() -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def do(self, body: object) -> int:
            self.count += 1
            return self.count

    counter = Counter()
    with _server(counter) as server:
        assert [server.test(body=1), server.test(body=1)] == [1, 2]

    assert counter.count == 2


def test_verbose_errors_carry_the_traceback() -> None:
    graph = _flow()
    graph.to(name="a", handler="(event['x'])").respond()
    graph._function.verbose = True

    with graph.to_mock_server() as server:
        answer = server.test(body={}, silent=True)

    assert isinstance(answer, Response)
    assert "Traceback" in str(answer.body)
