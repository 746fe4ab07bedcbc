"""Builds that were never built: bundles of a few bytes, for what only looks at their names, sizes and hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fnkit.bundle import Build, Bundle
from fnkit.functions import place
from fnkit.manifest import Flow, Function, Manifest, Step

FLOW = Flow(
    (
        Step("greet", target="app:Greet"),
        Step("shout", target="app:Shout", after=("greet",), responder=True),
    )
)


def manifest(*, streaming: bool = False, entry: Function | None = None, name: str = "chat") -> Manifest:
    """Return the placed manifest of a graph of two classes: functions *name* (entry), greet and shout."""
    function = entry or Function(name, "entry", streaming=streaming)
    return place(Manifest(name, FLOW, functions=(function,), streaming=streaming, python="3.11"), "step")


def fake_build(folder: Path, graph: Manifest | None = None, contents: Mapping[str, bytes] | None = None) -> Build:
    """Return a build of *graph* whose bundles hold *contents* (function -> bytes), else their function's name."""
    graph = graph or manifest()
    bundles = []
    for function in graph.functions:
        data = (contents or {}).get(function.name, function.name.encode())
        path = folder / f"{function.name}.zip"
        path.write_bytes(data)
        bundles.append(Bundle(function, path, hashlib.sha256(data).hexdigest(), len(data), len(data)))
    return Build(graph, tuple(bundles))


def with_size(build: Build, function: str, size: int) -> Build:
    """Return *build* with a bundle of *function* that says it has *size* bytes."""
    bundles = tuple(replace(item, size=size) if item.function.name == function else item for item in build.bundles)
    return replace(build, bundles=bundles)
