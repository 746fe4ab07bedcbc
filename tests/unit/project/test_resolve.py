from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import fnkit
from fnkit.errors import ProblemsError
from fnkit.manifest import Flow, Router, Step
from fnkit.project import Loaded, ServingFunction
from fnkit.project.resolve import ready_made
from fnkit.steps import Choice, Extend, RemoteStep


class Here:
    def __init__(self, factor: int = 1, fn: Any = None) -> None:
        self.factor = factor

    def do(self, body: int) -> int:
        return body * self.factor

    class Inner:
        def do(self, body: int) -> int:
            return body


def helper(body: int) -> int:
    return body + 1


def _steps(function: ServingFunction) -> tuple[Step, ...]:
    spec = function.load().manifest.spec
    assert isinstance(spec, Flow)
    return spec.steps


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("Choice", "fnkit.steps:Choice"),
        ("storey.Extend", "fnkit.steps:Extend"),
        ("storey.transformations.Choice", "fnkit.steps:Choice"),
        ("mlrun.serving.merger.Merge", "fnkit.steps:Merge"),
        ("mlrun.serving.remote.RemoteStep", "fnkit.steps:RemoteStep"),
        ("$remote", "fnkit.steps:RemoteStep"),
        ("mlrun.serving.VotingEnsemble", "fnkit.serving:VotingEnsemble"),
        ("ModelRouter", "fnkit.serving:ModelRouter"),
    ],
)
def test_ready_made_steps_go_by_all_their_names(name: str, target: str) -> None:
    found = ready_made(name)

    assert found is not None
    assert found[0] == target


@pytest.mark.parametrize("name", ["storey.NoSuch", "pandas.Extend", "NoSuch"])
def test_other_names_are_no_ready_made_steps(name: str) -> None:
    assert ready_made(name) is None


def test_classes_and_functions_of_a_module_are_named_by_their_import_path(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(
        "from fnkit.steps import Choice\n\n\nclass A:\n    class B:\n        def do(self, body):\n            return body\n\n\n"
        "def f(body):\n    return body\n"
    )
    function = fnkit.code_to_function("f", filename=str(tmp_path / "parts.py"))
    graph = function.set_topology("flow")
    graph.to("A.B", "a").to(name="b", handler="f").to(name="c", handler="json.dumps").to("Extend", "d", _fn="f")

    steps = _steps(function)

    assert [step.target or step.handler for step in steps] == ["parts:A.B", "parts:f", "json:dumps", "fnkit.steps:Extend"]
    assert steps[3].args == {"_fn": "parts:f"}


def test_objects_are_targets_like_names() -> None:
    function = fnkit.new_function("f")
    graph = function.set_topology("flow")
    graph.to(Extend, "a", fn=json.dumps).to(RemoteStep, "b", url="http://127.0.0.1:1/").to(json.loads, "c")

    steps = _steps(function)

    assert [step.target or step.handler for step in steps] == ["fnkit.steps:Extend", "fnkit.steps:RemoteStep", "json:loads"]
    assert steps[0].args == {"_fn": "json:dumps"}


def test_what_no_import_path_leads_to_travels_as_a_pickle() -> None:
    class Local:
        def do(self, body: int) -> int:
            return body + 40

    function = fnkit.new_function("f")
    graph = function.set_topology("flow")
    graph.to(Local, "a").to(Here(3), "b").to(lambda body: body + 2, "c").to(Here, "d", fn=lambda body: body)

    loaded = function.load()

    assert isinstance(loaded.manifest.spec, Flow)
    names = [(step.target or step.handler).partition(":")[2] for step in loaded.manifest.spec.steps]
    assert names == ["Local", "Here", "lambda", "Here"]
    assert loaded.manifest.spec.steps[3].target == f"{__name__}:Here"
    local, here, function_c = (pickle.loads(loaded.pickles[name]) for name in names[:3])
    assert (local().do(2), here.do(2), function_c(0)) == (42, 6, 2)
    assert loaded.manifest.spec.steps[3].args == {"_fn": "pickle:lambda_2"}
    assert Loaded.from_json(loaded.to_json()) == loaded


def test_what_cannot_be_pickled_is_told_with_its_step() -> None:
    class Holder:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def do(self, body: object) -> object:
            return body

    function = fnkit.new_function("f")
    function.set_topology("flow").to(Holder(), "holder")

    with pytest.raises(ProblemsError) as caught:
        function.load()

    (problem,) = caught.value.problems
    assert (problem.step, problem.code) == ("holder", "not-picklable")  # type: ignore[attr-defined]  # problems are records


def test_arguments_are_plain_values_after_loading() -> None:
    function = fnkit.new_function("f")
    function.set_topology("flow").to("Extend", "a", _fn="({'a': 1})", fields=("x", "y"), table={"k": (1, 2)})

    with pytest.raises(ProblemsError, match="Extend does not take 'fields'"):
        function.load()
    function.spec.graph["a"].class_args = {"_fn": "({'a': 1})"}  # type: ignore[index]  # there is a graph
    assert _steps(function)[0].args == {"_fn": "({'a': 1})"}


def test_an_argument_that_no_file_can_hold_is_told() -> None:
    function = fnkit.new_function("f")
    function.set_topology("flow").to(Choice, "a", table=object())

    with pytest.raises(ProblemsError, match="a object has no place in JSON"):
        function.load()


def test_an_argument_that_contains_itself_is_told() -> None:
    knot: dict[str, object] = {}
    knot["self"] = knot
    function = fnkit.new_function("f")
    function.set_topology("flow").to(Here, "a", factor=knot)

    with pytest.raises(ProblemsError, match="the argument 'factor' contains itself"):
        function.load()


def test_routes_are_resolved_like_steps() -> None:
    function = fnkit.new_function("f")
    function.set_topology("router")
    function.add_model("m:v1", class_name=Here, factor=2)

    spec = function.load().manifest.spec

    assert isinstance(spec, Router)
    assert (spec.step.kind, spec.step.target) == ("router", "fnkit.serving:ModelRouter")
    assert [(route.key, route.args) for route in spec.step.routes] == [("m:v1", {"factor": 2})]


SCRIPT = """
import sys
import fnkit

class Double:
    def do(self, body):
        return body * 2

fn = fnkit.new_function("f")
fn.set_topology("flow").to(Double).respond()
{more}
"""


@pytest.mark.parametrize(
    ("more", "target"),
    [
        ("if __name__ == '__main__':\n    sys.stdout.write(fn.load().to_json())", "script:Double"),
        ("sys.stdout.write(fn.load().to_json())", "pickle:Double"),
    ],
)
def test_classes_of_a_running_script_are_imported_only_if_that_repeats_nothing(tmp_path: Path, more: str, target: str) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(more=more))

    done = subprocess.run([sys.executable, str(path)], capture_output=True, check=True)

    loaded = Loaded.from_json(done.stdout)
    assert isinstance(loaded.manifest.spec, Flow)
    assert loaded.manifest.spec.steps[0].target == target
    assert loaded.root == tmp_path


def test_classes_of_a_prompt_travel_as_pickles(tmp_path: Path) -> None:
    text = SCRIPT.format(more="sys.stdout.write(fn.load().to_json())")

    done = subprocess.run([sys.executable, "-c", text], capture_output=True, check=True, cwd=tmp_path)

    loaded = Loaded.from_json(done.stdout)
    assert set(loaded.pickles) == {"Double"}
    assert loaded.root == tmp_path
