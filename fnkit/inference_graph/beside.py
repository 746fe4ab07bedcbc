"""Work on large bodies is done beside the event loop, so that other requests are answered meanwhile.

What is done on a body takes some milliseconds for each megabyte of it. Threads share the interpreter, so the work itself must
come in portions too: `gjson` and `portions` see to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

LARGE_BODY: Final = 1 << 18
"""From so many bytes on a body is worth the way to a thread and back."""


class Beside(Protocol):
    """Runs a function in another thread."""

    async def __call__(self, work: Callable[..., Result], /, *args: object) -> Result:
        """Return what *work* returns, raise what it raises."""


async def done(beside: Beside | None, size: int, work: Callable[..., Result], /, *args: object) -> Result:
    """Return *work* done on *size* bytes: here if they are few, or if there is no loop to hold up."""
    if beside is None or size < LARGE_BODY:
        return work(*args)
    return await beside(work, *args)
