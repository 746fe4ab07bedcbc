"""Bundles of small graphs for tests: built by the builder itself, unpacked as Lambda does."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from fnkit.bundle import build, read_bundles
from fnkit.deploy.container import write_context
from fnkit.manifest.model import Manifest, Placement
from fnkit.project.loaded import Loaded


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: the placed graph, the folder of the zips, and the folder of each function's unpacked bundle."""

    manifest: Manifest
    out: Path
    folders: dict[str, Path]
    zips: dict[str, Path]

    def contexts(self) -> dict[str, Path]:
        """Make a folder to build the image of each function, as `fnkit build --target container` does; return them."""
        bundles = read_bundles(self.out).bundles
        folders = {bundle.function.name: self.out / "contexts" / bundle.function.name for bundle in bundles}
        for bundle in bundles:
            write_context(self.manifest, bundle, folders[bundle.function.name])
        return folders

    @property
    def entry(self) -> Path:
        """The folder of the entry function's bundle."""
        return self.folders[self.manifest.entry.name]


def build_bundles(manifest: Manifest, project: Path, out: Path, placement: Placement = "fused") -> Built:
    """Build the bundles of *manifest*, whose code is in the folder *project*, and unpack them under *out*."""
    built = build(Loaded(manifest, project), out, placement=placement)
    folders = {bundle.function.name: out / "unpacked" / bundle.function.name for bundle in built.bundles}
    for bundle in built.bundles:
        unpack(bundle.path, folders[bundle.function.name])
    return Built(built.manifest, out, folders, {bundle.function.name: bundle.path for bundle in built.bundles})


def unpack(archive: Path, folder: Path) -> None:
    """Unpack *archive* into *folder*, with the modes of its files."""
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            path = Path(opened.extract(info, folder))
            if info.external_attr >> 16 & 0o111:
                path.chmod(0o755)
