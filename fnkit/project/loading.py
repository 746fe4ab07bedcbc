"""A TARGET becomes a `Loaded`. Python files are imported in a child process, never in the tool's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fnkit.errors import FnkitError, GraphError, LoadError, ManifestError, MLRunInvalidArgumentError, ProblemsError, UsageError
from fnkit.functions.queues.readers import find_queue_problems
from fnkit.manifest import FORMAT as MANIFEST_FORMAT
from fnkit.manifest import Manifest, Problem, find_call_warnings, find_problems, loads
from fnkit.manifest.spelling import closest
from fnkit.project.later import later
from fnkit.project.loaded import FORMAT, Loaded
from fnkit.project.processes import own_environment, own_python
from fnkit.project.settings import read_settings

load_document = later("fnkit.project.documents", "load_document")
graph_targets = later("fnkit.project.inference_graph_file", "graph_targets")
TIMEOUT_S = 300.0
_GUESSES = ("graph.py", "serve.py", "app.py", "function.py", "main.py", "graph.yaml", "graph.yml")
_DOCUMENTS = (".yaml", ".yml", ".json")
_ERRORS: Mapping[str, type[FnkitError]] = {
    error.__name__: error for error in (LoadError, GraphError, ManifestError, UsageError, MLRunInvalidArgumentError)
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a TARGET found: the graph's name, its problems (none: it can be built), and warnings that stop nothing."""

    subject: str
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    steps: int = 0
    functions: tuple[str, ...] = ()


def load(target: str, *, timeout_s: float = TIMEOUT_S) -> Loaded:
    """Return what *target* says.

    *target*: `file.py[:name]`, a project folder, a loaded.json, a graph.json, or an InferenceGraph. LoadError where it cannot be
    loaded (with file and line), ProblemsError with everything that is wrong with its graph.
    """
    loaded, problems, _ = _load(target, construct=False, timeout_s=timeout_s)
    if problems or loaded is None:
        raise ProblemsError(target, problems, hint=f"`fnkit check {target}` tells more")
    return loaded


def check(target: str, *, timeout_s: float = TIMEOUT_S) -> Checked:
    """Return every fault of *target*'s graph at once; its steps are constructed too. LoadError where it cannot be loaded at all."""
    loaded, problems, warnings = _load(target, construct=True, timeout_s=timeout_s)
    if loaded is None:
        return Checked(target, problems, warnings)
    warnings += find_call_warnings(loaded.manifest)
    steps = getattr(loaded.manifest.spec, "steps", ())
    names = tuple(function.name for function in loaded.manifest.functions)
    return Checked(loaded.manifest.name, problems, warnings, len(steps), names)


def targets_of(target: str) -> tuple[str, ...]:
    """Return a target for each graph of *target*: several only for a file of InferenceGraphs."""
    found: tuple[str, ...] = graph_targets(target) if Path(target).suffix in _DOCUMENTS else (target,)
    return found


Outcome = tuple[Loaded | None, tuple[Problem, ...], tuple[Problem, ...]]


def _load(target: str, *, construct: bool, timeout_s: float) -> Outcome:
    path, name = split_target(target)
    if path.is_dir():
        path, name = _file_of_project(path, name)
    if not path.is_file():
        raise LoadError("there is no such file or folder", where=target, hint=_near_file(path))
    if path.suffix in _DOCUMENTS:
        return _load_document(path, name, construct=construct)
    if path.suffix == ".ipynb":
        hint = "call fn.deploy() in the notebook, or write the graph to a .py file with %%writefile"
        raise LoadError("a notebook cannot be loaded as a file", where=target, hint=hint)
    if path.suffix != ".py":
        raise LoadError(
            "is no kind of graph that fnkit knows", where=target, hint="give a .py file, a project folder or a graph's YAML"
        )
    return _load_python(path.resolve(), name, construct=construct, timeout_s=timeout_s)


def split_target(target: str) -> tuple[Path, str]:
    """Return path and name of `path[:name]`."""
    path, colon, name = target.rpartition(":")
    if colon and path and name.replace("-", "_").isidentifier() and not Path(target).exists():
        return Path(path), name
    return Path(target), ""


