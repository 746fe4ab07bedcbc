"""Graphs that are written as documents: an InferenceGraph is loaded, a gateway's configuration is recognised."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from fnkit.errors import LoadError, UsageError
from fnkit.functions.services import target_of
from fnkit.inference_graph.encode import to_document
from fnkit.inference_graph.lint import find_warnings
from fnkit.inference_graph.spec import InferenceGraph
from fnkit.inference_graph.webhook import find_refusals
from fnkit.manifest import Document, Function, Manifest, Problem
from fnkit.project.inference_graph_file import is_inference_graph, load_graph, parse_documents, read_text
from fnkit.project.loaded import Loaded
from fnkit.project.services import find_service_problems
from fnkit.project.settings import Settings, read_settings


def load_document(path: Path, name: str, *, construct: bool = False) -> tuple[Loaded, tuple[Problem, ...], tuple[Problem, ...]]:
    """Return the InferenceGraph called *name* (`""`: the only one) of *path*, what is wrong with it, and what is doubtful.

    *construct*: the classes of its services are constructed too. UsageError for a gateway's configuration, LoadError for any
    other document.
    """
    documents = parse_documents(read_text(path), where=str(path))
    if is_inference_graph(documents):
        return _inference_graph(path.resolve(), name, construct=construct)
    if any(_is_gateway(document) for document in documents):
        raise UsageError(
            "this is the configuration of an MLflow AI Gateway, which this version of fnkit does not emulate",
            where=str(path),
            hint="give a step file, a project folder or an InferenceGraph",
        )
    hint = "an InferenceGraph has `kind: InferenceGraph`; a step file ends in .py"
    raise LoadError("the document is no kind of graph that fnkit knows", where=str(path), hint=hint)


def _is_gateway(document: object) -> bool:
    """Tell whether *document* looks like a gateway's configuration: a list of endpoints (or routes) with names."""
    listed = (document.get("endpoints") or document.get("routes")) if isinstance(document, dict) else None
    return isinstance(listed, list) and all(isinstance(item, dict) and "name" in item for item in listed)


def _inference_graph(path: Path, name: str, *, construct: bool) -> tuple[Loaded, tuple[Problem, ...], tuple[Problem, ...]]:
    graph = load_graph(path, name)
    settings = read_settings(path.parent, os.environ)
    warnings = find_warnings(graph)
    named = {name: target_of(text) for name, text in settings.services.items()} | dict(graph.extensions.services)
    called = graph.service_names
    services = {name: target for name, target in named.items() if name in called}
    graph = replace(graph, extensions=replace(graph.extensions, services=services))
    problems = [Problem("", "refused", text) for text in find_refusals(graph)]
    problems += find_service_problems(graph.extensions.code, path.parent, construct=construct)
    return Loaded(_manifest(graph, settings), path.parent, settings.include, {}, settings), tuple(problems), warnings


def _manifest(graph: InferenceGraph, settings: Settings) -> Manifest:
    name = graph.name or "graph"
    entry = Function(
        name,
        "entry",
        requirements=settings.requirements,
        memory_mb=settings.memory_mb,
        timeout_s=settings.timeout_s,
        concurrency=settings.concurrency,
        max_environments=settings.max_environments,
        environment=settings.environment,
        streaming=graph.extensions.stream,
    )
    return Manifest(
        name,
        Document(to_document(graph)),
        "inference_graph",
        functions=(entry,),
        streaming=graph.extensions.stream,
        python=settings.python,
    )
