"""Whether this process only loads a graph for the tool, and which functions the file being loaded has defined.

While a TARGET is being loaded nothing may start: `fn.deploy()`, `fn.invoke()` or `mock.test()` at module level answer with
`INERT`, so that a script that builds, deploys and calls a graph is a TARGET as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.project.function import ServingFunction


class Inert:
    """Stands for what a started thing would have answered: every call, attribute and item is itself; it is empty and false."""

    def __getattr__(self, name: str) -> Inert:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_args: object, **_options: object) -> Inert:
        return self

    def __getitem__(self, _key: object) -> Inert:
        return self

    def __contains__(self, _key: object) -> bool:
        return False

    def __iter__(self) -> Iterator[object]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __enter__(self) -> Inert:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def __str__(self) -> str:
        return ""


INERT = Inert()


class Recording:
    """The functions that a file defines while it is loaded, in order."""

    def __init__(self) -> None:
        self.functions: list[ServingFunction] = []


class _State:
    """The one recording of this process, if there is one."""

    recording: Recording | None = None


def begin() -> Recording:
    """From now on this process only records: functions are listed, nothing is started."""
    _State.recording = Recording()
    return _State.recording


def end() -> None:
    """Stop recording."""
    _State.recording = None


def is_recording() -> bool:
    """Tell whether this process only records."""
    return _State.recording is not None


def record(function: ServingFunction) -> None:
    """List *function* if this process records."""
    if _State.recording is not None:
        _State.recording.functions.append(function)
