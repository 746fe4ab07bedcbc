"""What a poller has done so far, and what it says of a message that is given up."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec


@dataclass(slots=True)
class Tally:
    """Counts of one queue's poller: *repeated* are deliveries of a message that had been delivered before."""

    batches: int = 0
    delivered: int = 0
    repeated: int = 0
    failed: int = 0
    dead: int = 0


def obituary(spec: QueueSpec, message: Message, receives: int, reason: str) -> str:
    """Return the sentence that tells people of a dead letter."""
    plural = "" if receives == 1 else "s"
    return f"message {message.id} of queue '{spec.name}' is a dead letter after {receives} attempt{plural}: {reason}"
