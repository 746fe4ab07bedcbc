"""The classes that serve an InferenceGraph, looked at before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.errors import LoadError, ProblemsError
from fnkit.functions.services import ServiceCode
from fnkit.project import check, load
from fnkit.project.services import find_service_problems

MODELS = """
class IrisTree:
    def __init__(self, depth=3):
        if depth < 0:
            raise ValueError("no such depth")

    def do(self, body):
        return body


class Nothing:
    def predict(self, body):
        return body
"""
GRAPH = """
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata: {name: g}
spec:
  fnkit: {services: %s}
  nodes: {root: {routerType: Sequence, steps: [{serviceName: iris}, {serviceName: other}]}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "broken.py").write_text("import a_module_that_is_not_there\n")
    (tmp_path / "leaves.py").write_text("import os\nos._exit(3)\n")
    return tmp_path


def problems(project: Path, *, construct: bool = False, **targets: ServiceCode) -> list[tuple[str, str, str, str]]:
    found = find_service_problems(targets, project, construct=construct)
    return [(problem.step, problem.code, problem.message, problem.hint) for problem in found]


def test_a_sound_service_has_no_problems(project: Path) -> None:
    assert problems(project, construct=True, iris=ServiceCode("models:IrisTree", {"depth": 2})) == []


def test_all_problems_of_all_services_are_found_at_once(project: Path) -> None:
    found = problems(
        project,
        a=ServiceCode("models:IrisTre"),
        b=ServiceCode("model:IrisTree"),
        c=ServiceCode("models:IrisTree", {"dept": 2}),
        d=ServiceCode("models:Nothing"),
        e=ServiceCode("broken:Any"),
    )

    assert [item[:2] for item in found] == [
        ("a", "unknown-class"),
        ("b", "unknown-module"),
        ("e", "import"),
        ("c", "unknown-argument"),
        ("d", "no-do"),
    ]
    assert found[0][2:] == ("models has no class 'IrisTre'", "did you mean 'IrisTree'?")
    assert found[1][2:] == ("there is no module 'model'", "did you mean 'models'?")
    assert "a_module_that_is_not_there" in found[2][2]
    assert found[3][3] == "did you mean 'depth'?"


def test_a_constructor_that_raises_is_found_by_a_check_only(project: Path) -> None:
    bad = ServiceCode("models:IrisTree", {"depth": -1})

    assert problems(project, iris=bad) == []
    assert problems(project, construct=True, iris=bad)[0][1:3] == (
        "constructor",
        "its constructor fails: ValueError: no such depth",
    )


def test_a_module_that_ends_the_process_is_reported(project: Path) -> None:
    with pytest.raises(LoadError, match="ended with code 3"):
        problems(project, iris=ServiceCode("leaves:Any"))


def test_a_graph_with_an_unknown_class_is_not_loaded(project: Path) -> None:
    (project / "graph.yaml").write_text(GRAPH % '{iris: "models:IrisTre", other: "http://x/"}')

    with pytest.raises(ProblemsError, match="models has no class 'IrisTre'"):
        load(str(project / "graph.yaml"))


def test_a_service_that_no_step_calls_is_a_warning_and_goes_nowhere(project: Path) -> None:
    (project / "graph.yaml").write_text(GRAPH % '{iris: "models:IrisTree", othr: {target: "models:Nowhere"}}')

    checked = check(str(project / "graph.yaml"))

    assert checked.problems == ()
    assert [(warning.code, warning.hint) for warning in checked.warnings] == [("unused-service", "did you mean 'other'?")]


def test_the_faults_of_form_of_a_service_are_found_at_once(project: Path) -> None:
    (project / "graph.yaml").write_text(
        GRAPH % '{iris: {target: "http://x", argz: 1, args: {_a: 1, when: 2026-01-01}}, other: 5}'
    )

    with pytest.raises(ProblemsError) as caught:
        load(str(project / "graph.yaml"))

    text = str(caught.value)
    assert "services.iris.target: want a class such as package.module:Class, got http://x" in text
    assert "services.iris.argz: unknown field" in text
    assert "services.iris.args._a: an argument's name" in text
    assert "services.iris.args: want values that JSON has" in text
    assert "services.other: want a URL, a class or an object" in text
