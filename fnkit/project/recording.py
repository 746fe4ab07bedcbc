"""Whether this process only loads a graph for the tool, and which functions the file being loaded has defined.

While a TARGET is being loaded nothing may start: `fn.deploy()`, `fn.invoke()` or `mock.test()` at module level answer with
`INERT`, so that a script that builds, deploys and calls a graph is a TARGET as it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.project.function import ServingFunction


class Recording:
    """The functions that a file defines while it is loaded, in order, and whether it has deployed one: its graphs are built then."""

    def __init__(self) -> None:
        self.functions: list[ServingFunction] = []
        self.deployed = False


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


def records_deployment() -> bool:
    """Tell whether this process only records; then a function is deployed, and what comes after that calls it."""
    if _State.recording is not None:
        _State.recording.deployed = True
    return is_recording()
