"""Processes of our own: the same interpreter, the same fnkit."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from fnkit.project.origin import is_installed

_SILENTLY = (
    "import _signal, runpy; _signal.signal({signal}, _signal.SIG_DFL); runpy.run_module({module!r}, None, '__main__', True)"
)


def own_python(module: str, *arguments: str, ends_silently: bool = False) -> list[str]:
    """Return the command that runs *module* with our interpreter; files of the working directory cannot get in its way.

    *ends_silently*: Ctrl-C, which reaches all processes of a terminal, ends it without a traceback, from its first import on.
    """
    start = ["-c", _SILENTLY.format(signal=int(signal.SIGINT), module=module)] if ends_silently else ["-m", module]
    return [sys.executable, "-P", *start, *arguments]


def own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* with the place of this fnkit, where it is no installed package."""
    file = Path(__file__).resolve()
    if is_installed(file):
        return dict(environ)
    paths = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**environ, "PYTHONPATH": os.pathsep.join([*paths, str(file.parents[2])])}
