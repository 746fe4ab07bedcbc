"""Functions whose module is loaded when they are first called: a step file pays for what it uses."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def later(module: str, name: str) -> Callable[..., Any]:  # Any: as the function itself says, see the imports for type checkers
    """Return what calls *name* of *module*, imported at the first call."""

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **options)

    return call
