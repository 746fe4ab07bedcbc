"""Send to a local queue: the SQLite file of that name in the folder that the host names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec


class LocalSender:
    """Writes to one `LocalQueue`."""

    slow = False

    def __init__(self, queue: LocalQueue) -> None:
        self._queue = queue

    def send(self, messages: Sequence[Message]) -> None:
        """Store *messages* in one transaction."""
        self._queue.send(messages)

    def close(self) -> None:
        """Close the file."""
        self._queue.close()


def open_sender(spec: QueueSpec, environ: Mapping[str, str]) -> LocalSender:
    """Open the queue in the folder `FNKIT_QUEUE_DIR`; `QueueError` when the host names none."""
    folder = environ.get("FNKIT_QUEUE_DIR")
    if not folder:
        raise QueueError(
            f"queue '{spec.name}' has no place: neither FNKIT_QUEUE_DIR nor an SQS queue for '{spec.address}' is set",
            hint="run the graph with fnkit emulate, or deploy it with fnkit deploy",
        )
    return LocalSender(LocalQueue(folder, spec.address, retention=spec.retention))
