"""Build the bundles of a graph: the one call that `build`, `emulate` and `deploy` share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fnkit.bundle.archive import Packed
from fnkit.bundle.bytecode import find_compiler
from fnkit.bundle.cache import open_cache
from fnkit.bundle.installer import CachingInstaller, Installer, Target, find_tool
from fnkit.bundle.interpreter import running_python
from fnkit.bundle.model import Build
from fnkit.bundle.plan import plan_bundles
from fnkit.bundle.platforms import choose_platform
from fnkit.bundle.read import is_build_folder, read_bundles
from fnkit.bundle.requirements import Requirement
from fnkit.bundle.write import write_bundles
from fnkit.errors import UsageError
from fnkit.functions import place
from fnkit.manifest import Manifest
from fnkit.manifest.model import PLACEMENTS
from fnkit.project import Loaded, load

_OLDEST = "3.11"


def _say_nothing(_text: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Options:
    """How to build. Empty texts mean: as the settings say. *refresh*: resolve requirements again."""

    placement: str = ""
    python: str = ""
    platform: str = ""
    for_cloud: bool = False
    refresh: bool = False


def build(
    target: str | Loaded,
    out: Path,
    *,
    placement: str | None = None,
    options: Options | None = None,
    report: Callable[[str], None] = _say_nothing,
) -> Build:
    """Build the bundles of *target* into the folder *out* and return them.

    *target* is what `fnkit.project.load` reads, or its result, or a folder that was built before: that is opened as it is.
    *placement* wins over that of *options*. *report* is told what takes long.
    """
    if isinstance(target, str) and is_build_folder(Path(target)):
        return read_bundles(Path(target))
    chosen = options or Options()
    if placement:
        chosen = replace(chosen, placement=placement)
    loaded = load(target) if isinstance(target, str) else target
    python = choose_python(chosen.python or loaded.settings.python)
    where = Target(python, choose_platform(chosen.platform or loaded.settings.platform, for_cloud=chosen.for_cloud), loaded.root)
    manifest = place_manifest(loaded, chosen.placement, python)
    compiler = find_compiler(python, open_cache())
    plans = plan_bundles(loaded, manifest, target=where)
    installer: Installer = _NoRequirements()
    if any(plan.requirements for plan in plans):
        installer = CachingInstaller(find_tool(), compiler, report, refresh=chosen.refresh)
    return Build(manifest, write_bundles(plans, out, installer=installer, compiler=compiler), where.platform.name)


def choose_python(version: str) -> str:
    """Return *version*, or that of the running interpreter for an empty text. UsageError if fnkit cannot run on it."""
    version = version or running_python()
    if re.fullmatch(r"3\.[1-9]\d+", version) is None or version < _OLDEST:
        raise UsageError(
            f"{version!r} is no Python version for a bundle", where="--python", hint=f"give it as X.Y, from {_OLDEST} on"
        )
    return version


def place_manifest(loaded: Loaded, placement: str, python: str) -> Manifest:
    """Return the manifest of *loaded* with its steps placed. UsageError for a placement that is none."""
    mode = placement or loaded.settings.placement
    for known in PLACEMENTS:
        if mode == known:
            return place(replace(loaded.manifest, python=python), known)
    raise UsageError(f"unknown placement {mode!r}", where="--placement", hint="use step, declared or fused")


class _NoRequirements:
    """Installs nothing, for there is nothing to install; so neither uv nor pip need be there."""

    def install(self, requirements: Sequence[Requirement], target: Target) -> tuple[Packed, ...]:
        return ()
