"""A request body that tells how much of it has been read, and so sent."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO


class Counted(BytesIO):
    """A request body that tells *report* which share of it has been read."""

    def __init__(self, body: bytes, report: Callable[[float], None]) -> None:
        super().__init__(body)
        self._size = len(body) or 1
        self._report = report

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self._report(self.tell() / self._size)
        return piece
