"""The modules of a user's project, imported by their files in the process that the user runs (or in the loader's child)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from fnkit.errors import LoadError

Stamp = tuple[int, int]


class _Imported:
    """What was imported here by its file: file -> (its time and size then, the module)."""

    modules: dict[Path, tuple[Stamp, ModuleType]] = {}  # noqa: RUF012  # one per process, as sys.modules is


def import_file(file: Path, name: str, root: Path) -> ModuleType:
    """Return the module of *file* under the import path *name* below *root*; whatever the file raises is raised.

    A file that was imported already is imported again only when it has changed, as a notebook's `%%writefile` changes it.
    """
    stamp = _stamp(file)
    known = _Imported.modules.get(file)
    if known is not None and known[0] == stamp:
        return known[1]
    standing = sys.modules.get(name)
    if known is None and standing is not None and _is_of(standing, file):
        return standing
    module = _execute(file, name, root, replaces=standing if known and standing is known[1] else None)
    _Imported.modules[file] = (stamp, module)
    return module


def forget(file: Path) -> None:
    """Have *file* imported anew when it is asked for again."""
    _Imported.modules.pop(file, None)


def _execute(file: Path, name: str, root: Path, *, replaces: ModuleType | None) -> ModuleType:
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise LoadError(
            "is not a Python file", where=str(file), hint="name a .py file; a notebook can write one with %%writefile"
        )
    module = module_from_spec(spec)
    free = name not in sys.modules or sys.modules[name] is replaces
    if free:
        sys.modules[name] = module
    try:
        with _importable(root):
            spec.loader.exec_module(module)
    except BaseException:
        if free:
            sys.modules.pop(name, None)
        raise
    return module


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Let the file import its neighbours, also where the process was started elsewhere."""
    folder = str(root)
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return status.st_mtime_ns, status.st_size


def _is_of(module: ModuleType, file: Path) -> bool:
    own = getattr(module, "__file__", None)
    return bool(own) and Path(str(own)).resolve() == file
