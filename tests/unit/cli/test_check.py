from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fnkit.cli import main

ROOT = Path(__file__).parents[3]
PROJECTS = ROOT / "tests" / "projects"


def _check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


@pytest.mark.parametrize("example", ["streaming", "cyclic"])
def test_the_examples_have_no_problems(example: str) -> None:
    result = _check(ROOT / "examples" / example / "serve.py")

    assert result.exit_code == 0
    assert "no problems" in result.stdout


def test_problems_are_told_one_a_line_and_end_with_code_2() -> None:
    result = _check(PROJECTS / "two_responders" / "graph.py")

    assert result.exit_code == 2
    assert result.stdout.splitlines()[0] == (
        "problem: there are more than one responder steps in the graph (a,b) "
        "(hint: only one step can answer the client: remove the other .respond())"
    )
    assert result.stdout.splitlines()[-1].endswith(": 1 problem")


def test_problems_are_one_json_object_a_line() -> None:
    result = _check("--json", PROJECTS / "misspelt_argument" / "graph.py")

    problem, summary = map(json.loads, result.stdout.splitlines())
    assert problem == {
        "event": "problem",
        "step": "Double",
        "code": "unknown-argument",
        "message": "Double does not take 'facter'",
        "hint": "did you mean 'factor'?",
    }
    assert (summary["event"], summary["problems"]) == ("checked", 1)


def test_a_target_that_cannot_be_loaded_ends_with_code_2() -> None:
    result = _check(PROJECTS / "syntax_error" / "graph.py")

    assert result.exit_code == 2
    assert "graph.py:3: SyntaxError" in result.stderr
    assert "Traceback" not in result.stderr


def test_what_is_wrong_with_a_queue_is_found_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_PATH", "kafka://broker:9092/orders")
    monkeypatch.setenv("QUEUE_ARGS", json.dumps({"credentials": "ann:hunter2", "grup": "readers", "batch_size": 0}))

    result = _check(PROJECTS / "queues" / "serve.py")

    assert result.exit_code == 2
    assert "step 'jobs': unknown argument 'grup'; did you mean 'group'?" in result.stdout
    assert "step 'jobs': credentials must be the name of an environment variable" in result.stdout
    assert "step 'jobs': batch_size must be a number of at least 1, not 0" in result.stdout
    assert "hunter2" not in result.output


GRAPH = """
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata: {name: NAME}
spec: {nodes: {root: {routerType: Sequence, steps: [{serviceUrl: "http://h/", fnkit: {}}]}}}
"""


def test_all_graphs_of_a_file_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "graphs.yaml"
    file.write_text("---".join(GRAPH.replace("NAME", name) for name in ("one", "Two", "three")))

    result = _check(file)

    assert result.exit_code == 2
    assert [line for line in result.stdout.splitlines() if not line.startswith("problem:")] == [
        "one: no problems",
        "Two: 1 problem",
        "three: no problems",
    ]
    assert _check(f"{file}:one").exit_code == 0


def test_a_fault_of_form_in_one_graph_of_a_file_is_told_with_its_document(tmp_path: Path) -> None:
    file = tmp_path / "graphs.yaml"
    file.write_text(GRAPH.replace("NAME", "one") + "---" + GRAPH.replace("NAME", "two").replace("[{", "{").replace("}]", "}"))

    result = _check(file)

    assert result.exit_code == 2
    assert "document 2: spec.nodes.root.steps: want a list" in result.output