def _file_of_project(folder: Path, name: str) -> tuple[Path, str]:
    """Return the step file of a project folder: what its settings name, or the one file with a usual name."""
    settings = read_settings(folder, os.environ)
    if settings.graph:
        path, own_name = split_target(str(folder / settings.graph))
        return path, name or own_name
    found = [folder / guess for guess in _GUESSES if (folder / guess).is_file()]
    if len(found) == 1:
        return found[0], name
    what = f"it has {', '.join(path.name for path in found)}" if found else "it has no file of a usual name"
    hint = f'{what}: say graph = "file.py" under [tool.fnkit] in its pyproject.toml'
    raise LoadError("the folder does not say which file holds its graph", where=str(folder), hint=hint)


def _near_file(path: Path) -> str:
    folder = path.parent
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    near = closest(path.name, names)
    return f"did you mean {folder / near}?" if near else "a TARGET is file.py[:name], a project folder, or a graph's YAML"


def _load_document(path: Path, name: str, *, construct: bool) -> Outcome:
    if path.suffix == ".json":
        kind = str(_format_of(path))
        if _is_version_of(FORMAT, kind):
            loaded = Loaded.from_json(path.read_bytes())
            return loaded, _faults(loaded.manifest), ()
        if _is_version_of(MANIFEST_FORMAT, kind):
            manifest = loads(path.read_bytes())
            return Loaded(manifest, path.resolve().parent), _faults(manifest), ()
    outcome: Outcome = load_document(path, name, construct=construct)
    return outcome


def _faults(manifest: Manifest) -> tuple[Problem, ...]:
    return (*find_problems(manifest), *find_queue_problems(manifest))


def _is_version_of(known: str, kind: str) -> bool:
    """Tell whether *kind* is *known* ("fnkit.graph/1") or another version of it, which its reader refuses with the version it reads."""
    return kind.startswith(known.rpartition("/")[0] + "/")


def _format_of(path: Path) -> object:
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LoadError(f"not JSON: {error}", where=str(path)) from error
    return document.get("format") if isinstance(document, dict) else None


def _load_python(path: Path, name: str, *, construct: bool, timeout_s: float) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="fnkit-load-") as folder:
        answer = Path(folder) / "answer.json"
        request = {"path": str(path), "name": name, "construct": construct, "answer": str(answer)}
        code = _run_child(request, str(path), timeout_s)
        if not answer.is_file():
            raise LoadError(f"the process that loads it {_ending(code)}", where=str(path), hint="what it said stands above")
        document = json.loads(answer.read_bytes())
    if "error" in document:
        raise _error_of(document["error"])
    problems, warnings = (tuple(Problem(*item) for item in document.get(key, ())) for key in ("problems", "warnings"))
    loaded = Loaded.from_json(json.dumps(document["loaded"])) if "loaded" in document else None
    return loaded, problems, warnings


def _run_child(request: Mapping[str, object], where: str, timeout_s: float) -> int:
    """Run the child to its end and return its exit code. What the user's file prints goes to our standard error."""
    command = own_python("fnkit.project.child", json.dumps(request), ends_silently=True)
    environment = {
        "PYTHONHASHSEED": "0",
        **own_environment(os.environ),
    }  # sets in pickles have an order then: same input, same bytes
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, env=environment)
    late = threading.Event()

    def give_up() -> None:
        late.set()
        child.kill()

    # A wait with a timeout looks at the child every 50 ms; this one returns as soon as the child ends.
    timer = threading.Timer(timeout_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        code = child.wait()
    finally:
        timer.cancel()
        if child.poll() is None:
            child.kill()
            child.wait()
    if late.is_set():
        hint = 'what takes long belongs into a constructor, or under if __name__ == "__main__":'
        raise LoadError(f"it has not been loaded after {timeout_s:g} s", where=where, hint=hint)
    return code


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _error_of(said: Mapping[str, object]) -> FnkitError:
    kind = _ERRORS.get(str(said["type"]), LoadError)
    return kind(str(said["message"]), where=str(said["where"]), hint=str(said["hint"]))
