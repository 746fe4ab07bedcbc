"""InferenceGraphs in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.errors import FnkitError, LoadError, ProblemsError, UsageError
from fnkit.project.inference_graph_file import is_inference_graph, load_graph, load_graphs, parse_documents

GRAPH = """\
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata:
  name: {name}
spec:
  nodes:
    root:
      routerType: Sequence
      steps:
        - serviceUrl: http://h/
"""


def file(tmp_path: Path, text: str, name: str = "graph.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def test_one_graph_is_read_from_yaml(tmp_path: Path) -> None:
    graph = load_graph(file(tmp_path, GRAPH.format(name="one")))

    assert (graph.name, graph.nodes["root"].steps[0].service_url) == ("one", "http://h/")


def test_json_is_yaml_too(tmp_path: Path) -> None:
    text = (
        '{"apiVersion": "serving.kserve.io/v1alpha1", "kind": "InferenceGraph", "metadata": {"name": "j"}, "spec": {"nodes": {}}}'
    )

    assert load_graph(file(tmp_path, text, "graph.json")).name == "j"


def test_a_file_may_hold_several_graphs_and_other_documents(tmp_path: Path) -> None:
    other = "apiVersion: v1\nkind: ConfigMap\ndata: {}\n"
    path = file(tmp_path, "---\n".join([GRAPH.format(name="one"), other, "\n", GRAPH.format(name="two")]))

    assert [graph.name for graph in load_graphs(path)] == ["one", "two"]
    assert load_graph(path, "two").name == "two"


@pytest.mark.parametrize("name", ["", "three"])
def test_the_choice_among_several_graphs_must_be_clear(tmp_path: Path, name: str) -> None:
    path = file(tmp_path, "---\n".join([GRAPH.format(name="one"), GRAPH.format(name="two")]))

    with pytest.raises(UsageError) as caught:
        load_graph(path, name)

    assert "one, two" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not YAML"),
        ("a: 1\na: 2\n", "stands here twice"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("a: &x [*x, *x\n", "not YAML"),
        ("\x00", "not YAML"),
        ("[" * 5000, "nested too deeply"),
        ("", "no InferenceGraph"),
        ("a: 2026-13-45\n", "not YAML"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = file(tmp_path, text)

    with pytest.raises(LoadError) as caught:
        load_graphs(path)

    assert said in str(caught.value)
    assert str(path) in caught.value.where


@pytest.mark.parametrize("text", ["kind: Pod", "- 1", "text", "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceGraph"])
def test_a_lone_document_that_is_no_graph_is_explained(tmp_path: Path, text: str) -> None:
    with pytest.raises(FnkitError) as caught:
        load_graphs(file(tmp_path, text))

    assert caught.value.exit_code == 2


def test_the_line_of_a_fault_is_named(tmp_path: Path) -> None:
    path = file(tmp_path, "a: 1\nb: [\n")

    with pytest.raises(LoadError) as caught:
        load_graphs(path)

    assert caught.value.where == f"{path}:3"


def test_faults_of_all_documents_are_reported_together(tmp_path: Path) -> None:
    bad = GRAPH.replace("routerType: Sequence", "routerType: 5")
    path = file(tmp_path, "---\n".join([bad.format(name="one"), GRAPH.format(name="two"), bad.format(name="three")]))

    with pytest.raises(ProblemsError) as caught:
        load_graphs(path)

    assert [str(problem).partition(":")[0] for problem in caught.value.problems] == ["document 1", "document 3"]


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")

    for path in (tmp_path / "missing.yaml", tmp_path, binary):
        with pytest.raises(LoadError):
            load_graphs(path)


def test_a_graph_is_recognised_by_its_kind() -> None:
    assert is_inference_graph(parse_documents(GRAPH.format(name="x"), where="x"))
    assert not is_inference_graph(parse_documents("kind: Pod\n---\n- 1", where="x"))
