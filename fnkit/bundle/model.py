"""What is built: a plan for each function, then its bundle, then all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fnkit.bundle.installer import Target
from fnkit.bundle.modules import Foreign
from fnkit.bundle.requirements import Requirement
from fnkit.manifest import Function, Manifest

MAX_DIRECT_UPLOAD = 50 * 1024 * 1024  # Lambda takes no larger zip in an API call; through S3 it does
MAX_UNZIPPED = 250 * 1024 * 1024  # 262,144,000 bytes, layers included


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a bundle: its *name* there, its *content*, and whether it may be *executed*."""

    name: str
    content: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """What goes into the bundle of *function*, before anything is installed, compiled or packed.

    *own* names those of *files* that the user wrote. *foreign* are the imports in them that a requirement has to answer.
    """

    function: Function
    files: tuple[SourceFile, ...]
    own: frozenset[str]
    requirements: tuple[Requirement, ...]
    foreign: tuple[Foreign, ...]
    target: Target
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """The zip of one function: *path*, the hex *sha256* of the file, its *size* and *unzipped_size* in bytes."""

    function: Function
    path: Path
    sha256: str
    size: int
    unzipped_size: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Build:
    """All bundles of one graph and the placed *manifest* that each of them holds.

    *platform* is the name of the machine that they were made for; `""` where an older index does not say.
    """

    manifest: Manifest
    bundles: tuple[Bundle, ...]
    platform: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is not wrong, but is likely to be missed; each once."""
        return tuple(dict.fromkeys(warning for bundle in self.bundles for warning in bundle.warnings))

    def bundle(self, function: str) -> Bundle:
        """Return the bundle of *function*; KeyError if there is none."""
        for bundle in self.bundles:
            if bundle.function.name == function:
                return bundle
        raise KeyError(function)
