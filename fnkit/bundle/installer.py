"""Install requirements for the machine that a function runs on, and keep the result as a packed archive.

uv installs where it is at hand, pip otherwise; both are asked for wheels of the target's Python and platform. Where a
requirement has no wheel, it is built here, and the result is taken only if its wheel says that it runs there. Everything that
depends on the machine or the minute is dropped (records, installer marks, programs in `bin/`), what is left is compiled, and
the archive is kept under the hash of the requirement lines, the Python version and the platform: the same set is installed
once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fnkit.bundle.archive import Packed, pack_all, read_archive, write_archive
from fnkit.bundle.bytecode import Compiler, bytecode_name
from fnkit.bundle.interpreter import find_uv
from fnkit.bundle.platforms import Platform
from fnkit.bundle.requirements import Requirement, is_reproducible
from fnkit.errors import BundleError

_DROPPED_FILES = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json", ".lock"})
_DROPPED_SUFFIXES = frozenset({".pyi", ".pyc"})
_KIND = "requirements/2"  # part of the key: raise it when what is kept changes


@dataclass(frozen=True, slots=True)
class Target:
    """The machine to install for; relative paths in requirements start from *root*."""

    python: str
    platform: Platform
    root: Path


class Installer(Protocol):
    """Turns requirements into packed files at the root of a bundle."""

    def install(self, requirements: Sequence[Requirement], target: Target) -> tuple[Packed, ...]:
        """Return the files of *requirements* and of what they need; BundleError names every one that cannot be had."""
        ...


class Tool(Protocol):
    """A program that installs: its command line for *lines* into *folder*."""

    def command(self, lines: Sequence[str], folder: Path, target: Target, *, options: Sequence[str]) -> list[str]:
        """Return the command."""
        ...


@dataclass(frozen=True, slots=True)
class Uv:
    """uv's command line; *program* starts it."""

    program: tuple[str, ...]

    def command(self, lines: Sequence[str], folder: Path, target: Target, *, options: Sequence[str]) -> list[str]:
        """Return `uv pip install` of *lines* into *folder*."""
        platform = [] if target.platform.is_host else ["--python-platform", target.platform.uv_name(target.python)]
        python = ["--python", sys.executable, "--python-version", target.python]
        fixed = ["--no-installer-metadata", "--no-compile-bytecode", "--no-progress", "--color", "never"]
        arguments = [*python, *platform, *fixed, "--target", str(folder), *options, *_arguments(lines)]
        return [*self.program, "pip", "install", *arguments]


@dataclass(frozen=True, slots=True)
class Pip:
    """pip's command line, as a module of the running interpreter."""

    def command(self, lines: Sequence[str], folder: Path, target: Target, *, options: Sequence[str]) -> list[str]:
        """Return `pip install` of *lines* into *folder*."""
        tags: list[str] = []
        if not target.platform.is_host and "--only-binary" in options:  # pip looks across platforms for wheels only
            tags = ["--python-version", target.python, "--implementation", "cp"]
            for name in target.platform.pip_names(target.python):
                tags += ["--platform", name]
        fixed = ["--no-compile", "--disable-pip-version-check", "--no-input", "--no-color", "--progress-bar", "off", "-q"]
        return [sys.executable, "-m", "pip", "install", *tags, *fixed, "--target", str(folder), *options, *_arguments(lines)]


