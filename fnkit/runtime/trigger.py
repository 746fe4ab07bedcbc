"""What started an event, as steps see it in `event.trigger`."""

from __future__ import annotations


class Trigger:
    """*kind* is `http`, `invoke`, `sqs`, `kinesis` or `kafka`; *name* is the queue or topic."""

    __slots__ = ("kind", "name")

    def __init__(self, kind: str, name: str = "") -> None:
        self.kind = kind
        self.name = name

    def __repr__(self) -> str:
        return f"Trigger(kind={self.kind!r}, name={self.name!r})"
