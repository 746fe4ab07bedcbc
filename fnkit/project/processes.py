"""Processes of our own: the same interpreter, the same fnkit."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from fnkit.project.origin import is_installed


def own_python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs *module* with our interpreter; files of the working directory cannot get in its way."""
    return [sys.executable, "-P", "-m", module, *arguments]


def own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* with the place of this fnkit, where it is no installed package."""
    file = Path(__file__).resolve()
    if is_installed(file):
        return dict(environ)
    paths = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**environ, "PYTHONPATH": os.pathsep.join([*paths, str(file.parents[2])])}
