"""InferenceGraph files: YAML or JSON, with one or many documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from fnkit.errors import FnkitError, LoadError, ProblemsError, UsageError
from fnkit.inference_graph.decode import read_graph
from fnkit.inference_graph.spec import API_VERSION, KIND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fnkit.inference_graph.spec import InferenceGraph


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a key that stands twice in one mapping: one of the two would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key_node.value!r} stands here twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def is_inference_graph(documents: tuple[object, ...]) -> bool:
    """Tell whether any of *documents* is an InferenceGraph, by its kind."""
    return any(isinstance(document, dict) and document.get("kind") == KIND for document in documents)


def parse_documents(text: str, *, where: str) -> tuple[object, ...]:
    """Return the documents of a YAML or JSON text, empty ones left out. Raises `LoadError` with the line of the fault."""
    try:
        return tuple(
            document for document in yaml.load_all(text, Loader=_Loader) if document is not None
        )  # derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"{where}:{mark.line + 1}" if mark else where
        raise LoadError(f"not YAML: {error.problem or error.context}", where=line) from error
    except (yaml.YAMLError, ValueError) as error:
        raise LoadError(f"not YAML: {error}", where=where) from error
    except RecursionError as error:
        raise LoadError("nested too deeply", where=where) from error


def read_text(path: Path) -> str:
    """Return the text of *path*. Raises `LoadError`."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise LoadError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise LoadError("is not UTF-8 text", where=str(path)) from error


def parse_graphs(text: str, *, where: str) -> tuple[InferenceGraph, ...]:
    """Return all InferenceGraphs of a text; documents of other kinds are left out.

    Raises `LoadError` for a text that is no YAML and `ProblemsError` with the faults of form of all documents.
    """
    documents = parse_documents(text, where=where)
    graphs = []
    problems: list[object] = []
    for number, document in enumerate(documents, 1):
        if not _concerns_us(document, alone=len(documents) == 1):
            continue
        try:
            graphs.append(read_graph(document, where=where))
        except ProblemsError as error:
            place = f"document {number}: " if len(documents) > 1 else ""
            problems += [f"{place}{problem}" for problem in error.problems]
    if problems:
        raise ProblemsError(where, tuple(problems))
    return tuple(graphs)


def load_graphs(path: Path) -> tuple[InferenceGraph, ...]:
    """Return all InferenceGraphs of the file *path*; at least one. Raises `LoadError` and `ProblemsError`."""
    graphs = parse_graphs(read_text(path), where=str(path))
    if not graphs:
        raise LoadError(
            "there is no InferenceGraph in this file",
            where=str(path),
            hint=f"a document has `apiVersion: {API_VERSION}` and `kind: {KIND}`",
        )
    return graphs


def graph_targets(target: str) -> tuple[str, ...]:
    """Return `FILE:NAME` for each graph of a file with several InferenceGraphs; *target* itself if it is anything else."""
    try:
        names = [graph.name for graph in load_graphs(Path(target))]
    except FnkitError:
        return (target,)  # whoever loads it says what is wrong
    if len(names) < 2 or len(set(names)) < len(names) or not all(name.replace("-", "_").isidentifier() for name in names):
        return (target,)
    return tuple(f"{target}:{name}" for name in names)


def load_graph(path: Path, name: str = "") -> InferenceGraph:
    """Return the graph called *name* of the file *path*; `""`: the only one. Raises `UsageError` if that leaves a choice."""
    graphs = load_graphs(path)
    chosen = [graph for graph in graphs if not name or graph.name == name]
    if len(chosen) != 1:
        names = ", ".join(graph.name or "(no name)" for graph in graphs)
        problem = (
            f"there is no graph {name!r}"
            if not chosen
            else f"the name {name!r} fits several graphs"
            if name
            else ("there are several graphs")
        )
        raise UsageError(problem, where=str(path), hint=f"choose by name among: {names}")
    return chosen[0]


def _concerns_us(document: object, *, alone: bool) -> bool:
    """Tell whether *document* is to be read as a graph; a lone document is, so that its faults are explained."""
    kind = _kind(document)
    return alone or kind in (KIND, "")


def _kind(document: object) -> str:
    if not isinstance(document, dict):
        return ""
    found: Mapping[str, object] = document
    return str(found.get("kind") or "")
