"""Read a file whose requirements are not installed here: the function that runs it brings them in its bundle.

What the file takes from a missing module while it is imported (a base class, a decorator, a type) is a stand-in that does nothing. So
its classes and functions are found by name, which is all that a manifest needs. Nothing that was read so is kept in `sys.modules`: a
mock server, which would run it, imports the file anew and fails where it must.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, FunctionType, ModuleType

from fnkit.project.modules import forget, import_file
from fnkit.project.origin import is_installed


class Absent:
    """What a file finds in a module that is not there: a class, a decorator or a value, whatever it is taken for."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __init_subclass__(cls, **kwargs: object) -> None:
        pass

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Return what is decorated, where this is a decorator."""
        return args[0] if len(args) == 1 and not kwargs and isinstance(args[0], type | FunctionType) else Absent()

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        first = next(base for base in bases if isinstance(base, Absent) or (isinstance(base, type) and issubclass(base, Absent)))
        return (Absent,) if first is self else ()

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent()

    def __getitem__(self, key: object) -> Absent:
        return Absent()

    def __or__(self, other: object) -> Absent:
        return Absent()

    __ror__ = __or__


class _AbsentModule(ModuleType):
    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent()


class _Finder(MetaPathFinder, Loader):
    """Finds stand-ins for the modules *tops*, and what is in them, for imports that stand in files below *root*."""

    def __init__(self, tops: Sequence[str], root: Path) -> None:
        self._tops, self._root = tops, root

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in self._tops or not _is_below(self._root, _importing_file()):
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module empty."""


def _importing_file() -> str:
    """Return the file in which the import stands that is being made."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame.f_code.co_filename if frame is not None else ""


def _is_below(root: Path, file: str) -> bool:
    """Tell whether *file* is the user's own, below *root*."""
    return Path(file).is_relative_to(root) and not is_installed(Path(file))


def read_file(file: Path, name: str, root: Path) -> tuple[ModuleType, tuple[str, ...]]:
    """Return the module of *file* under the import path *name* below *root*, and the missing modules that it was read without.

    Raises what the file raises; where a stand-in is the cause of that, the ModuleNotFoundError for the first missing module.
    """
    tops: list[str] = []
    first: ModuleNotFoundError | None = None
    while True:
        try:
            with _standing_in(tops, root, file):
                return import_file(file, name, root), tuple(tops)
        except Exception as error:  # whatever the file does with stand-ins
            first = first or (error if isinstance(error, ModuleNotFoundError) else None)
            if first is None or not isinstance(error, ModuleNotFoundError) or not _can_stand_in(error, tops, root):
                raise (first or error) from None
            tops.append(str(error.name).partition(".")[0])


def _can_stand_in(error: ModuleNotFoundError, tops: Sequence[str], root: Path) -> bool:
    """Tell whether a package of somebody else is missing as a whole."""
    top = str(error.name or "").partition(".")[0]
    if not top or top in tops or (root / top).exists() or (root / f"{top}.py").exists():
        return False
    return find_spec(top) is None


@contextmanager
def _standing_in(tops: Sequence[str], root: Path, file: Path) -> Iterator[None]:
    """Let imports below *root* find stand-ins for *tops*, and forget afterwards what was read with them."""
    before, finder = set(sys.modules), _Finder(tops, root)
    if not tops:
        yield
        return
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        forget(file)
        for name in set(sys.modules) - before:
            module = sys.modules[name]
            if isinstance(module, _AbsentModule) or _is_below(root, str(getattr(module, "__file__", None) or "")):
                del sys.modules[name]


def is_promised(requirements: Iterable[str]) -> bool:
    """Tell whether one of *requirements* is not installed here, and so may bring what is missing."""
    return any(not _is_installed(line) for line in requirements)


def _is_installed(line: str) -> bool:
    name = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*($|[\[<>=!~;@ (])", line)
    try:
        return name is not None and bool(distribution(name[1]))
    except PackageNotFoundError:
        return False
