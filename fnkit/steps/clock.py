"""Alarms on the event loop, for steps that act after a time."""

from __future__ import annotations

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Calls *ring* with a key *seconds* after that key was started, unless it is stopped before. Needs a running loop to start."""

    def __init__(self, seconds: float, ring: Callable[[object], None]) -> None:
        self._seconds = seconds
        self._ring = ring
        self._alarms: dict[object, asyncio.TimerHandle] = {}

    def start(self, key: object) -> None:
        """Set the alarm of *key*, anew if it is set already."""
        self.stop(key)
        self._alarms[key] = asyncio.get_running_loop().call_later(self._seconds, self._fire, key)

    def stop(self, *keys: object) -> None:
        """Take back the alarms of *keys*; of all without any."""
        for key in keys or tuple(self._alarms):
            alarm = self._alarms.pop(key, None)
            if alarm is not None:
                alarm.cancel()

    def _fire(self, key: object) -> None:
        del self._alarms[key]
        self._ring(key)
