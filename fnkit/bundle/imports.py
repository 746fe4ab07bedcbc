"""Read the imports of a Python file, without running it.

What only a type checker sees (`if TYPE_CHECKING:`) and what only a script does (`if __name__ == "__main__":`) is left out, for
it never runs in a function. An import inside `try: ... except ImportError` is optional. `importlib.import_module("name")`
counts where the name is written out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from fnkit.errors import BundleError

_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the dotted *module*, the *names* taken from it (each may be a module too; `"*"` for all), and the *line*."""

    module: str
    names: tuple[str, ...]
    line: int
    optional: bool


def read_imports(source: bytes, *, where: str, package: str) -> tuple[Import, ...]:
    """Return the imports of *source* in order. *package* is the dotted package that relative imports start from.

    BundleError, with the line, where the source is no Python.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        place = f"{where}:{error.lineno}" if error.lineno else where
        raise BundleError(f"syntax error: {error.msg}", where=place, hint="mend the file and build again") from error
    except ValueError as error:  # null bytes
        raise BundleError(f"not a Python file: {error}", where=where) from error
    return tuple(_walk(tree.body, package, optional=False))


def read_names(source: bytes) -> frozenset[str]:
    """Return the names of the classes and functions that *source* defines or imports at its top; none if it is no Python."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return frozenset()
    defined = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return frozenset(defined | {alias.asname or alias.name for node in imports for alias in node.names})


def _walk(body: list[ast.stmt], package: str, *, optional: bool) -> Iterator[Import]:
    for statement in body:
        match statement:
            case ast.Import(names=names):
                yield from (Import(alias.name, (), statement.lineno, optional) for alias in names)
            case ast.ImportFrom():
                yield from _from(statement, package, optional=optional)
            case ast.If(test=test) if _never_in_a_function(test):
                yield from _walk(statement.orelse, package, optional=optional)
            case ast.Try() if _catches_import_errors(statement):
                yield from _walk(statement.body, package, optional=True)
                for block in (*(handler.body for handler in statement.handlers), statement.orelse, statement.finalbody):
                    yield from _walk(block, package, optional=True)
            case _:
                yield from _inside(statement, package, optional=optional)


def _inside(statement: ast.stmt, package: str, *, optional: bool) -> Iterator[Import]:
    """Yield what the blocks of a compound *statement*, and the calls in its expressions, import."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            yield from _walk([child], package, optional=optional)
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from _walk(child.body, package, optional=optional)
        else:
            yield from _calls(child, optional=optional)


def _calls(node: ast.AST, *, optional: bool) -> Iterator[Import]:
    for call in ast.walk(node):
        if not isinstance(call, ast.Call) or not call.args:
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        first = call.args[0]
        module = first.value if isinstance(first, ast.Constant) else None
        if name in {"import_module", "__import__"} and isinstance(module, str) and module and not module.startswith("."):
            yield Import(module, (), call.lineno, optional)


def _from(statement: ast.ImportFrom, package: str, *, optional: bool) -> Iterator[Import]:
    module = statement.module or ""
    if statement.level:
        parts = package.split(".") if package else []
        kept = parts[: len(parts) - statement.level + 1]
        module = ".".join([*kept, *([module] if module else [])])
    if module:
        yield Import(module, tuple(alias.name for alias in statement.names), statement.lineno, optional)
    else:  # from . import name, in a file at the root
        yield from (Import(alias.name, (), statement.lineno, optional) for alias in statement.names)


def _never_in_a_function(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]):
            return True
    return False


def _catches_import_errors(statement: ast.Try) -> bool:
    for handler in statement.handlers:
        if handler.type is None:
            return True
        caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        if any(isinstance(kind, ast.Name) and kind.id in _IMPORT_ERRORS for kind in caught):
            return True
    return False
