from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest

from fnkit.errors import FnkitError, GraphError, LoadError, ProblemsError, UsageError
from fnkit.manifest import Flow, Manifest, Step, dumps
from fnkit.project import Loaded, check, load
from fnkit.project.loading import split_target

PROJECTS = Path(__file__).parents[2] / "projects"


def _problems(case: str) -> list[tuple[str, str, str]]:
    """Return step, code and hint of everything that is wrong with a project."""
    checked = check(str(PROJECTS / case / "graph.py"))
    return [(problem.step, problem.code, problem.hint) for problem in checked.problems]


def _refusal(target: Path | str, error: type[FnkitError] = LoadError) -> FnkitError:
    with pytest.raises(error) as caught:
        load(str(target))
    return caught.value


def test_a_step_file_beside_the_script_is_found_by_its_import_path() -> None:
    loaded = load(str(Path(__file__).parents[3] / "examples" / "streaming" / "serve.py"))

    assert loaded.root == Path(__file__).parents[3] / "examples" / "streaming"
    assert isinstance(loaded.manifest.spec, Flow)
    assert loaded.manifest.spec.steps == (Step("streamer", target="streaming_step:StreamingStep", responder=True),)
    assert loaded.manifest.streaming
    assert loaded.manifest.project == "streaming-example"
    assert loaded.files == {"streaming-fn": "streaming_step"}
    assert dict(loaded.pickles) == {}


def test_nothing_starts_while_a_target_is_loaded() -> None:
    loaded = load(str(PROJECTS / "calls_at_module_level" / "graph.py"))

    assert isinstance(loaded.manifest.spec, Flow)
    assert loaded.manifest.spec.steps == (Step("Double", target="graph:Double", responder=True),)
    assert not (PROJECTS / "calls_at_module_level" / "picture.svg").exists()


def test_a_project_folder_says_its_file_and_settings() -> None:
    loaded = load(str(PROJECTS / "nested"))

    assert loaded.root == PROJECTS / "nested"
    assert isinstance(loaded.manifest.spec, Flow)
    assert loaded.manifest.spec.steps[0].target == "src.steps:Shout"
    assert (loaded.settings.placement, loaded.settings.memory_mb) == ("fused", 1024)
    assert loaded.includes == ("data/*.txt",)
    assert loaded.manifest.entry.memory_mb == 1024
    assert loaded.manifest.entry.requirements == ("tiny >= 0.5", "tiny==1.0")


def test_child_functions_have_files_and_requirements_of_their_own() -> None:
    loaded = load(str(PROJECTS / "child_functions" / "graph.py"))

    assert isinstance(loaded.manifest.spec, Flow)
    seen, stream, saved = loaded.manifest.spec.steps
    assert (seen.handler, saved.handler) == ("parent_steps:note", "child_steps:note")
    assert (stream.kind, stream.args) == ("queue", {"path": ""})
    assert saved.function == "nuclio-log-ds"
    assert loaded.manifest.function("nuclio-log-ds").requirements == ("pandas",)
    assert loaded.files == {"parent": "parent_steps", "nuclio-log-ds": "child_steps"}


def test_one_graph_of_several_is_chosen_by_name() -> None:
    target = PROJECTS / "several_graphs" / "graph.py"

    assert "choose one: graph.py:first" in _refusal(target).hint
    for name, function in (("one", "first"), ("second", "second"), ("graph_of_two", "second")):
        assert load(f"{target}:{name}").manifest.name == function
    assert _refusal(f"{target}:secnd").hint == "did you mean 'second'?"


@pytest.mark.parametrize(
    ("case", "found"),
    [
        ("unknown_class", [("Duoble", "unknown-name", "did you mean 'Double'?")]),
        ("no_do", [("Worker", "no-do", "give it do(self, body), or name the method: handler='run'")]),
        ("misspelt_argument", [("Double", "unknown-argument", "did you mean 'factor'?")]),
        ("missing_argument", [("Fragile", "missing-argument", "pass path=...")]),
        ("constructor_raises", [("Fragile", "constructor", "raised at steps.py:3")]),
    ],
)
def test_a_fault_names_its_step_and_the_remedy(case: str, found: list[tuple[str, str, str]]) -> None:
    assert _problems(case) == found


@pytest.mark.parametrize(
    ("case", "found"),
    [
        ("two_responders", [("", "two-responders")]),
        ("responder_mid_graph", [("a", "responder-mid-graph")]),
        ("unreachable", [("b", "unreachable"), ("c", "unreachable")]),
    ],
)
def test_a_graph_that_cannot_work_is_refused(case: str, found: list[tuple[str, str]]) -> None:
    assert [(step, code) for step, code, _ in _problems(case)] == found


def test_every_fault_is_told_at_once() -> None:
    assert [(step, code) for step, code, _ in _problems("many_faults")] == [
        ("b", "unknown-name"),
        ("d", "missing-step"),
        ("", "two-responders"),
        ("e", "queue-function"),
        ("c", "unknown-function"),
        ("a", "unknown-argument"),
        ("d", "expression"),
    ]
    with pytest.raises(ProblemsError, match="7 problems"):
        load(str(PROJECTS / "many_faults" / "graph.py"))


