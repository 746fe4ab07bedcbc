"""Find the files of a project that a module needs: itself, the packages around it, and what these import, and so on.

Only files under the project's root count. What is imported and is neither there nor in the standard library is *foreign*: a
requirement has to bring it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fnkit.bundle.imports import Import, read_imports


@dataclass(frozen=True, slots=True)
class Foreign:
    """An import that the project does not answer itself: its dotted *module* and *where* it is written ("app.py:3")."""

    module: str
    where: str
    optional: bool

    @property
    def top(self) -> str:
        """The first part of its name."""
        return self.module.partition(".")[0]


@dataclass(frozen=True, slots=True)
class ModuleSet:
    """Files that modules need, relative to the root and sorted, and the foreign imports in them."""

    files: tuple[str, ...]
    foreign: tuple[Foreign, ...]


def is_project_module(root: Path, module: str) -> bool:
    """Tell whether *root* holds a file for the dotted *module*."""
    return bool(module_files(root, module))


def collect_modules(root: Path, modules: Iterable[str]) -> ModuleSet:
    """Return what *modules* (dotted) need from *root*. BundleError where a file is no Python."""
    files: set[str] = set()
    foreign: set[Foreign] = set()
    waiting = sorted(set(modules), reverse=True)
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for path in module_files(root, module):
            name = path.relative_to(root).as_posix()
            if name in files:
                continue
            files.add(name)
            if path.suffix == ".py":
                for statement in read_imports(path.read_bytes(), where=name, package=_package(name)):
                    waiting += _follow(root, statement, name, foreign)
    return ModuleSet(tuple(sorted(files)), tuple(sorted(foreign, key=lambda item: (item.module, item.where))))


def _follow(root: Path, statement: Import, name: str, foreign: set[Foreign]) -> list[str]:
    """Return the project's modules that *statement* of the file *name* brings in; note the foreign ones."""
    if not _has_top(root, statement.module):
        if statement.module.partition(".")[0] not in sys.stdlib_module_names:
            where = f"{name}:{statement.line}"
            foreign.add(Foreign(statement.module, where, statement.optional))
            foreign.update(Foreign(f"{statement.module}.{part}", where, True) for part in statement.names if part != "*")
        return []
    found = [statement.module]
    for part in statement.names:
        if part == "*":
            found += _submodules(root, statement.module)
        elif module_files(root, f"{statement.module}.{part}"):
            found.append(f"{statement.module}.{part}")
    return found


def module_files(root: Path, module: str) -> list[Path]:
    """Return the `__init__` files of the packages around the dotted *module*, then its own file; none if it is not there."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return []
    folder = root
    found: list[Path] = []
    for part in parts[:-1]:
        folder = folder / part
        if (folder / "__init__.py").is_file():
            found.append(folder / "__init__.py")
    last = folder / parts[-1]
    if (last / "__init__.py").is_file():
        return [*found, last / "__init__.py"]
    if (source := folder / f"{parts[-1]}.py").is_file():
        return [*found, source]
    compiled = sorted(folder.glob(f"{parts[-1]}.*.so")) if folder.is_dir() else []
    return [*found, *compiled] if compiled else (found if last.is_dir() else [])


def _has_top(root: Path, module: str) -> bool:
    top = module.partition(".")[0]
    folder = root / top
    return bool(module_files(root, top)) or (folder.is_dir() and any(folder.rglob("*.py")))


def _submodules(root: Path, module: str) -> list[str]:
    folder = root.joinpath(*module.split("."))
    if not folder.is_dir():
        return []
    return [f"{module}.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]


def _package(name: str) -> str:
    """Return the dotted package of the file *name*: relative imports start from it."""
    return ".".join(Path(name).parent.parts)
