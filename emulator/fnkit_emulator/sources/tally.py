"""What a poller has done so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """Counts of one queue's poller: *repeated* are deliveries of a message that had been delivered before."""

    batches: int = 0
    delivered: int = 0
    repeated: int = 0
    failed: int = 0
    dead: int = 0