def test_a_script_may_fail_where_it_calls_what_it_has_deployed() -> None:
    checked = check(str(PROJECTS / "calls_after_deploy" / "graph.py"))

    assert (checked.subject, checked.problems) == ("calls", ())
    (warning,) = checked.warnings
    assert warning.code == "cut-short"
    assert warning.message == "graph.py:6: AssertionError: nothing answers: what comes after fn.deploy() has been left out"


def test_a_script_whose_own_steps_run_in_functions_may_not_fail_anywhere() -> None:
    error = _refusal(PROJECTS / "calls_after_deploy" / "steps_too.py")

    assert error.where.endswith("steps_too.py:12")
    assert error.message == "AssertionError: nothing answers"
    assert "__main__" in error.hint


def test_a_file_that_is_no_source_text_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "graph.py").write_bytes(b"x = 1\0\n")

    error = _refusal(tmp_path / "graph.py")

    assert error.where == str(tmp_path / "graph.py")
    assert "null bytes" in error.message
    assert "not Python source text" in error.hint


def test_an_unknown_class_of_a_file_without_classes_is_told_with_the_ways_there_are(tmp_path: Path) -> None:
    graph = tmp_path / "graph.py"
    graph.write_text("import fnkit\nfnkit.new_function('f').set_topology('flow').to('Missing').respond()\n")

    (problem,) = check(str(graph)).problems

    assert (problem.step, problem.message) == ("Missing", "Failed to import Missing")
    assert problem.hint.startswith("define it in the file of its function")


def test_a_constructor_is_only_called_by_a_check() -> None:
    assert load(str(PROJECTS / "constructor_raises" / "graph.py")).manifest.name == "bad"


