"""The documented examples of flows, as printed but for the import line, in the mock server.

The page is MLRun's "Getting started with serving graphs"; its shell magic (`%%writefile`) is a written file here.
"""

from __future__ import annotations

import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import fnkit
from fnkit.errors import ProblemsError
from fnkit.project import FlowGraph

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, as a notebook has one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(text: str, **names: object) -> dict[str, Any]:
    """Run the lines of a cell, and return its names."""
    cell = {"__name__": "__main__", **names}
    exec(textwrap.dedent(text), cell)
    return cell


def test_the_streaming_example_streams_as_its_step_yields(folder: Path) -> None:
    (folder / "streaming_step.py").write_text((EXAMPLES / "streaming" / "streaming_step.py").read_text())
    cell = _run(
        """
        import fnkit

        project = fnkit.get_or_create_project("streaming-example", context="./")

        fn = fnkit.code_to_function(
            name="streaming-fn",
            kind="serving",
            filename="streaming_step.py",
        )

        graph = fn.set_topology("flow", engine="async")
        graph.to(name="streamer", class_name="StreamingStep").respond()

        fn.set_streaming(enabled=True)
        """
    )

    with cell["fn"].to_mock_server() as mock:
        start = time.perf_counter()
        stream = mock.test(body="hello")
        chunks = [next(stream)]
        first = time.perf_counter()
        chunks += stream
        last = time.perf_counter()

    assert chunks == [f"chunk {number}: processed 'hello'\n" for number in range(5)]
    assert first - start >= 0.5
    assert last - first >= 2.0  # the other four were made after the first had come


CYCLIC = """
    import fnkit

    project = fnkit.get_or_create_project("cyclic-example")
    # Define the function
    function = project.set_function(
        name="cyclic-function",
        func="cyclic.py",
        kind="serving",
        image="mlrun/mlrun",
    )
    # Define the graph (global cap applies unless overridden per-step)
    graph = function.set_topology(
        "flow", engine="async", allow_cyclic=True, max_iterations=100
    )
    graph.to(name="preprocess", class_name="Processor").to(
        name="generator", class_name="Generator", after="preprocess", max_iterations=30
    ).to(name="evaluator", class_name="Evaluator", after="generator").to(
        name="evaluation-loop",
        class_name="ChoiceHandler",
        cycle_to=["generator"],
        after="evaluator",
    ).to(
        name="output", handler="responder", after="evaluation-loop"
    ).respond()
"""
HANDLER = """
    # Adding error handler to the graph
    graph.error_handler(class_name="HandleError")
"""
MOCK = """
    # Mock server
    mock = graph.to_mock_server()
    answer = mock.test("/", body={"topic": "t", "target": target})
    mock.close()
"""


@pytest.fixture
def cyclic(folder: Path) -> Path:
    path = folder / "cyclic.py"
    path.write_text((EXAMPLES / "cyclic" / "cyclic.py").read_text())
    return path


@pytest.mark.usefixtures("cyclic")
@pytest.mark.parametrize("target", [1, 3, 30])
def test_the_cyclic_example_loops_until_the_evaluator_accepts(target: int) -> None:
    answer = _run(CYCLIC + HANDLER + MOCK, target=target)["answer"]

    assert answer == {"answer": f"t, draft {target}", "attempts": target}


@pytest.mark.usefixtures("cyclic")
def test_the_cyclic_example_handles_the_error_of_too_many_iterations() -> None:
    answer = _run(CYCLIC + HANDLER + MOCK, target=31)["answer"]

    assert answer == {"answer": None, "attempts": 30, "error": "no draft was accepted"}


@pytest.mark.usefixtures("cyclic")
def test_without_a_handler_the_error_is_raised_to_the_client() -> None:
    with pytest.raises(
        RuntimeError, match=r"failed \(400\): RuntimeError: Max iterations exceeded in step 'generator' for event "
    ):
        _run(CYCLIC + MOCK, target=31)


def test_the_short_form_of_a_cycle_works_as_printed() -> None:
    graph = fnkit.new_function("short").set_topology("flow", allow_cyclic=True)
    graph = _run(
        """
        graph.to("generator").to("evaluator").to("choice").cycle_to(["generator"]).to(
            "post_process"
        ).respond()
        """,
        graph=graph,
    )["graph"]

    assert graph["generator"].after == ["choice"]
    assert graph["post_process"].after == ["choice"]


STEPS = """
    class MyStep:
        def do(self, event):
            # Process the event
            event["turns"] = event.get("turns", 0) + 1
            event["should_continue"] = event["turns"] < event["wanted"]
            return event

        def select_outlets(self, event):
            if event["should_continue"]:
                return ["continue"]
            return ["stop"]
"""
CHOICE = """
    import fnkit.steps as storey


    class MyChoiceStep(storey.Choice):
        def select_outlets(self, event):
            if event["should_continue"]:
                return ["continue"]
            return ["stop"]
"""


class Pass:
    def do(self, event: object) -> object:
        return event


