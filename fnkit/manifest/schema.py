"""The JSON Schema of `graph.json`, made from the same table that reads and writes it."""

from __future__ import annotations

from fnkit.manifest.codec import SHAPES
from fnkit.manifest.model import FORMAT

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (draft 2020-12) of a manifest; it is published as `graph.schema.json` beside this module."""
    return {
        "$schema": _DIALECT,
        "$id": "urn:fnkit:graph:1",
        "title": "fnkit graph manifest",
        "oneOf": [_of_topology(topology) for topology in SHAPES],
    }


def _of_topology(topology: str) -> dict[str, object]:
    schema = SHAPES[topology].schema()
    properties, required = schema["properties"], schema["required"]
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    properties = {"format": {"const": FORMAT}, **properties, "topology": {"const": topology}}
    required = ["format", *required] if topology == "flow" else ["format", "topology", *required]
    return {**schema, "title": f"Manifest of the {topology} topology", "properties": properties, "required": required}
