"""How often a call is tried again, and how long it waits before it is: what the options of a call say, or the defaults."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.manifest.model import CallOptions

RETRIES = 4
BACKOFF_S = 0.05
BACKOFF_RATE = 2.0
MAX_BACKOFF_S = 2.0
_STEPS = 1000  # growing pauses that are told apart


def retries_of(call: CallOptions) -> int:
    """Return how many attempts may follow the first one."""
    return RETRIES if call.retries is None else call.retries


def longest_pauses_s(call: CallOptions) -> tuple[tuple[float, ...], float]:
    """Return the longest that each of the growing pauses can be, and how long every pause after them can be."""
    pause = BACKOFF_S if call.backoff_s is None else call.backoff_s
    rate = BACKOFF_RATE if call.backoff_rate is None else call.backoff_rate
    longest = max(MAX_BACKOFF_S, pause) if call.max_backoff_s is None else call.max_backoff_s
    growing: list[float] = []
    while pause < longest and len(growing) < min(retries_of(call), _STEPS):
        growing.append(pause)
        if rate <= 1 or not pause:
            return tuple(growing), pause
        pause *= rate
    return tuple(growing), longest


def longest_wait_s(call: CallOptions) -> float:
    """Return how long all pauses of one call can be together."""
    growing, then = longest_pauses_s(call)
    return sum(growing) + then * (retries_of(call) - len(growing))
