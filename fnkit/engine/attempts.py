"""Which failed attempts of a call are worth another one, how long to wait before it, and what a call is told that took too long."""

from __future__ import annotations

from os import urandom

from fnkit.errors import StepTimeoutError
from fnkit.manifest.pauses import longest_pauses_s, retries_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fnkit.manifest.model import CallOptions


def chance() -> float:
    """Return a random number from 0 to 1. The module `random` would cost every cold start two milliseconds."""
    return int.from_bytes(urandom(4), "big") / 0xFFFF_FFFF


class RetryRules:
    """What the options of one call say of further attempts; *chance* gives numbers from 0 to 1."""

    __slots__ = ("_chance", "_growing", "_jitter", "_names", "_then", "retries")

    def __init__(self, call: CallOptions, chance: Callable[[], float] = chance) -> None:
        self.retries = retries_of(call)
        self._names = frozenset(call.retry_on)
        self._growing, self._then = longest_pauses_s(call)
        self._jitter = call.jitter or "half"
        self._chance = chance

    @property
    def repeats_steps(self) -> bool:
        """Whether errors of the step itself can be worth another attempt."""
        return bool(self._names)

    def names(self, error: BaseException) -> bool:
        """Tell whether the class of *error*, or one of its bases, is one that the user named.

        Of an error of another function, whose class may not be known here, the names of the bases have come along.
        """
        names = self._names
        if not names:
            return False
        known = (kind.__name__ for kind in type(error).__mro__)
        return any(name in names for name in (*known, *getattr(error, "remote_bases", ())))

    def pause_s(self, attempt: int) -> float:
        """Return how long to wait after attempt number *attempt*, counted from 1."""
        longest = self._growing[attempt - 1] if attempt <= len(self._growing) else self._then
        if self._jitter == "none":
            return longest
        least = 0.5 if self._jitter == "half" else 0.0
        return longest * (least + (1 - least) * self._chance())


def late_answer(step: str, seconds: float) -> StepTimeoutError:
    """Return the error of a step whose answer, or first chunk, did not come within *seconds*."""
    return StepTimeoutError(
        f"step '{step}' did not answer within {seconds:g} s",
        hint="give it more time, timeout_s in its call options, or less to do",
    )


def late_chunk(step: str, seconds: float) -> StepTimeoutError:
    """Return the error of a stream that stood still."""
    return StepTimeoutError(
        f"the stream of step '{step}' stood still for more than {seconds:g} s",
        hint="give it more time between two chunks, idle_timeout_s in its call options, or let it send what it has sooner",
    )
