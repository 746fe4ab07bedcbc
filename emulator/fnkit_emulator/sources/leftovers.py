"""Remove what callers that died have left in the folder for large payloads.

A payload lies there from the call of a function until it begins to answer, which no function takes hours for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

OLD_S = 6 * 3600.0
LOOK_S = 3600.0


def remove_leftovers(folder: Path, *, older_than: float) -> int:
    """Remove the files of *folder* that were written before *older_than* (seconds since the epoch); return how many there were."""
    removed = 0
    for file in sorted(folder.glob("*")):
        with suppress(OSError):  # its reader may remove it too
            if file.is_file() and file.stat().st_mtime < older_than:
                file.unlink()
                removed += 1
    return removed


async def keep_clean(
    folder: Path, say: Callable[[str], None], *, clock: Callable[[], float] = time.time, look_s: float = LOOK_S
) -> None:
    """Remove what is too old now, and every *look_s* seconds, until cancelled."""
    while True:
        if removed := await asyncio.to_thread(remove_leftovers, folder, older_than=clock() - OLD_S):
            say(f"{removed} large payload{'s' if removed > 1 else ''} that nobody has fetched for hours removed from {folder}")
        await asyncio.sleep(look_s)
