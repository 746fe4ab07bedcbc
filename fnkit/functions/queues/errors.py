"""What a queue refuses."""

from __future__ import annotations

from fnkit.errors import MLRunHTTPStatusError


class QueueError(MLRunHTTPStatusError):
    """A queue cannot take or give messages: 503 to a client whose event was not accepted."""

    status = 503


class MessageTooLargeError(QueueError):
    """A message that does not fit into the queue: 413."""

    status = 413
