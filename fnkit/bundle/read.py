"""Open what was built, and check that it is what was built."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from fnkit.bundle.archive import hash_file
from fnkit.bundle.model import Build, Bundle
from fnkit.bundle.plan import BUNDLE_FORMAT
from fnkit.bundle.platforms import NAMES
from fnkit.bundle.write import GRAPH, INDEX, INDEX_FORMAT
from fnkit.errors import BundleError
from fnkit.manifest import Manifest, loads

_AGAIN = "build it again with: fnkit build TARGET -o DIR"


@dataclass(frozen=True, slots=True)
class BundleHead:
    """What a bundle says about itself."""

    function: str
    python: str
    pickled: bool


def is_build_folder(folder: Path) -> bool:
    """Tell whether *folder* holds the index of a build."""
    return (folder / INDEX).is_file()


def read_bundles(folder: Path) -> Build:
    """Return the build in *folder*; BundleError if it is none, or if a zip is not the one that was built."""
    index = _read_json(folder / INDEX)
    if index.get("format") != INDEX_FORMAT or not isinstance(index.get("functions"), list):
        raise BundleError(f"not an index of format {INDEX_FORMAT!r}", where=str(folder / INDEX), hint=_AGAIN)
    try:
        manifest = loads((folder / GRAPH).read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", where=str(folder / GRAPH), hint=_AGAIN) from error
    found = index["functions"]
    assert isinstance(found, list)
    platform = index.get("platform", "")
    if platform not in ("", *NAMES):
        raise BundleError(f"unknown platform {platform!r}", where=str(folder / INDEX), hint=_AGAIN)
    return Build(manifest, tuple(_bundle(folder, manifest, item) for item in found), str(platform))


def verify_bundle(bundle: Bundle) -> None:
    """BundleError unless the zip's bytes are those that were built."""
    try:
        found = hash_file(bundle.path)
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", where=str(bundle.path), hint=_AGAIN) from error
    if found != bundle.sha256:
        raise BundleError(
            f"was changed after it was built (sha256 {found[:12]}, built {bundle.sha256[:12]})",
            where=str(bundle.path),
            hint=_AGAIN,
        )


def read_head(path: Path) -> BundleHead:
    """Return the `bundle.json` of the zip at *path*; BundleError if it is no bundle."""
    try:
        with ZipFile(path) as archive:
            document = json.loads(archive.read("bundle.json"))
        if document["format"] != BUNDLE_FORMAT:
            raise BundleError(f"bundle format {document['format']!r}, expected {BUNDLE_FORMAT!r}", where=str(path), hint=_AGAIN)
        return BundleHead(str(document["function"]), str(document["python"]), bool(document["pickled"]))
    except (OSError, BadZipFile, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"not a bundle: {error}", where=str(path), hint=_AGAIN) from error


def _bundle(folder: Path, manifest: Manifest, item: object) -> Bundle:
    try:
        assert isinstance(item, dict)
        name, file = str(item["name"]), Path(str(item["file"])).name
        bundle = Bundle(manifest.function(name), folder / file, str(item["sha256"]), int(item["size"]), 0)
    except (AssertionError, KeyError, ValueError) as error:
        raise BundleError(f"an entry that says nothing of use: {item!r}", where=str(folder / INDEX), hint=_AGAIN) from error
    verify_bundle(bundle)
    with ZipFile(bundle.path) as archive:
        unzipped = sum(info.file_size for info in archive.infolist())
    return Bundle(bundle.function, bundle.path, bundle.sha256, bundle.size, unzipped)


def _read_json(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", where=str(path), hint=_AGAIN) from error
    except ValueError as error:
        raise BundleError(f"not JSON: {error}", where=str(path), hint=_AGAIN) from error
    if not isinstance(document, dict):
        raise BundleError("not a JSON object", where=str(path), hint=_AGAIN)
    return document
