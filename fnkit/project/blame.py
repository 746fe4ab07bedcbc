"""Where in the user's file an exception comes from, and what to do about it."""

from __future__ import annotations

import traceback
from pathlib import Path

import fnkit
from fnkit.errors import FnkitError, UsageError
from fnkit.project.origin import is_installed
from fnkit.project.resolve import hint_of

_OWN = Path(fnkit.__file__).resolve().parent


def explain(error: BaseException, path: Path) -> dict[str, str]:
    """Return kind, message, place (`file:line`) and hint of what happened while *path* was loaded."""
    where = _place(error, path)
    if isinstance(error, SyntaxError):
        shown = (error.text or "").strip()
        said = f"{type(error).__name__}: {error.msg}"
        place = f"{error.filename}:{error.lineno}" if error.filename else where  # where not even a line can be read
        return _said("LoadError", said, place, f"the line is: {shown}" if shown else _UNREADABLE)
    if isinstance(error, FnkitError):
        kind = type(error).__name__ if isinstance(error, UsageError) else "UsageError"
        in_graph = error.where.partition(" ")[0] in ("step", "function", "model")
        place = f"{where}: {error.where}" if in_graph else error.where or where
        return _said(kind, error.message, place, error.hint)
    if isinstance(error, SystemExit):
        hint = 'put it under if __name__ == "__main__":'
        return _said("LoadError", f"it ends the process while it is loaded (exit code {error.code})", where, hint)
    hint = _import_hint(error, path) if isinstance(error, ImportError) else hint_of(error)
    return _said("LoadError", f"{type(error).__name__}: {error}", where, hint or _AT_IMPORT)


_AT_IMPORT = (
    'it is raised while the file is imported; what calls the graph, after fn.deploy(), belongs under if __name__ == "__main__":'
)
_UNREADABLE = "it is not Python source text; is it the right file?"


def _said(kind: str, message: str, where: str, hint: str) -> dict[str, str]:
    return {"type": kind, "message": message, "where": where, "hint": hint}


def _place(error: BaseException, path: Path) -> str:
    """Return file and line of the innermost frame in the user's own code."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(path)


def _is_users(filename: str) -> bool:
    if filename.startswith("<"):
        return False
    file = Path(filename).resolve()
    return not file.is_relative_to(_OWN) and not is_installed(file)


def _import_hint(error: ImportError, path: Path) -> str:
    hint = hint_of(error)
    if hint or not isinstance(error, ModuleNotFoundError) or not error.name:
        return hint
    name = error.name.partition(".")[0]
    beside = [folder for folder in path.parent.rglob(f"{name}.py") if folder.is_file()][:1]
    if beside:
        return f"{beside[0]} exists, but import paths start at {path.parent}: import it from there"
    if name in ("mlrun", "storey"):
        return "import fnkit instead; fnkit.serving and fnkit.steps hold the classes of the same names"
    return f"install it here, and name it in requirements=[...] or a requirements.txt (module {name!r})"
