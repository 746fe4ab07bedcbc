"""Whether the classes that serve an InferenceGraph are there, and take what the graph gives them.

They are imported, and constructed for a check, in a process of their own: `python -m fnkit.project.services REQUEST`. REQUEST is
JSON: the project's `root`, its `services` (name -> target and args), whether to `construct`, and the file that takes the `answer`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from fnkit.errors import LoadError
from fnkit.functions.services import ServiceCode
from fnkit.manifest import Flow, Manifest, Problem, Step
from fnkit.manifest.spelling import did_you_mean
from fnkit.project.construct import find_construction_problems
from fnkit.project.constructors import find_call_problems
from fnkit.project.processes import own_environment, own_python

TIMEOUT_S = 300.0


def find_service_problems(
    services: Mapping[str, ServiceCode], root: Path, *, construct: bool, timeout_s: float = TIMEOUT_S
) -> tuple[Problem, ...]:
    """Return what is wrong with the classes *services* of the project *root*; each problem names its service.

    LoadError where the process that looks ends before it has an answer.
    """
    if not services:
        return ()
    with tempfile.TemporaryDirectory(prefix="fnkit-services-") as folder:
        answer = Path(folder) / "answer.json"
        asked = {name: [code.target, dict(code.args)] for name, code in services.items()}
        request = {"root": str(root), "services": asked, "construct": construct, "answer": str(answer)}
        command = own_python("fnkit.project.services", json.dumps(request))
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=2, env=own_environment(os.environ), timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise LoadError(f"the services have not been loaded after {timeout_s:g} s", where=str(root)) from None
        if not answer.is_file():
            hint = "what it said stands above"
            raise LoadError(f"the process that loads the services ended with code {done.returncode}", where=str(root), hint=hint)
        return tuple(Problem(*problem) for problem in json.loads(answer.read_bytes()))


def look(root: Path, services: Mapping[str, tuple[str, Mapping[str, object]]], *, construct: bool) -> tuple[Problem, ...]:
    """Return the problems of *services* in this process: import them, compare their arguments, construct them if asked."""
    problems: list[Problem] = []
    objects: dict[str, object] = {}
    found = []
    for name, (target, args) in services.items():
        try:
            objects[target] = _find(target, root)
        except _Missing as error:
            problems.append(Problem(name, *error.args))
        except (Exception, SystemExit) as error:  # whatever the user's module raises
            problems.append(Problem(name, "import", f"{target} cannot be imported: {type(error).__name__}: {error}", ""))
        else:
            found.append(Step(name=name, target=target, args=args, responder=True))
    problems += find_call_problems(Manifest("services", Flow(tuple(found))), objects)
    if construct:
        faulty = {problem.step for problem in problems}
        sound = Manifest("services", Flow(tuple(step for step in found if step.name not in faulty)))
        problems += find_construction_problems(sound, objects)
    return tuple(problems)


class _Missing(Exception):
    """There is no such class: code, message and hint of a problem."""


def _find(target: str, root: Path) -> object:
    module_name, _, path = target.partition(":")
    _refuse_missing_module(module_name, root)
    found: object = import_module(module_name)
    for part in path.split("."):
        if not hasattr(found, part):
            owner = found.__name__ if isinstance(found, ModuleType | type) else str(found)
            raise _Missing("unknown-class", f"{owner} has no class {part!r}", did_you_mean(part, tuple(_classes(found))))
        found = getattr(found, part)
    if not isinstance(found, type) and not hasattr(found, "do"):
        raise _Missing("no-class", f"{target} is no class", "name a class with a method do(self, body)")
    return found


def _refuse_missing_module(name: str, root: Path) -> None:
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        known = ".".join(parts[:end])
        if find_spec(known) is None:
            folder = root.joinpath(*parts[: end - 1])
            near = did_you_mean(parts[end - 1], tuple(_modules(folder)))
            hint = near or f"it is looked for in {root}, where the graph's file is"
            raise _Missing("unknown-module", f"there is no module {known!r}", hint)


def _modules(folder: Path) -> Iterator[str]:
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.suffix == ".py" or (entry / "__init__.py").is_file():
            yield entry.stem


def _classes(owner: object) -> Iterator[str]:
    for name, value in vars(owner).items():
        if isinstance(value, type) and not name.startswith("_"):
            yield name


def main(request: Mapping[str, object]) -> list[list[str]]:
    """Return the answer to *request*: the fields of each problem."""
    root = Path(str(request["root"]))
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    services = request["services"]
    assert isinstance(services, dict)
    problems = look(root, services, construct=bool(request["construct"]))
    return [[problem.step, problem.code, problem.message, problem.hint] for problem in problems]


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    try:
        answered = main(asked)
    except KeyboardInterrupt:  # Ctrl-C reaches the tool as well, which says what there is to say
        sys.exit(130)
    Path(asked["answer"]).write_text(json.dumps(answered), encoding="utf-8")
