"""Leave a function alone that is throttled: further calls to it fail at once instead of adding to what it cannot take.

After some throttled attempts in a row the breaker opens: for a while nothing is asked of the function, then one call may try. If that is
throttled too, the next while is twice as long, up to a limit; any answer closes the breaker.
"""

from __future__ import annotations

from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

THRESHOLD = 10  # throttled attempts in a row: two calls that were tried five times each
FIRST_REST_S = 1.0
LONGEST_REST_S = 30.0


class Breaker:
    """The breaker of one function. With *threshold* 0 it never opens. *clock* gives seconds."""

    def __init__(
        self, *, threshold: int = THRESHOLD, rest_s: float = FIRST_REST_S, clock: Callable[[], float] = monotonic
    ) -> None:
        self._threshold = threshold
        self._first_rest_s = rest_s
        self._clock = clock
        self._throttled = 0
        self._rest_s = rest_s
        self._until = 0.0

    def rest_s(self) -> float:
        """Return for how many more seconds the function is left alone; 0: ask it. At the end of a rest one caller gets 0."""
        if self._throttled < self._threshold or not self._threshold:
            return 0.0
        left = self._until - self._clock()
        if left > 0:
            return left
        self._until = self._clock() + self._rest_s  # the others wait for what becomes of this caller's attempt
        return 0.0

    def throttled(self) -> bool:
        """Note a throttled attempt; True when another attempt is of no use now."""
        self._throttled += 1
        if self._throttled < self._threshold or not self._threshold:
            return False
        if self._throttled > self._threshold:
            self._rest_s = min(self._rest_s * 2, max(LONGEST_REST_S, self._first_rest_s))
        self._until = self._clock() + self._rest_s
        return True

    def answered(self) -> None:
        """Note that the function took a call."""
        self._throttled = 0
        self._rest_s = self._first_rest_s
