"""Wheels made on the spot, so that installing needs no network."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path


def make_wheel(
    folder: Path, name: str, files: Mapping[str, str], *, version: str = "1.0", tag: str = "py3-none-any", needs: str = ""
) -> Path:
    """Write the wheel of distribution *name* with *files* to *folder* and return its path."""
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    needed = f"Requires-Dist: {needs}\n" if needs else ""
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{entry},,\n" for entry in (*contents, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in {**contents, f"{info}/RECORD": record}.items():
            archive.writestr(entry, text)
    return path


def offline(wheels: Path) -> dict[str, str]:
    """Return an environment in which uv and pip know the wheels of the folder *wheels* and nothing else."""
    settings = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels), "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    return {**os.environ, **settings, **pip}
