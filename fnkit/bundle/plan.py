"""Decide what goes into the bundle of each function. Nothing is installed, compiled or written here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import cloudpickle

import fnkit_templates
from fnkit.bundle.ignore import IGNORE_FILE, Rule, is_ignored, read_rules
from fnkit.bundle.imports import read_names
from fnkit.bundle.includes import find_includes
from fnkit.bundle.installer import Target
from fnkit.bundle.interpreter import running_python
from fnkit.bundle.model import BundlePlan, SourceFile
from fnkit.bundle.modules import ModuleSet, collect_modules, is_project_module, module_files
from fnkit.bundle.requirements import Requirement, merge_requirements
from fnkit.bundle.roots import Roots, find_roots, modules_in_pickle
from fnkit.bundle.shipped import TOOLS, choose_packages, shipped_files, shipped_root
from fnkit.errors import BundleError
from fnkit.functions.queues.senders import queue_clients
from fnkit.manifest import Function, Manifest, dumps
from fnkit.project.loaded import Loaded

BUNDLE_FORMAT = "fnkit.bundle/1"
BOOTSTRAP = "fnkit-bootstrap"


def plan_bundles(loaded: Loaded, manifest: Manifest, *, target: Target) -> tuple[BundlePlan, ...]:
    """Return a plan for each function of the placed *manifest*. BundleError for code or files that cannot go into a bundle."""
    rules = read_rules(loaded.root)
    included = find_includes(loaded.root, {*loaded.includes, *loaded.settings.include}, rules)
    secrets = tuple(
        f"{name} looks like a secret and is left out; hand it to the function by its environment or a secret store"
        for name in included.secrets
    )
    graph = dumps(manifest).encode()
    plans = []
    for function in manifest.functions:
        planner = _Planner(loaded, manifest, function, target, rules)
        plans.append(planner.plan(graph, included.files, secrets))
    return tuple(plans)


class _Planner:
    """Plans the bundle of one function."""

    def __init__(self, loaded: Loaded, manifest: Manifest, function: Function, target: Target, rules: tuple[Rule, ...]) -> None:
        self.loaded = loaded
        self.manifest = manifest
        self.function = function
        self.target = target
        self.rules = rules
        self.warnings: list[str] = []

    def plan(self, graph: bytes, included: tuple[str, ...], warnings: tuple[str, ...]) -> BundlePlan:
        roots = find_roots(self.manifest, self.function)
        self._refuse_missing_pickles(roots)
        code = self._code(roots)
        own = sorted({*self._allowed(code.files), *included})
        used = [*roots.modules, *(item.module for item in code.foreign)]
        shipped = shipped_files(choose_packages(self.manifest, used))
        files = [
            SourceFile("graph.json", graph),
            SourceFile("bundle.json", self._bundle_json(roots)),
            _bootstrap(),
            *_pickles(self.loaded, roots),
            *(SourceFile(name, (shipped_root().parent / name).read_bytes()) for name in shipped),
            *(_read(self.target.root, name) for name in own),
        ]
        self._warn_of_tools(code)
        foreign = tuple(item for item in code.foreign if item.top != "fnkit")
        everything = (*warnings, *self.warnings)
        return BundlePlan(self.function, tuple(files), frozenset(own), self._requirements(), foreign, self.target, everything)

    def _code(self, roots: Roots) -> ModuleSet:
        referred = {name for name in roots.modules if is_project_module(self.target.root, name)}
        for name in roots.pickles:
            inside = modules_in_pickle(self.loaded.pickles[name])
            referred |= {module for module in inside if is_project_module(self.target.root, module)}
        if self._names_its_own_file(roots):
            referred.add(self.function.module)
        return collect_modules(self.target.root, referred)

    def _names_its_own_file(self, roots: Roots) -> bool:
        """Tell whether a name alone means something of the function's own file: the runtime looks it up there."""
        files = module_files(self.target.root, self.function.module) if self.function.module else []
        return bool(files) and not read_names(files[-1].read_bytes()).isdisjoint(roots.names)

    def _requirements(self) -> tuple[Requirement, ...]:
        settings = self.loaded.settings.requirements
        return merge_requirements(
            (settings, "[tool.fnkit] requirements"),
            (self.function.requirements, f"function {self.function.name!r}"),
            (queue_clients(self.manifest, self.function.name), f"the queues that function {self.function.name!r} writes to"),
        )

    def _allowed(self, names: Iterable[str]) -> list[str]:
        allowed = []
        for name in names:
            path = PurePosixPath(name)
            if is_ignored(path, self.rules):
                self.warnings.append(f"{name} is imported, but {IGNORE_FILE} leaves it out")
            else:
                allowed.append(name)
        return allowed

    def _warn_of_tools(self, code: ModuleSet) -> None:
        for item in code.foreign:
            parts = item.module.split(".")
            if parts[0] == "fnkit" and len(parts) > 1 and parts[1] in TOOLS and not item.optional:
                hint = "import the authoring names from fnkit itself"
                self.warnings.append(f"{item.where}: {item.module} is not part of a bundle; {hint}")

    def _refuse_missing_pickles(self, roots: Roots) -> None:
        missing = [name for name in roots.pickles if name not in self.loaded.pickles]
        if missing:
            raise BundleError(f"no pickle of that name: {', '.join(missing)}", where=f"function {self.function.name!r}")
        if roots.pickles and self.target.python != running_python():
            raise BundleError(
                f"{', '.join(roots.pickles)} travels as a pickle, which only Python {running_python()} reads, "
                f"but the function is for Python {self.target.python}",
                where=f"function {self.function.name!r}",
                hint="put the class into a file of its own, or build with the Python of the function",
            )

    def _bundle_json(self, roots: Roots) -> bytes:
        document = {
            "format": BUNDLE_FORMAT,
            "function": self.function.name,
            "pickled": bool(roots.pickles),
            "python": self.target.python,
        }
        return json.dumps(document, indent=2).encode() + b"\n"


def _pickles(loaded: Loaded, roots: Roots) -> list[SourceFile]:
    """Return the pickles and, as they cannot be read without it, the cloudpickle that wrote them."""
    if not roots.pickles:
        return []
    folder = Path(cloudpickle.__file__).parent
    files = [SourceFile(f"cloudpickle/{path.name}", path.read_bytes()) for path in sorted(folder.glob("*.py"))]
    return [*files, *(SourceFile(f"pickles/{name}.pkl", loaded.pickles[name]) for name in roots.pickles)]


def _bootstrap() -> SourceFile:
    path = Path(fnkit_templates.__file__).parent / BOOTSTRAP
    return SourceFile(BOOTSTRAP, path.read_bytes(), executable=True)


def _read(root: Path, name: str) -> SourceFile:
    path = root / name
    executable = ".so" in path.suffixes or (path.suffix != ".py" and bool(path.stat().st_mode & 0o100))
    return SourceFile(name, path.read_bytes(), executable)
