"""What type checkers say of the authoring words; each `assert_type` is checked by mypy, and does nothing when it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

import pytest

import fnkit
from fnkit.engine import Response
from fnkit.project import FlowGraph, GraphStep, Loaded, MockServer, Project, RouterGraph, ServingFunction
from fnkit.project.steps import RouteDraft

if TYPE_CHECKING:
    from fnkit.manifest import Manifest


class Step:
    def do(self, body: object) -> object:
        return body


def test_each_word_has_the_type_that_is_documented() -> None:
    project = fnkit.get_or_create_project("types")
    assert_type(project, Project)
    fn = project.set_function(name="f")
    assert_type(fn, ServingFunction)
    assert_type(fnkit.new_function("g"), ServingFunction)

    graph = fn.set_topology("flow", engine="async")
    assert_type(graph, FlowGraph)
    step = graph.to(Step, "a").to("Step", name="b").respond()
    assert_type(step, GraphStep)
    assert_type(step.error_handler(class_name=Step), GraphStep)
    assert_type(graph.error_handler(name="catch", class_name=Step), FlowGraph)
    assert_type(graph["a"], GraphStep)
    assert_type(step.with_call(timeout_s=1.5, retry_on=[OSError]), GraphStep)
    assert_type(graph.with_call(retries=2), FlowGraph)

    assert_type(fnkit.new_function("h").set_topology("router"), RouterGraph)
    assert_type(fnkit.new_function("i").set_topology(), RouterGraph)
    assert_type(fnkit.new_function("j").add_model("m", class_name=Step), RouteDraft)

    with graph.to_mock_server() as mock:
        assert_type(mock, MockServer)
        assert_type(mock.test(body=1), object)
    loaded = fn.load()
    assert_type(loaded, Loaded)
    manifest: Manifest = loaded.manifest
    assert manifest.name == "f"
    assert_type(fnkit.Response(body="x"), Response)


@pytest.mark.slow
def test_the_type_checker_agrees() -> None:
    command = [sys.executable, "-m", "mypy", str(Path(__file__))]

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])

    assert done.returncode == 0, done.stdout
