"""Find what a manifest names: classes, functions, pickled objects.

Each name is looked for in the namespaces first, in their order, and imported otherwise. A namespace is a module, or a mapping from
names to objects. A target with a module (`"pkg.mod:Class"`) is only taken from a namespace that has exactly this key, or that is this
module; a target without one (`"Class"`, `"pkg.mod.Class"`) is taken from any that has the name.
"""

from __future__ import annotations

import sys

from fnkit.lean import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    Namespace = Mapping[str, object] | ModuleType

_MODULE = type(sys)  # `types` has a name for it

_MISSING = object()


def find_class(target: str, namespaces: Iterable[Namespace]) -> object:
    """Return the class (or the ready instance) that *target* names.

    ImportError `Failed to import X` where there is no such module or name; AttributeError where the module has no such class.
    """
    found = _find(target, namespaces)
    if found is not _MISSING:
        return found
    raise ImportError(f"Failed to import {target.rpartition(':')[2] if target.startswith(':') else target}")


def find_function(handler: str, namespaces: Iterable[Namespace]) -> object:
    """Return the function that *handler* names; ImportError where nothing is found."""
    try:
        found = _find(handler, namespaces)
    except AttributeError:
        found = _MISSING
    if found is _MISSING:
        raise ImportError(f"state/function init failed, handler '{handler.rpartition(':')[2] or handler}' not found")
    return found


def _find(target: str, namespaces: Iterable[Namespace]) -> object:
    module_name, _, attribute = target.rpartition(":")
    for namespace in namespaces:
        found = _in_namespace(namespace, target, module_name, attribute)
        if found is not _MISSING:
            return found
    if module_name and module_name != "pickle":
        return _walk(_import(module_name, target), attribute)
    if not module_name and "." in target:
        module_name, _, attribute = target.rpartition(".")
        return _walk(_import(module_name, target), attribute)
    return _MISSING


def _in_namespace(namespace: Namespace, target: str, module_name: str, attribute: str) -> object:
    if isinstance(namespace, _MODULE):
        if module_name and module_name != namespace.__name__:
            return _MISSING
        return getattr(namespace, attribute, _MISSING)
    found = namespace.get(target, _MISSING)
    if found is _MISSING and not module_name:
        found = namespace.get(attribute, _MISSING)
    return found


def _import(module_name: str, target: str) -> ModuleType:
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise ImportError(f"Failed to import {target}") from error
        raise


def _walk(module: ModuleType, path: str) -> object:
    found: object = module
    for name in path.split("."):
        if not hasattr(found, name):
            raise AttributeError(f"module '{module.__name__}' has no attribute '{path}'")
        found = getattr(found, name)
    return found
