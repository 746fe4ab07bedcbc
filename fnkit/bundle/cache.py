"""Keep what was made once, by the hash of what it was made from.

Entries are files below one folder: `FNKIT_CACHE_DIR`, else `fnkit` in the user's cache folder. An entry is written whole or not
at all, and several builds may share the folder. A folder that cannot be written to is no error: then nothing is kept.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cache:
    """Entries below *folder*; their keys are relative paths."""

    folder: Path

    def path(self, key: str) -> Path:
        """Return where the entry *key* is kept, whether it is there or not."""
        return self.folder / key

    def read(self, key: str) -> bytes | None:
        """Return the entry *key*, or None."""
        try:
            return self.path(key).read_bytes()
        except OSError:
            return None

    def write(self, key: str, content: bytes) -> None:
        """Keep *content* as *key*, if the folder can be written to."""
        path = self.path(key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".part-")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(partial).replace(path)


def open_cache(environ: Mapping[str, str] = os.environ) -> Cache:
    """Return the cache that *environ* names."""
    if folder := environ.get("FNKIT_CACHE_DIR"):
        return Cache(Path(folder))
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".cache"
    return Cache(Path(base, "fnkit"))
