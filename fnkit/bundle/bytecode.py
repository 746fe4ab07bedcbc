"""Compile what goes into a bundle to bytecode, with the interpreter that will run it.

A function's folder cannot be written to, so without bytecode every cold start compiles everything again; and bytecode that is
checked by the time of its source is always stale there, because a zip carries no such time. What is written here is tied to
nothing (PEP 552, "unchecked hash"): it is used as it is. Its magic number is that of one minor version, so it is compiled by an
interpreter of that version or not at all. The paths in it are those on the function's machine; Python mends them where it runs
elsewhere.

One child process compiles a batch; results are kept by the hash of what went in.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fnkit.bundle.cache import Cache
from fnkit.bundle.interpreter import find_interpreter
from fnkit.errors import BundleError

TASK_ROOT = "/var/task"

# Runs in the child: stdin is [[source file, path to show, file to write]...], stdout {source file: message}.
_CHILD = """
import json, py_compile, sys
faults = {}
for number, (source, shown, target) in enumerate(json.load(sys.stdin)):
    try:
        py_compile.compile(source, target, shown, True, -1, py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except py_compile.PyCompileError as error:
        line = getattr(error.exc_value, "lineno", None)
        faults[number] = [line, getattr(error.exc_value, "msg", str(error.exc_value))]
    except (ValueError, UnicodeError, RecursionError) as error:
        faults[number] = [None, str(error)]
json.dump(faults, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """A source that could not be compiled: its *name*, the *line* (None if unknown) and the *message*."""

    name: str
    line: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """Bytecode by the name of its source, and what could not be compiled."""

    code: Mapping[str, bytes]
    faults: tuple[Fault, ...]


def bytecode_name(source: str, python: str) -> str:
    """Return where the bytecode of *source* stands for *python* ("3.12"): "a/__pycache__/b.cpython-312.pyc"."""
    path = PurePosixPath(source)
    tag = python.replace(".", "")
    return str(path.parent / "__pycache__" / f"{path.stem}.cpython-{tag}.pyc")


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles for one version of Python; *interpreter* None means that no such interpreter is at hand."""

    python: str
    interpreter: Path | None
    cache: Cache

    def compile(self, sources: Mapping[str, bytes]) -> Compiled:
        """Compile *sources* (name in the bundle -> text); nothing without an interpreter."""
        if self.interpreter is None:
            return Compiled({}, ())
        keys = {name: self._key(name, text) for name, text in sorted(sources.items())}
        code = {name: kept for name, key in keys.items() if (kept := self.cache.read(key)) is not None}
        missing = [name for name in keys if name not in code]
        fresh, faults = self._compile_all(missing, sources)
        for name, text in fresh.items():
            self.cache.write(keys[name], text)
        return Compiled({**code, **fresh}, faults)

    def _key(self, name: str, text: bytes) -> str:
        digest = hashlib.sha256(f"pyc/1\n{self.python}\n{name}\n".encode() + text).hexdigest()
        return f"pyc/{digest[:2]}/{digest[2:]}"

    def _compile_all(self, names: Sequence[str], sources: Mapping[str, bytes]) -> tuple[dict[str, bytes], tuple[Fault, ...]]:
        if not names:
            return {}, ()
        count = min(os.cpu_count() or 1, 4, 1 + len(names) // 50)
        parts = [names[start::count] for start in range(count)]
        with ThreadPoolExecutor(count) as pool:
            results = list(pool.map(lambda part: self._compile_part(part, sources), parts))
        code = {name: text for part, _ in results for name, text in part.items()}
        return code, tuple(sorted((fault for _, faults in results for fault in faults), key=lambda fault: fault.name))

    def _compile_part(self, names: Sequence[str], sources: Mapping[str, bytes]) -> tuple[dict[str, bytes], list[Fault]]:
        with tempfile.TemporaryDirectory(prefix="fnkit-pyc-") as folder:
            jobs = []
            for number, name in enumerate(names):
                source = Path(folder, f"{number}.py")
                source.write_bytes(sources[name])
                jobs.append((str(source), f"{TASK_ROOT}/{name}", f"{folder}/{number}.pyc"))
            faults = self._run(jobs)
            code = {name: Path(jobs[number][2]).read_bytes() for number, name in enumerate(names) if number not in faults}
        return code, [Fault(names[number], *fault) for number, fault in faults.items()]

    def _run(self, jobs: Sequence[tuple[str, str, str]]) -> dict[int, tuple[int | None, str]]:
        command = [str(self.interpreter), "-I", "-S", "-B", "-W", "ignore", "-X", "utf8", "-c", _CHILD]
        answer = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, check=False)
        if answer.returncode:
            raise BundleError(
                f"{self.interpreter} could not compile the bundle: {answer.stderr.strip()[-500:]}",
                hint="give another Python version with --python",
            )
        return {int(number): (fault[0], fault[1]) for number, fault in json.loads(answer.stdout).items()}


def find_compiler(python: str, cache: Cache) -> Compiler:
    """Return a compiler for *python*, which compiles nothing where no such interpreter is at hand."""
    return Compiler(python, find_interpreter(python), cache)