@dataclass(frozen=True, slots=True)
class CachingInstaller:
    """Installs with *tool*, compiles, and keeps what came out.

    *refresh*: resolve again what was kept. *environ*: the environment of *tool*, None for our own.
    """

    tool: Tool
    compiler: Compiler
    report: Callable[[str], None]
    refresh: bool = False
    environ: Mapping[str, str] | None = None

    def install(self, requirements: Sequence[Requirement], target: Target) -> tuple[Packed, ...]:
        """Return the files of *requirements*, from the cache if their set is there."""
        if not requirements:
            return ()
        kept = self.compiler.cache.path(self._key(requirements, target))
        reproducible = is_reproducible(requirements, target.root)
        if reproducible and not self.refresh and (found := _read_kept(kept)):
            return found
        self.report(f"installing {', '.join(requirement.line for requirement in requirements)}")
        packed = self._install(requirements, target)
        if reproducible:
            _keep(kept, packed)
        return packed

    def _key(self, requirements: Sequence[Requirement], target: Target) -> str:
        compiled = self.compiler.interpreter is not None
        lines = [requirement.line for requirement in requirements]
        text = json.dumps([_KIND, sorted(lines), target.python, target.platform.name, compiled])
        return f"requirements/{hashlib.sha256(text.encode()).hexdigest()}.zip"

    def _install(self, requirements: Sequence[Requirement], target: Target) -> tuple[Packed, ...]:
        with tempfile.TemporaryDirectory(prefix="fnkit-install-") as name:
            folder = Path(name)
            lines = [requirement.line for requirement in requirements]
            answer = self._run(lines, folder, target, ["--only-binary", ":all:"])
            if answer.returncode:  # a requirement without a wheel is built here
                first = answer
                answer = self._run(lines, folder, target, [])
                if answer.returncode:
                    raise self._failure(requirements, target, first)
            _refuse_foreign_wheels(folder, target)
            return self._pack(_read_tree(folder))

    def _pack(self, files: Mapping[str, tuple[bytes, bool]]) -> tuple[Packed, ...]:
        sources = {name: content for name, (content, _) in files.items() if name.endswith(".py")}
        compiled = self.compiler.compile(sources)  # what does not compile is not used, or fails where it is imported
        code = [(bytecode_name(name, self.compiler.python), text, False) for name, text in compiled.code.items()]
        return tuple(pack_all([*((name, content, x) for name, (content, x) in files.items()), *code]))

    def _run(
        self, lines: Sequence[str], folder: Path, target: Target, options: Sequence[str]
    ) -> subprocess.CompletedProcess[str]:
        command = self.tool.command(lines, folder, target, options=options)
        return subprocess.run(command, cwd=target.root, env=self.environ, capture_output=True, text=True, check=False)

    def _failure(
        self, requirements: Sequence[Requirement], target: Target, answer: subprocess.CompletedProcess[str]
    ) -> BundleError:
        """Find out which of *requirements* is at fault by asking for each alone."""
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda requirement: self._ask(requirement, target), requirements))
        faults = [(item, text) for item, text in zip(requirements, answers, strict=True) if text]
        if not faults and len(requirements) == 1:
            faults = [(requirements[0], explain_output(answer.stderr))]
        if not faults:
            where = ", ".join(dict.fromkeys(requirement.where for requirement in requirements))
            return BundleError(
                f"the requirements cannot be installed together: {explain_output(answer.stderr)}",
                where=where,
                hint="loosen or change one of the versions, or pin one that has a wheel",
            )
        hint = "mend the name or the version, or take the line out"
        if len(faults) == 1:
            requirement, text = faults[0]
            return BundleError(
                f"requirement {requirement.line!r} cannot be installed: {text}", where=requirement.where, hint=hint
            )
        listed = "\n".join(f"  - {item.line!r} ({item.where}): {text}" for item, text in faults)
        return BundleError(f"{len(faults)} requirements cannot be installed\n{listed}", hint=hint)

    def _ask(self, requirement: Requirement, target: Target) -> str:
        with tempfile.TemporaryDirectory(prefix="fnkit-ask-") as folder:
            answer = self._run([requirement.line], Path(folder), target, ["--dry-run", "--no-deps"])
        return explain_output(answer.stderr) if answer.returncode else ""


def find_tool() -> Tool:
    """Return uv where it is at hand, pip otherwise; BundleError without either."""
    if uv := find_uv():
        return Uv(uv)
    probe = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if probe.returncode:
        raise BundleError("neither uv nor pip is at hand to install requirements", hint="install uv, or pip for this Python")
    return Pip()


def explain_output(text: str) -> str:
    """Return what uv or pip said on its standard error as one line, without its drawing."""
    lines = [line.strip(" ×╰─▶│├╯\t") for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("Using Python", "Using CPython", "WARNING", "[notice]"))]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    kept = errors[-2:] or [
        line.removeprefix("error: ").removeprefix("cause: ") for line in lines if "No solution found" not in line
    ]
    return " ".join(kept)[:600] or "the installer said nothing"


def _arguments(lines: Sequence[str]) -> list[str]:
    """Return requirement lines as arguments: an option such as `-r more.txt` is several of them."""
    arguments: list[str] = []
    for line in lines:
        if line.startswith(("-e ", "--editable")):
            raise BundleError(
                f"requirement {line!r} installs a link, and a bundle needs files", hint="name the folder without -e"
            )
        arguments += shlex.split(line) if line.startswith("-") else [line]
    return arguments


def _read_tree(folder: Path) -> dict[str, tuple[bytes, bool]]:
    files: dict[str, tuple[bytes, bool]] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        dropped = relative.parts[0] == "bin" or "__pycache__" in relative.parts
        if dropped or path.name in _DROPPED_FILES or path.suffix in _DROPPED_SUFFIXES or not path.is_file():
            continue
        executable = ".so" in path.suffixes or (path.suffix != ".py" and bool(path.stat().st_mode & 0o100))
        files[relative.as_posix()] = (path.read_bytes(), executable)
    return files


def _refuse_foreign_wheels(folder: Path, target: Target) -> None:
    """BundleError if a wheel that was built here would not run on the target."""
    faults = []
    for path in sorted(folder.glob("*.dist-info/WHEEL")):
        tags = [line.removeprefix("Tag:").strip() for line in path.read_text().splitlines() if line.startswith("Tag:")]
        if tags and not any(target.platform.runs_wheel(tag, target.python) for tag in tags):
            faults.append(f"{path.parent.name.removesuffix('.dist-info')} ({tags[0]})")
    if faults:
        raise BundleError(
            f"no wheel for Python {target.python} on {target.platform.name}, and what is built here does not run there: "
            + ", ".join(faults),
            hint="pin a version that has such a wheel, or build on that platform",
        )


def _read_kept(path: Path) -> tuple[Packed, ...]:
    """Return what was kept at *path*; nothing if it is not there, or damaged."""
    try:
        return read_archive(path)
    except (OSError, BundleError):
        return ()


def _keep(path: Path, packed: tuple[Packed, ...]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(path.parent, os.W_OK):
        write_archive(path, packed)
