"""Choose the part of fnkit that goes into a bundle: what every function runs on, and the topology that its manifest uses.

Never the tools: a bundle holds no authoring, no builder, no deployer, no command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import fnkit
from fnkit.bundle.imports import read_imports
from fnkit.manifest import Flow, Manifest

ALWAYS = ("engine", "functions", "manifest", "net", "runtime", "steps")
TOPOLOGIES = ("gateway", "inference_graph", "serving")
TOOLS = frozenset({"bundle", "cli", "deploy", "project"})
_OF_TOPOLOGY = {"flow": (), "router": ("serving",), "inference_graph": ("inference_graph",), "gateway": ("gateway",)}
QUEUES = "functions/queues"  # the part of functions that only graphs with queues need
_LEFT_OUT = {".pyc", ".pyi", ".md", ".typed"}


def shipped_root() -> Path:
    """Return the folder of the running fnkit package."""
    return Path(fnkit.__file__).parent


def choose_packages(manifest: Manifest, used: Iterable[str]) -> tuple[str, ...]:
    """Return the subpackages of fnkit for *manifest*. *used*: dotted modules that user code, or a step's target, names."""
    used = tuple(used)
    wanted = set(_OF_TOPOLOGY[manifest.topology])
    wanted |= {parts[1] for parts in (name.split(".") for name in used) if parts[0] == "fnkit" and len(parts) > 1}
    chosen: set[str] = set()
    waiting = sorted(wanted & set(TOPOLOGIES))
    while waiting:
        package = waiting.pop()
        if package not in chosen:
            chosen.add(package)
            waiting += _topologies_imported_by(package)
    if _has_queues(manifest) or any(name.startswith("fnkit.functions.queues") for name in used):
        chosen.add(QUEUES)
    return tuple(sorted({*ALWAYS, *chosen}))


def _has_queues(manifest: Manifest) -> bool:
    return isinstance(manifest.spec, Flow) and any(step.kind == "queue" for step in manifest.spec.steps)


@cache
def shipped_files(packages: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files of *packages* and of fnkit itself, as names in the bundle, sorted."""
    root = shipped_root()
    names = ["fnkit/__init__.py", "fnkit/errors.py", "fnkit/inert.py", "fnkit/lean.py", "fnkit/records.py"]
    for package in packages:
        for path in (root / package).rglob("*"):
            if package == "functions" and (root / QUEUES) in path.parents:
                continue
            if path.is_file() and path.suffix not in _LEFT_OUT and not path.name.endswith(".schema.json"):
                names.append(f"fnkit/{path.relative_to(root).as_posix()}")
    return tuple(sorted(names))


@cache
def _topologies_imported_by(package: str) -> tuple[str, ...]:
    found = set()
    for path in sorted((shipped_root() / package).rglob("*.py")):
        where = str(path)
        for statement in read_imports(path.read_bytes(), where=where, package=""):
            parts = statement.module.split(".")
            if parts[0] == "fnkit" and len(parts) > 1:
                found.add(parts[1])
    return tuple(sorted(found & set(TOPOLOGIES)))
