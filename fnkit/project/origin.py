"""Where a user's code is: which file builds the graph, which folder import paths start at, which module a file is."""

from __future__ import annotations

import site
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType


@dataclass(frozen=True, slots=True)
class Origin:
    """Who called an authoring function: *file* (None: a notebook or a prompt), *line*, and the globals of that place."""

    file: Path | None
    line: int
    names: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def folder(self) -> Path:
        """The folder that relative file names are looked up in first."""
        return self.file.parent if self.file else Path.cwd()

    @property
    def where(self) -> str:
        """`file:line`, for messages."""
        return f"{self.file}:{self.line}" if self.file else ""


def origin_of_caller() -> Origin:
    """Return the nearest caller outside of fnkit."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "fnkit":
        frame = frame.f_back
    if frame is None:
        return Origin(None, 0)
    file = Path(frame.f_code.co_filename)
    return Origin(file.resolve() if file.is_file() else None, frame.f_lineno, frame.f_globals)


def find_file(name: str, folders: tuple[Path, ...]) -> Path | None:
    """Return the file *name* means: as given if absolute, else the first of *folders* that has it; None if none does."""
    path = Path(name).expanduser()
    candidates = [path] if path.is_absolute() else [folder / path for folder in folders]
    return next((candidate.resolve() for candidate in candidates if candidate.is_file()), None)


def package_root(file: Path) -> Path:
    """Return the folder at which the import path of *file* starts: above the outermost package that holds it."""
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def module_name(file: Path, root: Path) -> str:
    """Return the import path of *file* below *root*; ValueError if it is not below, or not importable by its name."""
    parts = file.relative_to(root).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    if not parts or not all(part.isidentifier() for part in parts):
        raise ValueError(f"{file} has no import path below {root}")
    return ".".join(parts)


def choose_root(files: tuple[Path, ...], preferred: tuple[Path, ...]) -> Path | None:
    """Return the folder below which all *files* lie: the first of *preferred* that does it, else their nearest common one."""
    if not files:
        return preferred[0] if preferred else None
    roots = {package_root(file) for file in files}
    candidates = [*preferred, *sorted(roots, key=lambda root: len(root.parts))]
    for folder in candidates:
        if all(root.is_relative_to(folder) for root in roots):
            return folder
    common = min(roots, key=lambda root: len(root.parts))
    while not all(root.is_relative_to(common) for root in roots):
        common = common.parent
    return common if common != common.parent else None


def is_installed(file: Path) -> bool:
    """Tell whether *file* belongs to Python or to an installed package, not to the user's project."""
    return any(file.is_relative_to(folder) for folder in _installed_folders())


def _installed_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    named = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib") if key in paths]
    return tuple(Path(folder).resolve() for folder in (*named, *site.getsitepackages(), site.getusersitepackages()))
