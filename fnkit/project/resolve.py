"""From names and objects to targets: where a bundle finds each class and function that a graph uses."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType

from fnkit.manifest.spelling import did_you_mean
from fnkit.project.origin import Origin, is_installed, module_name
from fnkit.project.script import is_safe_to_import
from fnkit.steps import ALIASES

Namespace = ModuleType | Mapping[str, object]

_MISSING = object()
_READY_MADE = ("fnkit.steps", "fnkit.serving")
_FOREIGN = re.compile(r"(storey|mlrun|fnkit\.steps|fnkit\.serving)(\.|$)")

_NOTHING_KNOWN = "define it in the file of its function, give the import path (package.module.Name), or pass the object itself"


@dataclass(slots=True)
class Resolver:
    """Looks names up and remembers what they stand for.

    *namespaces* go first (those given to a mock server), then the modules of the step's function (*modules*: function name ->
    module, `""` is the parent's), the globals of the caller (*origin*), the ready-made steps, and importable paths.
    *objects*: target -> object. *pickles*: name -> object, for those objects that no import path leads to.
    """

    root: Path | None
    origin: Origin
    modules: Mapping[str, ModuleType] = field(default_factory=dict)
    namespaces: Sequence[Namespace] = ()
    objects: dict[str, object] = field(default_factory=dict)
    pickles: dict[str, object] = field(default_factory=dict)

    def target_of_class(self, subject: object, function: str = "") -> str:
        """Return the target of a class (by name or as an object) or of an instance; ImportError, AttributeError if there is none."""
        return self._target(subject, function, "Failed to import {}")

    def target_of_function(self, subject: object, function: str = "") -> str:
        """Return the target of a handler: an expression stays as it is."""
        if isinstance(subject, str) and subject.startswith("("):
            return subject
        try:
            return self._target(subject, function, "state/function init failed, handler '{}' not found")
        except AttributeError as error:
            message = f"state/function init failed, handler '{subject}' not found"
            raise _unknown(message, str(error)) from error

    def _target(self, subject: object, function: str, refusal: str) -> str:
        if not isinstance(subject, str):
            return self._place(subject)
        target, found = self._look_up(subject, function)
        if found is _MISSING:
            raise _unknown(refusal.format(subject), self._hint(subject, function))
        self.objects[target] = found
        return target

    def _look_up(self, name: str, function: str) -> tuple[str, object]:
        for namespace in self.namespaces:
            found = _walk(namespace, name)
            if found is not _MISSING:
                return name, found
        if ":" in name:
            return name, _import_explicit(name)
        for module in self._modules_of(function):
            found = _walk(module, name)
            if found is not _MISSING:
                return self._canonical(f"{module.__name__}:{name}", found)
        found = _walk(self.origin.names, name)
        if found is not _MISSING:
            return self._place(found), found
        ready = ready_made(name)
        if ready is not None:
            return ready
        return _import_dotted(name)

    def _modules_of(self, function: str) -> list[ModuleType]:
        modules = [self.modules[key] for key in (function, "") if key in self.modules]
        return list(dict.fromkeys(modules))

    def _canonical(self, target: str, found: object) -> tuple[str, object]:
        home = str(getattr(found, "__module__", ""))
        return (self._place(found) if home.startswith("fnkit.") else target), found

    def _place(self, subject: object) -> str:
        """Return where a bundle finds *subject*: an import path if one leads to it, otherwise a pickle."""
        target = self._import_path(subject)
        if not target:
            target = f"pickle:{self._pickle_name(subject)}"
            self.pickles[target.partition(":")[2]] = subject
        self.objects[target] = subject
        return target

    def _import_path(self, subject: object) -> str:
        home = getattr(subject, "__module__", None)
        path = getattr(subject, "__qualname__", None)
        if not isinstance(home, str) or not isinstance(path, str) or "<" in path:
            return ""
        if home.startswith("fnkit."):
            return _public(home, path, subject)
        own = next((module for module in self.modules.values() if module.__name__ == home), None)
        module = own or sys.modules.get(home)
        if module is None or _walk(module, path) is not subject:
            return ""
        name = self._import_name(module)
        return f"{name}:{path}" if name else ""

    def _import_name(self, module: ModuleType) -> str:
        """Return the path that imports *module* inside a bundle; `""` where there is none."""
        file = getattr(module, "__file__", None)
        if not file:
            return module.__name__ if module.__name__ in sys.builtin_module_names else ""
        path = Path(file).resolve()
        if module.__name__ != "__main__" and is_installed(path):
            return module.__name__
        name = self._name_below_root(path)
        if module.__name__ == "__main__":
            return name if name and is_safe_to_import(path) else ""
        return name if name == module.__name__ else ""

    def _name_below_root(self, path: Path) -> str:
        try:
            return module_name(path, self.root) if self.root else ""
        except ValueError:
            return ""

    def _pickle_name(self, subject: object) -> str:
        for name, known in self.pickles.items():
            if known is subject:
                return name
        path = str(getattr(subject, "__qualname__", type(subject).__name__)).rpartition("<locals>.")[2]
        base = re.sub(r"[^A-Za-z0-9_]+", "_", path).strip("_") or "object"
        number, name = 1, base
        while name in self.pickles:
            number += 1
            name = f"{base}_{number}"
        return name

    def _hint(self, name: str, function: str) -> str:
        """Return which name may be meant, among those of the places that were looked in."""
        known = [key for module in self._modules_of(function) for key in _names_of(vars(module), module.__name__)]
        known += _names_of(self.origin.names, str(self.origin.names.get("__name__", "")))
        last = name.rpartition(".")[2] if _FOREIGN.match(name) else name
        ready = [key for package in _READY_MADE for key in _public_names(import_module(package))]
        near = did_you_mean(last, [*known, *ready])
        return near if near.startswith("did you mean") else did_you_mean(last, known) or _NOTHING_KNOWN


def _unknown(message: str, hint: str) -> ImportError:
    """Return the error for a name that no place knows; its note says which names there are."""
    error = ImportError(message)
    if hint:
        error.add_note(f"hint: {hint}")
    return error


def is_of_users_code(error: BaseException) -> bool:
    """Tell whether *error* was raised somewhere else than here: by a module of the user while it was imported."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename != __file__


