"""A graph as it was loaded: its manifest, where the user's files are, and what travels as a pickle."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from fnkit.errors import LoadError
from fnkit.manifest import Manifest, dumps, loads
from fnkit.manifest.shape import AnyMap, Field, Listing, Record, Text, TextMap
from fnkit.project.settings import SHAPE as SETTINGS
from fnkit.project.settings import Settings

FORMAT = "fnkit.loaded/1"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a TARGET said.

    *manifest* is not placed yet. Import paths start at *root*. *includes* are further files, globs relative to *root*.
    *pickles*: name -> cloudpickle bytes, for targets `"pickle:NAME"`. *files*: function name -> module of its own file.
    """

    manifest: Manifest
    root: Path
    includes: tuple[str, ...] = ()
    pickles: Mapping[str, bytes] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return this as the text of a loaded.json, which is a TARGET of its own."""
        document = {
            "format": FORMAT,
            "root": str(self.root),
            "includes": list(self.includes),
            "files": dict(sorted(self.files.items())),
            "settings": SETTINGS.write(self.settings),
            "manifest": json.loads(dumps(self.manifest)),
            "pickles": {name: b64encode(data).decode("ascii") for name, data in sorted(self.pickles.items())},
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Loaded:
        """Return what a loaded.json says; LoadError lists what is wrong with it."""
        faults: list[str] = []
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise LoadError(f"not a loaded.json: {error}") from error
        found = document.pop("format", None) if isinstance(document, dict) else None
        if found != FORMAT:
            raise LoadError(f"not a loaded.json: its format is {found!r}, expected {FORMAT!r}")
        read = _SHAPE.read(document, "$", faults)
        if faults:
            raise LoadError("not a valid loaded.json:" + "".join(f"\n  - {fault}" for fault in faults))
        parts = cast("dict[str, object]", read)
        pickles = cast("Mapping[str, str]", parts["pickles"])
        return cls(
            manifest=loads(json.dumps(parts["manifest"])),
            root=Path(cast("str", parts["root"])),
            includes=cast("tuple[str, ...]", parts.get("includes", ())),
            pickles={name: _decoded(name, data) for name, data in pickles.items()},
            settings=cast("Settings", parts.get("settings", Settings())),
            files=cast("Mapping[str, str]", parts.get("files", {})),
        )


def _decoded(name: str, text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise LoadError(f"the pickle {name!r} is not base64: {error}") from error


_SHAPE = Record(
    "Loaded",
    dict,
    {
        "root": Field(Text(filled=True)),
        "includes": Field(Listing(Text(filled=True)), ()),
        "files": Field(TextMap(), {}),
        "settings": Field(SETTINGS, Settings()),
        "manifest": Field(AnyMap()),
        "pickles": Field(TextMap()),
    },
)
