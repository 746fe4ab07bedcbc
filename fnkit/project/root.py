"""The folder that the import paths of a graph start at."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fnkit.errors import LoadError
from fnkit.project.graph import FlowGraph
from fnkit.project.origin import choose_root, is_installed, module_name, package_root
from fnkit.project.router import RouterGraph
from fnkit.project.steps import GraphStep, RouteDraft

if TYPE_CHECKING:
    from fnkit.project.function import ServingFunction


def find_root(function: ServingFunction) -> Path | None:
    """Return the folder that import paths start at: that of the calling script where all code lies below it."""
    files = tuple(file for file in (function.file, *(child.file for child in function.children.values())) if file)
    origin = function.origin.file
    preferred = [*_roots_of_objects(function)]
    if origin is not None and not is_installed(origin):
        preferred.append(package_root(origin))
    preferred += [folder.resolve() for folder in function.folders] + [Path.cwd().resolve()]
    fitting = tuple(root for root in preferred if all(_has_import_path(file, root) for file in files))
    root = choose_root(files, fitting)
    if files and (root is None or not all(_has_import_path(file, root) for file in files)):
        listed = ", ".join(str(file) for file in files)
        raise LoadError(
            f"no folder gives all of these files an import path: {listed}",
            hint="keep them in one folder, under names that Python can import (letters, digits, underscores)",
        )
    return root


def _has_import_path(file: Path, root: Path) -> bool:
    try:
        return bool(module_name(file, root))
    except ValueError:
        return False


def _roots_of_objects(function: ServingFunction) -> Iterator[Path]:
    """Yield the folder below which each class or function that was passed as an object has its own import path."""
    graph = function.spec.graph
    holders: list[GraphStep | RouteDraft] = []
    if isinstance(graph, FlowGraph):
        for step in graph.steps.values():
            holders += [step, *step.routes.values()]
    elif isinstance(graph, RouterGraph):
        holders = list(graph.routes.values())
    for holder in holders:
        for subject in (holder.class_name, holder.handler):
            home = getattr(subject, "__module__", "") if subject is not None and not isinstance(subject, str) else ""
            file = _file_of(home)
            if file is not None and not is_installed(file) and not home.startswith("fnkit.") and home != "__main__":
                yield file.parents[home.count(".") + (file.name == "__init__.py")]


def _file_of(home: str) -> Path | None:
    module = sys.modules.get(home)
    name = getattr(module, "__file__", None)
    return Path(name).resolve() if name else None
