"""Which modules a zygote imports before any environment exists.

Those that the user's files import and that are the same for every environment: the standard library's, the requirements that the bundle
ships, and fnkit's own. The user's modules are left out, so that each environment runs them afresh, as a cold start does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from fnkit.bundle.imports import read_imports
from fnkit.errors import BundleError

# They open a browser or a window, or print, when they are imported.
_UNWANTED = frozenset({"antigravity", "this", "turtle", "turtledemo", "tkinter", "idlelib", "lib2to3", "test", "__main__"})
# The managed runtime's handler loads the graph, and with it the user's modules.
_LOADS_THE_GRAPH = frozenset({"fnkit.runtime.handler"})


def modules_to_preload(root: Path) -> tuple[str, ...]:
    """Return the names of the modules that the zygote of the unpacked bundle *root* should import, sorted."""
    shipped = _requirements(root)
    wanted = set(_own_modules(root))
    for path in _user_files(root, shipped):
        for module in _imports(path):
            top = module.partition(".")[0]
            if (top in shipped or top in sys.stdlib_module_names) and top not in _UNWANTED:
                wanted.add(module)
    return tuple(sorted(wanted))


def _requirements(root: Path) -> frozenset[str]:
    """Return the top-level names that installed requirements brought, by their RECORD files."""
    names: set[str] = set()
    for record in root.glob("*.dist-info/RECORD"):
        for line in record.read_text("utf-8", "replace").splitlines():
            top = line.split(",")[0].partition("/")[0]
            if top and ".dist-info" not in top and not top.startswith((".", "_")):
                names.add(top.split(".")[0])
    return frozenset(names)


def _own_modules(root: Path) -> Iterator[str]:
    for path in sorted((root / "fnkit").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if parts[-1] != "__main__" and name not in _LOADS_THE_GRAPH:
            yield name


def _user_files(root: Path, shipped: frozenset[str]) -> Iterator[Path]:
    for path in sorted(root.rglob("*.py")):
        top = path.relative_to(root).parts[0].removesuffix(".py")
        if top != "fnkit" and top not in shipped:
            yield path


def _imports(path: Path) -> Iterator[str]:
    try:
        found = read_imports(path.read_bytes(), where=path.name, package="")
    except BundleError:
        return  # the environment will say so, with the place
    for one in found:
        if one.module and not one.module.startswith("."):
            yield one.module
