"""The files of models that routes name by `model_path`: they travel with the code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from glob import escape
from pathlib import Path

from fnkit.manifest import Flow, Manifest, Route, Router, Step

Rename = Callable[[str], str]


def carry_models(manifest: Manifest, root: Path) -> tuple[Manifest, tuple[str, ...]]:
    """Return *manifest* with the model files below *root* named relative to it, and these names as globs for the bundle."""
    carried: dict[str, None] = {}

    def rename(path: str) -> str:
        found = _find(path, root)
        if found is None or not found.is_relative_to(root.resolve()):
            return path
        name = found.relative_to(root.resolve()).as_posix()
        carried[escape(name)] = None
        return name

    return _renamed(manifest, rename), tuple(carried)


def point_to_models(manifest: Manifest, root: Path) -> Manifest:
    """Return *manifest* with the model files named by their whole path, wherever this process runs."""

    def rename(path: str) -> str:
        found = _find(path, root)
        return str(found) if found is not None else path

    return _renamed(manifest, rename)


def _find(path: str, root: Path) -> Path | None:
    """Return the local file or folder that *path* means: below *root*, or in the working directory; None if there is none."""
    plain = path.removeprefix("file://")
    if not plain or "://" in plain or plain in (".", "./"):
        return None
    found = next((folder / plain for folder in (root, Path.cwd()) if (folder / plain).exists()), None)
    return found.resolve() if found is not None else None


def _renamed(manifest: Manifest, rename: Rename) -> Manifest:
    spec = manifest.spec
    if isinstance(spec, Router):
        return replace(manifest, spec=Router(_step(spec.step, rename)))
    if isinstance(spec, Flow):
        return replace(manifest, spec=replace(spec, steps=tuple(_step(step, rename) for step in spec.steps)))
    return manifest


def _step(step: Step, rename: Rename) -> Step:
    return replace(step, routes=tuple(_route(route, rename) for route in step.routes)) if step.routes else step


def _route(route: Route, rename: Rename) -> Route:
    path = route.args.get("model_path")
    return replace(route, args={**route.args, "model_path": rename(path)}) if isinstance(path, str) else route
