"""Files whose requirements are not installed here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import fnkit
from fnkit.errors import LoadError
from fnkit.manifest import Flow
from fnkit.project import ServingFunction, check, load
from fnkit.project.absent import is_promised

CHILD = """
import nobody_has_this
import nobody_has_this.parts.inner as inner
from nobody_has_this import Base, wraps
from nobody_has_this.deep import Other
import {neighbour}

try:
    import nor_this
except ImportError:
    nor_this = None

class Far(Base, Other):
    kind: nobody_has_this.Kind | None = None
    table: "dict[str, int]" = inner.TABLE["x"]

    def __init__(self, size=1):
        self.size = size

    @wraps("name")
    def do(self, body):
        return body

class Inherits(nobody_has_this.Base):
    pass

@wraps
def handle(body):
    return body

assert nor_this is None
"""


@pytest.fixture
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., ServingFunction]:
    """Return what makes a function with a child whose file is *code*; names of modules are those of this test alone."""
    tag = f"{abs(hash(request.node.nodeid)):x}"
    (tmp_path / f"beside_{tag}.py").write_text("import nobody_has_this\nHERE = nobody_has_this.HERE\n")

    def make(code: str = CHILD, requirements: tuple[str, ...] = ("nobody-has-this==1.0",)) -> ServingFunction:
        (tmp_path / f"child_{tag}.py").write_text(code.replace("{neighbour}", f"beside_{tag}"))
        function = fnkit.new_function("parent")
        function.add_child_function("far", str(tmp_path / f"child_{tag}.py"), requirements=requirements)
        return function

    return make


def test_a_child_is_found_by_name_without_what_it_requires(project: Callable[..., ServingFunction]) -> None:
    function = project()
    graph = function.set_topology("flow")
    graph.to("Far", "far", function="far", size=3).to("Inherits", "inherits", function="far").to(
        name="handle", handler="handle", function="far"
    ).respond()
    before = set(sys.modules)

    spec = function.load().manifest.spec

    assert isinstance(spec, Flow)
    assert [(step.target or step.handler).partition(":")[2] for step in spec.steps] == ["Far", "Inherits", "handle"]
    assert {name for name in set(sys.modules) - before if "child_" in name or "beside_" in name or "nobody" in name} == set()


def test_a_mock_server_runs_the_code_and_so_needs_what_it_requires(project: Callable[..., ServingFunction]) -> None:
    function = project()
    function.set_topology("flow").to("Far", "far", function="far").respond()
    function.load()

    with pytest.raises(ModuleNotFoundError, match="nobody_has_this"):
        function.to_mock_server()


@pytest.mark.parametrize(
    ("code", "requirements"),
    [
        ("import nobody_has_this\n", ("pytest>=1",)),  # all that is required is here, so nothing can bring it
        ("import nobody_has_this\nSIZE = nobody_has_this.SIZE + 1\n", ("nobody-has-this",)),  # more than a stand-in can do
        ("import pytest.nobody_has_this\n", ("nobody-has-this",)),  # a part of what is here
    ],
)
def test_what_no_stand_in_can_mend_is_said_as_before(
    project: Callable[..., ServingFunction], code: str, requirements: tuple[str, ...]
) -> None:
    function = project(code, requirements)
    function.set_topology("flow").to("Far", "far", function="far").respond()

    with pytest.raises(ModuleNotFoundError, match=r"No module named '(pytest\.)?nobody_has_this'"):
        function.load()


def test_a_check_reads_such_a_function_and_says_that_it_was_not_tried(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("HERE = 1\n")
    (tmp_path / "child.py").write_text(CHILD.replace("{neighbour}", "beside"))
    graph = tmp_path / "graph.py"
    lines = 'import fnkit\nfn = fnkit.new_function("parent")\nfn.add_child_function("far", "child.py", requirements="nobody-has-this")\n'
    graph.write_text(lines + 'fn.set_topology("flow").to("Far", "far", function="far").respond()\n')

    checked = check(str(graph))

    assert checked.problems == ()
    (warning,) = checked.warnings
    assert warning.code == "not-installed"
    assert "the code of the function 'far' has been read, but not tried: nobody_has_this cannot be imported here" in str(warning)
    graph.write_text(lines + 'fn.set_topology("flow").to("Far", "far", function="far", sise=1).respond()\n')
    assert [(problem.code, problem.hint) for problem in check(str(graph)).problems] == [
        ("unknown-argument", "did you mean 'size'?")
    ]
    graph.write_text(graph.read_text().replace("nobody-has-this", "pytest"))
    with pytest.raises(LoadError, match="No module named 'nobody_has_this'"):
        load(str(graph))


@pytest.mark.parametrize(
    ("lines", "promised"),
    [
        ((), False),
        (("pytest",), False),
        (("pytest[all] >= 7 ; python_version > '3'", "Pytest==1"), False),
        (("pytest", "nobody.has-this<2"), True),
        (("git+https://host/project.git",), True),
    ],
)
def test_requirements_promise_what_is_not_installed(lines: tuple[str, ...], promised: bool) -> None:
    assert is_promised(lines) is promised