def _graph(**options: object) -> FlowGraph:
    graph = fnkit.new_function("loops").set_topology("flow", allow_cyclic=True, **options)  # type: ignore[call-overload]  # by name
    assert isinstance(graph, FlowGraph)
    return graph


def test_a_loop_is_left_by_select_outlets_of_a_step() -> None:
    graph = _graph()
    graph.to(_run(STEPS)["MyStep"], "step").to(Pass, "continue").cycle_to("step")
    graph["step"].to(Pass, "stop").respond()

    with graph.to_mock_server() as mock:
        assert mock.test(body={"wanted": 4}) == {"wanted": 4, "turns": 4, "should_continue": False}


def test_a_loop_is_left_by_a_choice() -> None:
    graph = _graph()
    counted = {"__name__": "steps"}
    exec(textwrap.dedent(STEPS).replace("def select_outlets", "def unused"), counted)
    graph.to(counted["MyStep"], "step").to(_run(CHOICE)["MyChoiceStep"], "choice")
    graph["choice"].to(Pass, "continue").cycle_to("step")
    graph["choice"].to(Pass, "stop").respond()

    with graph.to_mock_server() as mock:
        assert mock.test(body={"wanted": 3}) == {"wanted": 3, "turns": 3, "should_continue": False}


def test_a_loop_is_left_by_its_limit_also_when_cycles_are_allowed_afterwards() -> None:
    serving = fnkit.new_function("loops")
    graph = serving.set_topology("flow")
    serving.spec.graph.allow_cyclic = True  # type: ignore[union-attr]  # there is a graph
    graph.to(Pass, "a").to(Pass, "b", cycle_to="a").to(Pass, "end").respond()

    with graph.to_mock_server() as mock, pytest.raises(RuntimeError, match="Max iterations exceeded in step 'a' for event E1"):
        mock.test(body=1, event_id="E1")


def test_a_responder_leaves_a_loop_by_the_outlet_complete() -> None:
    class Turn:
        def do(self, body: int) -> int:
            return body + 1

        def select_outlets(self, body: int) -> list[str]:
            return ["turn"] if body < 5 else ["Complete"]

    graph = _graph()
    graph.to(Turn, "turn").cycle_to("turn").respond()

    with graph.to_mock_server() as mock:
        assert mock.test(body=0) == 5


KAFKA = """
    graph = fn_serving.set_topology("flow", engine="async")
    fn_child = fn_serving.add_child_function("nuclio-log-ds", "nuclio_log_dataset.py", "mlrun/mlrun")

    graph.to(name="PrintEvent", handler="print_event").to(
        name="ExtendEvent",class_name="storey.Extend", _fn='({"extend": "something"})').to(
        name="PrintExEvent", handler="print_event").to(
        ">>", "OutputStream", path=topic_out, kafka_brokers=brokers).to(
        name="Log-ds", function="log-ds",handler="save_record").to(
        name="PrintEventLog", handler="print_event_log", function="log-ds")

    graph.plot(rankdir="LR")
"""
PARENT = """
def print_event(event):
    print("event", event)
    return event
"""
CHILD = """
def save_record(event):
    print("saved", event)
    return event


def print_event_log(event):
    print("log", event)
    return event
"""


@pytest.fixture
def serving(folder: Path) -> Any:
    (folder / "serving.py").write_text(PARENT)
    (folder / "nuclio_log_dataset.py").write_text(CHILD)
    return fnkit.code_to_function("serving", filename="serving.py")


def test_the_queue_example_runs_with_the_code_of_its_child(serving: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _run(KAFKA, fn_serving=serving, topic_out="kafka://127.0.0.1:9092/topic", brokers=["127.0.0.1:9092"])

    with serving.to_mock_server() as mock:
        answer = mock.test("", body={"records": [{"int": 2, "x2": 4}]}, event_id="E1")

    extended = {"records": [{"int": 2, "x2": 4}], "extend": "something"}
    assert answer == {"id": "E1"}
    assert capsys.readouterr().out.splitlines() == [
        "event {'records': [{'int': 2, 'x2': 4}]}",
        f"event {extended}",
        f"saved {extended}",
        f"log {extended}",
    ]


def test_the_queue_example_is_one_graph_of_two_functions(serving: Any) -> None:
    _run(KAFKA, fn_serving=serving, topic_out="topic", brokers=["127.0.0.1:9092"])

    manifest = serving.load().manifest

    steps = {step.name: step for step in manifest.spec.steps}
    assert steps["OutputStream"].args == {"path": "topic", "kafka_brokers": ["127.0.0.1:9092"]}
    assert steps["Log-ds"].function == steps["PrintEventLog"].function == "nuclio-log-ds"
    assert [(function.name, function.module) for function in manifest.functions] == [
        ("serving", "serving"),
        ("nuclio-log-ds", "nuclio_log_dataset"),
    ]


def test_a_child_that_is_not_declared_is_refused_with_the_names_there_are(serving: Any) -> None:
    _run(KAFKA.replace('"log-ds"', '"audit"'), fn_serving=serving, topic_out="topic", brokers=[])

    with pytest.raises(ProblemsError, match=r"function audit is used in steps and is not defined.*known: nuclio-log-ds"):
        serving.load()