@pytest.mark.parametrize(
    ("case", "place", "message", "hint"),
    [
        ("import_error", "steps.py:3", "No module named 'a_package_that_nobody_has'", "name it in requirements"),
        ("mlrun_import", "graph.py:1", "No module named 'mlrun'", "import fnkit instead"),
        ("syntax_error", "graph.py:3", "SyntaxError: '(' was never closed", "the line is: fn = fnkit"),
        ("syntax_error_in_steps", "steps.py:2", "SyntaxError: expected ':'", "the line is: def do"),
        ("raises_at_import", "graph.py:2", "KeyError: 'missing'", "while the file is imported"),
        ("no_graph", "graph.py", "defines no graph", "set_topology"),
        ("exits", "graph.py:3", "it ends the process while it is loaded (exit code 3)", "__main__"),
        ("crashes", "graph.py", "ended with exit code 7", "stands above"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_told_by_place_and_remedy(case: str, place: str, message: str, hint: str) -> None:
    error = _refusal(PROJECTS / case / "graph.py")

    assert error.where == str(PROJECTS / case / place)
    assert message in error.message
    assert hint in error.hint
    assert error.exit_code == 2


def test_a_mistake_in_the_graph_is_told_by_line_and_step() -> None:
    error = _refusal(PROJECTS / "duplicate_step" / "graph.py", GraphError)

    assert error.where == f"{PROJECTS / 'duplicate_step' / 'graph.py'}:10: step 'a'"


def test_a_file_that_does_not_end_is_given_up() -> None:
    with pytest.raises(LoadError, match=r"it has not been loaded after 0\.5 s"):
        load(str(PROJECTS / "hangs" / "graph.py"), timeout_s=0.5)


def test_a_missing_file_is_told_which_one_is_meant() -> None:
    assert _refusal(PROJECTS / "no_do" / "grph.py").hint.startswith("did you mean ")
    assert _refusal("nowhere/at/all.py").hint.startswith("a TARGET is ")


def test_a_folder_that_does_not_say_its_file_is_refused(tmp_path: Path) -> None:
    assert 'say graph = "file.py"' in _refusal(tmp_path).hint
    for name in ("graph.py", "serve.py"):
        (tmp_path / name).touch()
    assert "it has graph.py, serve.py" in _refusal(tmp_path).hint


@pytest.mark.parametrize(
    ("name", "text"), [("a.txt", "x"), ("a.ipynb", "{}"), ("a.json", "{"), ("a.json", "{}"), ("a.yaml", "a: 1")]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)

    assert _refusal(path).exit_code == 2


def test_a_gateway_is_recognised_and_refused() -> None:
    error = _refusal(PROJECTS / "gateway" / "config.yaml", UsageError)

    assert "MLflow AI Gateway" in error.message
    assert error.exit_code == 2


def test_an_inference_graph_is_recognised_by_its_content() -> None:
    loaded = load(str(PROJECTS / "inference_graph" / "graph.yaml"))

    assert (loaded.manifest.topology, loaded.manifest.name) == ("inference_graph", "two-steps")
    assert loaded.manifest.entry.name == "two-steps"


def test_what_was_loaded_is_a_target_of_its_own(tmp_path: Path) -> None:
    loaded = load(str(PROJECTS / "nested"))
    path = tmp_path / "loaded.json"
    path.write_text(loaded.to_json())

    assert load(str(path)) == loaded


def test_a_manifest_is_a_target_of_its_own(tmp_path: Path) -> None:
    manifest = Manifest("g", Flow((Step("a", handler="(event)", after=("b",)),)))
    path = tmp_path / "graph.json"
    path.write_text(dumps(manifest))

    assert [problem.code for problem in check(str(path)).problems] == ["missing-step"]


def test_a_file_whose_name_is_no_module_travels_by_pickle(tmp_path: Path) -> None:
    path = tmp_path / "my-graph.py"
    path.write_text(
        "import fnkit\n\n\nclass Double:\n    def do(self, body):\n        return body * 2\n\n\n"
        "fn = fnkit.new_function('f')\nfn.set_topology('flow').to(Double).respond()\n"
    )

    loaded = load(str(path))

    assert isinstance(loaded.manifest.spec, Flow)
    assert loaded.manifest.spec.steps[0].target == "pickle:Double"
    assert set(loaded.pickles) == {"Double"}


def test_loading_leaves_nothing_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(PROJECTS / "nested", folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(folder.rglob("*"))

    load(str(folder))

    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("target", "parts"),
    [("a.py", ("a.py", "")), ("a.py:fn", ("a.py", "fn")), ("a.py:my-fn", ("a.py", "my-fn")), ("a:b/c.py", ("a:b/c.py", ""))],
)
def test_a_target_is_a_path_and_a_name(target: str, parts: tuple[str, str]) -> None:
    path, name = split_target(target)

    assert (str(path), name) == parts


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"format": "fnkit.loaded/2"}', '{"format": "fnkit.loaded/1", "root": 1, "extra": 2}', "[" * 100_000],
)
def test_a_text_that_is_no_loaded_graph_is_refused(text: str) -> None:
    with pytest.raises(LoadError):
        Loaded.from_json(text)


@pytest.mark.parametrize("kind", ["graph", "loaded"])
def test_a_document_of_another_version_is_told_which_one_is_read(kind: str, tmp_path: Path) -> None:
    (tmp_path / "later.json").write_text(json.dumps({"format": f"fnkit.{kind}/9"}))

    error = _refusal(tmp_path / "later.json", UsageError)

    assert f"fnkit.{kind}/1" in error.message
    assert f"fnkit.{kind}/9" in error.message


def test_pickles_are_the_same_bytes_each_time_and_share_their_classes(tmp_path: Path) -> None:
    graph = tmp_path / "no-module.py"
    graph.write_text(
        "import fnkit\n"
        "class Base:\n    words = {'a', 'b', 'c', 'd', 'e'}\n"
        "    def do(self, body):\n        return body in {'v', 'w', 'x', 'y', 'z'}\n"
        "class One(Base):\n    pass\n"
        "class Two(Base):\n    pass\n"
        "fnkit.new_function('f').set_topology('flow').to(One).to(Two).respond()\n"
    )

    first, second = load(str(graph)).pickles, load(str(graph)).pickles
    one, two = (pickle.loads(first[name]) for name in ("One", "Two"))

    assert first == second
    assert set(first) == {"One", "Two"}
    assert one.__bases__ == two.__bases__
    assert one is not two


def test_a_pickle_that_is_no_base64_is_refused() -> None:
    document = json.loads(Loaded(Manifest("g", Flow(())), Path("/")).to_json())

    with pytest.raises(LoadError, match="the pickle 'x' is not base64"):
        Loaded.from_json(json.dumps({**document, "pickles": {"x": "%"}}))


def test_a_graph_inside_a_package_imports_its_neighbours(tmp_path: Path) -> None:
    package = tmp_path / "app"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "steps.py").write_text("class A:\n    def do(self, body):\n        return body\n")
    (package / "graph.py").write_text(
        "import fnkit\nfrom .steps import A\n\n\ndef f(body):\n    return body\n\n\n"
        "fn = fnkit.code_to_function('f', filename='steps.py')\n"
        "fn.set_topology('flow').to(A, 'a').to('A', 'b').to(f, 'c').to(name='d', handler='f').respond()\n"
    )

    loaded = load(str(package / "graph.py"))

    assert loaded.root == tmp_path
    assert isinstance(loaded.manifest.spec, Flow)
    targets = [step.target or step.handler for step in loaded.manifest.spec.steps]
    assert targets == ["app.steps:A", "app.steps:A", "app.graph:f", "app.graph:f"]
    assert dict(loaded.pickles) == {}


def test_a_step_file_outside_of_the_scripts_folder_has_a_root_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "steps.py").write_text("class A:\n    def do(self, body):\n        return body\n")
    (tmp_path / "one" / "graph.py").write_text(
        "import fnkit\n\nfn = fnkit.code_to_function('f', filename='../two/steps.py')\nfn.set_topology('flow').to('A').respond()\n"
    )

    loaded = load(str(tmp_path / "one" / "graph.py"))

    assert loaded.root == tmp_path / "two"
    assert loaded.files == {"f": "steps"}
