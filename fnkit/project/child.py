"""The child process that imports a user's file: `python -m fnkit.project.child REQUEST`.

REQUEST is JSON: the file's `path`, the `name` of the graph (`""`: the only one), whether to `construct` the steps, and the file that
takes the `answer`: `{"loaded": ..., "warnings": [...]}` or `{"problems": [...]}` or `{"error": {...}}`.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from traceback import walk_tb
from types import ModuleType

from fnkit.errors import LoadError, ProblemsError
from fnkit.manifest import Manifest, Problem, dumps
from fnkit.manifest.spelling import did_you_mean
from fnkit.project import recording
from fnkit.project.assemble import Assembly, begin, finish
from fnkit.project.blame import explain
from fnkit.project.construct import find_construction_problems
from fnkit.project.function import ServingFunction
from fnkit.project.graph import FlowGraph
from fnkit.project.modules import import_file
from fnkit.project.origin import package_root
from fnkit.project.remarks import find_remarks
from fnkit.project.router import RouterGraph


def main(request: dict[str, object]) -> dict[str, object]:
    """Return the answer to *request*."""
    path = Path(str(request["path"]))
    root = package_root(path)
    sys.path.insert(0, str(root))
    sys.argv = [str(path)]
    sys.dont_write_bytecode = True
    try:
        listed = recording.begin()
        module, error = _import(path, root, listed)
        function = choose(module, listed.functions, str(request["name"]), path)
        assembly, manifest = begin(function, runs_here=False)
        if error is not None and (assembly.resolver.pickles or _names(manifest, module)):
            raise error  # a function would run the file again
        answer = _answer(assembly, manifest, construct=bool(request["construct"]))
        return answer if error is None else _with_warning(answer, error, path)
    except (Exception, SystemExit) as error:
        return {"error": explain(error, path)}


def _import(path: Path, root: Path, listed: recording.Recording) -> tuple[ModuleType, Exception | None]:
    """Return the module of *path*, and what it raised after it had deployed a function.

    A script that builds a graph, deploys it and calls it cannot call it here, where nothing is deployed. Its graph is complete by then.
    """
    parts = path.relative_to(root).with_suffix("").parts
    name = ".".join(re.sub(r"\W", "_", part) for part in parts)
    try:
        return import_file(path, name, root), None
    except Exception as error:
        if not listed.deployed:
            raise
        return _as_far_as_it_got(error, path, name), error


def _as_far_as_it_got(error: Exception, path: Path, name: str) -> ModuleType:
    """Return the module *name* with what *path* had defined when it raised *error*."""
    module = sys.modules[name] = ModuleType(name)
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code.co_filename == str(path) and frame.f_code.co_name == "<module>":
            vars(module).update(frame.f_globals)
    return module


def _names(manifest: Manifest, module: ModuleType) -> bool:
    """Tell whether *manifest* names *module* as the place of a step or of a function's code."""
    return re.search(rf'"{re.escape(module.__name__)}[:"]', dumps(manifest)) is not None


def _with_warning(answer: dict[str, object], error: Exception, path: Path) -> dict[str, object]:
    said = explain(error, path)
    message = f"{Path(said['where']).name}: {said['message']}: what comes after fn.deploy() has been left out"
    warning = Problem("", "cut-short", message, 'put what calls the graph under if __name__ == "__main__":')
    warnings = answer.get("warnings", [])
    assert isinstance(warnings, list)
    return {**answer, "warnings": [*warnings, _as_json(warning)]}


def _answer(assembly: Assembly, manifest: Manifest, *, construct: bool) -> dict[str, object]:
    try:
        loaded = finish(assembly, manifest, check_calls=True)
        problems: tuple[object, ...] = ()
        if construct:
            problems = find_construction_problems(manifest, assembly.resolver.objects, absent=assembly.absent)
    except ProblemsError as error:
        return {"problems": [_as_json(problem) for problem in error.problems]}
    warnings = find_remarks(manifest, assembly.resolver.objects, absent=assembly.absent)
    said: dict[str, object] = {"loaded": json.loads(loaded.to_json())}
    return {**said, "problems": [_as_json(problem) for problem in problems], "warnings": [_as_json(item) for item in warnings]}


def _as_json(problem: object) -> list[str]:
    assert isinstance(problem, Problem)
    return [problem.step, problem.code, problem.message, problem.hint]


def choose(module: ModuleType, functions: list[ServingFunction], name: str, path: Path) -> ServingFunction:
    """Return the function with a graph that *name* means: a variable of the module, or a function's name; LoadError if none does."""
    graphs = [function for function in functions if function.spec.graph is not None]
    variables = {key: found for key, value in vars(module).items() if (found := _function_of(value)) in graphs}
    if name:
        named = variables.get(name) or next((function for function in graphs if function.name == name), None)
        if named is None:
            known = dict.fromkeys([*variables, *(function.name for function in graphs)])
            raise LoadError(f"defines no graph called {name!r}", where=str(path), hint=did_you_mean(name, known))
        return named
    if not graphs:
        raise LoadError("defines no graph", where=str(path), hint=_how_to_begin(functions))
    if len(graphs) > 1:
        names = ", ".join(function.name for function in graphs)
        raise LoadError(f"defines several graphs: {names}", where=str(path), hint=f"choose one: {path.name}:{graphs[0].name}")
    return graphs[0]


def _function_of(value: object) -> ServingFunction | None:
    if isinstance(value, FlowGraph | RouterGraph):
        return value._function
    return value if isinstance(value, ServingFunction) else None


def _how_to_begin(functions: list[ServingFunction]) -> str:
    if functions:
        return f'the function {functions[0].name!r} has no graph: call .set_topology("flow") and add steps'
    return 'build one at module level: fn = fnkit.code_to_function(name="..."); fn.set_topology("flow").to("MyStep").respond()'


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    try:
        answered = main(asked)
    except KeyboardInterrupt:  # Ctrl-C reaches the tool as well, which says what there is to say
        sys.exit(130)
    Path(asked["answer"]).write_text(json.dumps(answered), encoding="utf-8")
