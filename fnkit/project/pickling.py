"""Objects of a notebook or a script, as bytes that another process can load."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import cloudpickle

from fnkit.project.origin import is_installed

PROTOCOL = 5


def pickle_objects(objects: Mapping[str, object]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the pickles of *objects* by name, and the reason for each object that cannot be pickled."""
    pickles: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    for name, subject in objects.items():
        try:
            pickles[name] = _by_value(subject)
        except Exception as error:  # whatever the user's __reduce__ or __getstate__ raises
            refused[name] = f"{type(error).__name__}: {error}"
    return pickles, refused


def _by_value(subject: object) -> bytes:
    """Return the pickle of *subject*; a class or function of the user's own module travels with its code."""
    module = _module_of(subject)
    if module is None:
        return bytes(cloudpickle.dumps(subject, protocol=PROTOCOL))
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(subject, protocol=PROTOCOL))
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _module_of(subject: object) -> ModuleType | None:
    """Return the user's module that *subject* (or its class) comes from, if it would otherwise be pickled as a mere name."""
    home = getattr(subject, "__module__", "")
    module = sys.modules.get(home) if isinstance(home, str) else None
    file = getattr(module, "__file__", None)
    if module is None or not file or home == "__main__" or home.startswith("fnkit.") or is_installed(Path(file).resolve()):
        return None
    return module
