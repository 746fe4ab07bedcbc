"""A user's project: writing graphs, loading them from files, running them in a mock server, deploying them.

::

    authoring, function, graph, router, steps, spec   the objects that a step file writes a graph with
    assemble, resolve, constructors, pickling         from those to data: a `Loaded`
    loading, documents, child                         a TARGET becomes a `Loaded`; the user's code runs in a child process
    mock, mock_loop                                   the graph in the user's own process
    deployment, call                                  what `fn.deploy()` starts, and calling it
    settings, files, modules, origin, script          what is on the disk
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.project.authoring import Project, code_to_function, get_or_create_project, import_function, new_function
    from fnkit.project.function import ServingFunction
    from fnkit.project.graph import FlowGraph
    from fnkit.project.loaded import Loaded
    from fnkit.project.loading import check, load
    from fnkit.project.mock import MockServer
    from fnkit.project.router import RouterGraph
    from fnkit.project.settings import Settings, read_settings
    from fnkit.project.steps import GraphStep

__all__ = [
    "FlowGraph",
    "GraphStep",
    "Loaded",
    "MockServer",
    "Project",
    "RouterGraph",
    "ServingFunction",
    "Settings",
    "check",
    "code_to_function",
    "get_or_create_project",
    "import_function",
    "load",
    "new_function",
    "read_settings",
]

_HOMES = {
    "authoring": ("Project", "code_to_function", "get_or_create_project", "import_function", "new_function"),
    "function": ("ServingFunction",),
    "graph": ("FlowGraph",),
    "loaded": ("Loaded",),
    "loading": ("check", "load"),
    "mock": ("MockServer",),
    "router": ("RouterGraph",),
    "settings": ("Settings", "read_settings"),
    "steps": ("GraphStep",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'fnkit.project' has no attribute {name!r}")
    value: object = getattr(import_module(f"fnkit.project.{module}"), name)
    globals()[name] = value
    return value
