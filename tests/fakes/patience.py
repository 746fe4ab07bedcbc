"""How tests treat time.

What must happen is waited for with `PATIENCE_S`: only something that hangs takes so long, on however busy a machine. A number that a
requirement names ("within a second") is shown by `quickest`: of several tries one must make it, so that a machine which is busy with
something else for a moment fails nothing, and code that is too slow fails always.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 90.0


def quickest(measure: Callable[[], float], limit_s: float, *, tries: int = 5) -> float:
    """Return the first time of *measure* under *limit_s*, or the least of *tries* times that were not."""
    times: list[float] = []
    while len(times) < tries:
        times.append(measure())
        if times[-1] < limit_s:
            break
    return min(times)


def wait_until(condition: Callable[[], bool], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Wait until *condition* holds, looking often; fail with *what* if it never does."""
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, f"waited {patience_s:g} s for {what}"
        time.sleep(0.01)