def hint_of(error: BaseException) -> str:
    """Return the hint that an error carries."""
    notes: list[str] = getattr(error, "__notes__", [])
    return next((note.removeprefix("hint: ") for note in notes if note.startswith("hint: ")), str(getattr(error, "hint", "")))


def ready_made(name: str) -> tuple[str, object] | None:
    """Return target and class of the ready-made step that *name* means, under our path, storey's or MLRun's; None if none."""
    alias = ALIASES.get(name)
    if alias is not None:
        home, _, attribute = alias.partition(":")
        found = getattr(import_module(home), attribute, None)
        return (alias, found) if found is not None else None
    head, _, last = name.rpartition(".")
    if head and not _FOREIGN.match(head):
        return None
    for package in _READY_MADE:
        module = import_module(package)
        if last in _public_names(module):
            return f"{package}:{last}", getattr(module, last)
    return None


def _public_names(module: ModuleType) -> Iterable[str]:
    return getattr(module, "__all__", ())


def _names_of(names: Mapping[str, object], home: str) -> list[str]:
    """Return the names of classes and functions that are defined in the module *home*."""
    return [
        key
        for key, value in names.items()
        if not key.startswith("_") and getattr(value, "__module__", None) == home and isinstance(value, type | Callable)
    ]


def _public(home: str, path: str, subject: object) -> str:
    for package in _READY_MADE:
        if getattr(import_module(package), path, None) is subject:
            return f"{package}:{path}"
    return f"{home}:{path}"


def _walk(start: Namespace, path: str) -> object:
    """Return what the dotted *path* leads to from *start*; `_MISSING` if nothing."""
    found: object = start
    for name in path.split("."):
        found = found.get(name, _MISSING) if isinstance(found, Mapping) else getattr(found, name, _MISSING)
        if found is _MISSING:
            return _MISSING
    return found


def _import_explicit(name: str) -> object:
    home, _, path = name.partition(":")
    try:
        module = import_module(home)
    except ModuleNotFoundError as error:
        if error.name and (home == error.name or home.startswith(f"{error.name}.")):
            raise _unknown(f"Failed to import {name}", f"there is no module {error.name!r}") from error
        raise
    found = _walk(module, path)
    if found is _MISSING:
        raise AttributeError(f"module '{home}' has no attribute '{path}'")
    return found


def _import_dotted(name: str) -> tuple[str, object]:
    """Return target and object of `pkg.mod.Class`; `_MISSING` where no such module is."""
    home, _, path = name.rpartition(".")
    if not home or _FOREIGN.match(home):
        return name, _MISSING
    try:
        module = import_module(home)
    except ModuleNotFoundError as error:
        if error.name and (home == error.name or home.startswith(f"{error.name}.")):
            return name, _MISSING
        raise
    if not hasattr(module, path):
        raise AttributeError(f"module '{home}' has no attribute '{path}'")
    return f"{home}:{path}", getattr(module, path)
