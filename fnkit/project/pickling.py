"""Objects of a notebook or a script, as bytes that another process can load."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import cloudpickle

from fnkit.project.origin import is_installed

PROTOCOL = 5


def pickle_objects(objects: Mapping[str, object]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the pickles of *objects* by name, and the reason for each object that cannot be pickled.

    The same objects give the same bytes in every process with the same `PYTHONHASHSEED`, on which the order of sets depends.
    """
    pickles: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    for name, subject in objects.items():
        try:
            pickles[name] = _by_value(subject)
        except Exception as error:  # whatever the user's __reduce__ or __getstate__ raises
            refused[name] = f"{type(error).__name__}: {error}"
    return _with_stable_marks(pickles), refused


def _with_stable_marks(pickles: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return *pickles* with a mark for each class that depends on its name only.

    cloudpickle marks each class that it pickles by value with a random UUID, so that it is one class in all pickles of a process. Where
    a version keeps no such list the marks stay random, and a bundle is uploaded again without need.
    """
    known: Mapping[type, str] = getattr(cloudpickle.cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_CLASS", {})
    marks = {mark.encode(): f"{kind.__module__}.{kind.__qualname__}" for kind, mark in known.items()}
    stable: dict[bytes, bytes] = {}
    seen: Counter[str] = Counter()
    whole = b"".join(pickles[name] for name in sorted(pickles))
    for mark in sorted((mark for mark in marks if mark in whole), key=whole.find):
        seen[marks[mark]] += 1
        digest = hashlib.sha256(f"{marks[mark]} {seen[marks[mark]]}".encode()).hexdigest()
        stable[mark] = digest[: len(mark)].encode()
    return {name: _replace(data, stable) for name, data in pickles.items()}


def _replace(data: bytes, words: Mapping[bytes, bytes]) -> bytes:
    for word, other in words.items():
        data = data.replace(word, other)
    return data


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
