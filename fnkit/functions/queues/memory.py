"""The dummy queue: keeps what is sent to it in a list, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec


class MemorySender:
    """Keeps messages in `messages`, newest last."""

    slow = False

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        """Append *messages*."""
        self.messages.extend(messages)

    def close(self) -> None:
        """Keep everything: the list is there to be looked at afterwards."""


def open_sender(spec: QueueSpec, environ: Mapping[str, str]) -> MemorySender:
    """Return an empty one."""
    del spec, environ
    return MemorySender()
