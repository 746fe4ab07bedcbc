"""fnkit: step classes become a graph, the graph becomes serverless functions, and both run on a laptop.

This module names what a step file imports. Each name is loaded when it is first used, so that `import fnkit` costs nothing.
Inside a bundle the authoring part is not shipped: there the authoring names are inert, so that a file that both defines
steps and builds the graph can be imported by a function.
"""

from __future__ import annotations

from fnkit.lean import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.engine import Event, Response
    from fnkit.project import (
        Project,
        ServingFunction,
        code_to_function,
        get_or_create_project,
        import_function,
        new_function,
    )

__all__ = [
    "Event",
    "Project",
    "Response",
    "ServingFunction",
    "code_to_function",
    "get_or_create_project",
    "import_function",
    "new_function",
]
__version__ = "0.1.0"

_HOMES = {
    "Event": "fnkit.engine",
    "Response": "fnkit.engine",
    "Project": "fnkit.project",
    "ServingFunction": "fnkit.project",
    "code_to_function": "fnkit.project",
    "get_or_create_project": "fnkit.project",
    "import_function": "fnkit.project",
    "new_function": "fnkit.project",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fnkit' has no attribute {name!r}")
    try:
        module = import_module(home)
    except ModuleNotFoundError as error:
        if error.name != "fnkit.project":
            raise
        return import_module("fnkit.inert").INERT  # inside a bundle: the graph is built already
    value = getattr(module, name)
    globals()[name] = value
    return value
