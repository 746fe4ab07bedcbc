"""Whether a script can be imported by a function without doing again what the script does."""

from __future__ import annotations

import ast
from pathlib import Path

_QUIET = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)


def is_safe_to_import(path: Path) -> bool:
    """Tell whether importing *path* only defines things and builds graphs.

    At its top level a script may import, define, assign values without calls, guard code with `if __name__ == "__main__":`, and
    call what comes from fnkit (inside a bundle those names do nothing). Anything else would be done again in every function.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    authoring = {"fnkit"}
    return all(_is_quiet(statement, authoring) for statement in tree.body)


def _is_quiet(statement: ast.stmt, authoring: set[str]) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        authoring |= _imported_from_fnkit(statement)
    if isinstance(statement, _QUIET):
        return True
    if isinstance(statement, ast.If) and _is_main_guard(statement.test):
        return not statement.orelse
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        value = statement.value
        if value is None:
            return True
        if _starts_with(value, authoring):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            authoring |= {target.id for target in targets if isinstance(target, ast.Name)}
            return True
        return not _calls(value, authoring)
    return isinstance(statement, ast.Expr) and not _calls(statement.value, authoring)


def _imported_from_fnkit(statement: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(statement, ast.ImportFrom):
        return (
            {alias.asname or alias.name for alias in statement.names} if (statement.module or "").startswith("fnkit") else set()
        )
    return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names if alias.name.startswith("fnkit")}


def _is_main_guard(test: ast.expr) -> bool:
    return ast.unparse(test).replace('"', "'") in ("__name__ == '__main__'", "'__main__' == __name__")


def _starts_with(value: ast.expr, names: set[str]) -> bool:
    """Tell whether *value* is a chain of calls, attributes and items that starts with one of *names*."""
    while isinstance(value, ast.Call | ast.Attribute | ast.Subscript):
        value = value.func if isinstance(value, ast.Call) else value.value
    return isinstance(value, ast.Name) and value.id in names


def _calls(value: ast.expr, authoring: set[str]) -> bool:
    """Tell whether evaluating *value* calls anything that does not come from fnkit, or waits for something."""
    for node in ast.walk(value):
        if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom):
            return True
        if isinstance(node, ast.Call) and not _starts_with(node, authoring):
            return True
    return False
