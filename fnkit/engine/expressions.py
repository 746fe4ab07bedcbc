"""Expressions in a graph, such as `(event["a"] + 1)`: parsed, checked against what is allowed, and only then compiled.

Allowed are literals, operators, comparisons, conditions, subscripts, comprehensions, f-strings, `lambda`, the functions in FUNCTIONS, the
methods in METHODS, and attributes that are neither private nor a way into the interpreter. Nothing can be imported, assigned or reached
beyond the expression's own names.
"""

from __future__ import annotations

import ast
import builtins
from types import CodeType, FunctionType

from fnkit.errors import GraphError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


FUNCTIONS = frozenset(
    "abs all any bool bytes chr dict divmod enumerate filter float frozenset hex int isinstance len list map max min ord range repr "
    "reversed round set slice sorted str sum tuple zip".split()
)
METHODS = frozenset(
    "append capitalize casefold copy count date decode difference encode endswith extend find get header hex index insert intersection "
    "isalnum isalpha isascii isdigit isdisjoint isidentifier islower isnumeric isoformat isspace issubset issuperset istitle isupper items "
    "join keys ljust lower lstrip max mean min partition pop removeprefix removesuffix replace rfind rindex rjust rpartition rsplit "
    "rstrip setdefault sort split splitlines startswith strip sum swapcase symmetric_difference time timestamp title tolist total_seconds "
    "translate union update upper values zfill".split()
)
_INTERNALS = ("gi_", "cr_", "ag_", "tb_", "f_", "co_", "func_")
_REFUSED = frozenset(("format", "format_map", "mro"))
_NODES = (
    ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Store, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.Subscript, ast.Slice, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.Starred,
    ast.Attribute, ast.Call, ast.keyword, ast.JoinedStr, ast.FormattedValue, ast.Lambda, ast.arguments, ast.arg,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension,
)  # fmt: skip
_GLOBALS: dict[str, object] = {"__builtins__": {name: getattr(builtins, name) for name in FUNCTIONS}}
_LENGTH = 10_000  # characters


def compile_expression(text: str, names: Sequence[str] = ("event",)) -> Callable[..., object]:
    """Return the function of *names* whose value the expression is. GraphError where it does not parse, or uses what is not allowed."""
    tree = _parse(text)
    problems = [*_find_refused(tree, {*names, *_bound(tree)})]
    if problems:
        raise GraphError(
            f"the expression {text} uses {', '.join(dict.fromkeys(problems))}, which expressions may not",
            hint="write a function in your file and name it as the handler",
        )
    parameters = ast.arguments(posonlyargs=[], args=[ast.arg(name) for name in names], kwonlyargs=[], kw_defaults=[], defaults=[])
    function = ast.Expression(ast.Lambda(parameters, tree.body))
    code = compile(ast.fix_missing_locations(function), "<expression>", "eval")
    body = next(constant for constant in code.co_consts if isinstance(constant, CodeType))
    return FunctionType(body, dict(_GLOBALS), "expression")


def _parse(text: str) -> ast.Expression:
    if len(text) > _LENGTH:
        raise GraphError(
            f"an expression has {len(text)} characters, {_LENGTH} are possible", hint="write a function in your file"
        )
    try:
        return ast.parse(text.strip(), "<expression>", mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", "") or str(error)
        raise GraphError(f"the expression {text} cannot be read: {reason}") from error


def _bound(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def _find_refused(tree: ast.AST, names: set[str]) -> Iterator[str]:
    """Yield, in words, what the expression uses although it may not."""
    for node in ast.walk(tree):
        if not isinstance(node, _NODES) or (isinstance(node, ast.comprehension) and node.is_async):
            yield f"'{type(node).__name__.lower()}'"
        elif isinstance(node, ast.Name):
            if (node.id not in names and node.id not in FUNCTIONS) or node.id.startswith("__"):
                yield f"the name '{node.id}'"
        elif isinstance(node, ast.Attribute):
            if node.attr.startswith(("_", *_INTERNALS)) or node.attr in _REFUSED:
                yield f"the attribute '{node.attr}'"
        elif isinstance(node, ast.Call) and not _may_call(node.func, names):
            yield f"a call of {ast.unparse(node.func)}"


def _may_call(function: ast.expr, names: set[str]) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr in METHODS
    return isinstance(function, ast.Name) and (function.id in FUNCTIONS or function.id in names)
