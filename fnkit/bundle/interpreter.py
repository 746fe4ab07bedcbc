"""Find a Python interpreter of a given minor version on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_PROBE = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"


def running_python() -> str:
    """Return the minor version of the running interpreter, such as "3.12"."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


@cache
def find_interpreter(version: str) -> Path | None:
    """Return a CPython of *version* ("3.12"): the running one, one on the PATH, one that uv knows; None if there is none."""
    if version == running_python() and sys.implementation.name == "cpython":
        return Path(sys.executable)
    return next((path for path in _candidates(version) if _is(path, version)), None)


def find_uv() -> tuple[str, ...]:
    """Return the command that starts uv: its module beside us, or its program on the PATH; empty if there is none."""
    if find_spec("uv") is not None:
        return (sys.executable, "-m", "uv")
    found = shutil.which("uv")
    return (found,) if found else ()


def _candidates(version: str) -> Iterator[Path]:
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    if uv := find_uv():
        command = [*uv, "python", "find", "--no-project", "--no-python-downloads", "--system", version]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.strip():
            yield Path(answer.stdout.strip())
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    yield from sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)


def _is(path: Path, version: str) -> bool:
    try:
        answer = subprocess.run([path, "-I", "-S", "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.stdout.split() == [version, "cpython"]
