"""Find the files that a project declares for its bundles by globs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fnkit.bundle.ignore import Rule, is_ignored, is_leftover, is_secret
from fnkit.errors import BundleError


@dataclass(frozen=True, slots=True)
class Included:
    """Names of files relative to the root, sorted, and the secrets among what the globs matched: these are left out."""

    files: tuple[str, ...]
    secrets: tuple[str, ...]


def find_includes(root: Path, patterns: Iterable[str], rules: tuple[Rule, ...]) -> Included:
    """Return the files below *root* that *patterns* match; a folder means all that it holds.

    BundleError names every pattern that matches nothing or leads out of *root*.
    """
    files: set[str] = set()
    secrets: set[str] = set()
    faults: list[str] = []
    for pattern in sorted(set(patterns)):
        try:
            matched = _match(root, pattern)
        except ValueError as error:
            faults.append(f"include {pattern!r}: {error}")
            continue
        if not matched:
            faults.append(f"include {pattern!r} matches no file below {root}")
        for path in matched:
            name = path.relative_to(root).as_posix()
            if not path.resolve().is_relative_to(root.resolve()):
                faults.append(f"include {pattern!r}: {name} is a link that leads out of the project")
            elif is_secret(PurePosixPath(name)):
                secrets.add(name)
            elif not is_leftover(PurePosixPath(name)) and not is_ignored(PurePosixPath(name), rules):
                files.add(name)
    if faults:
        raise BundleError("\n".join(faults), hint="patterns are relative to the folder at which import paths start")
    return Included(tuple(sorted(files)), tuple(sorted(secrets)))


def _match(root: Path, pattern: str) -> list[Path]:
    parts = PurePosixPath(pattern).parts
    if not parts or pattern.startswith("/") or ".." in parts:
        raise ValueError("it has to be a path relative to the project")
    found: list[Path] = []
    for path in root.glob(pattern):
        found += [inner for inner in path.rglob("*") if inner.is_file()] if path.is_dir() else [path]
    return found
