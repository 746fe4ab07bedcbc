"""Real bundles for the tests of the emulator as a process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fnkit.bundle import build
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit.project.loaded import Loaded

PROJECT = Path(__file__).parents[1] / "projects" / "emulator"


def build_graph(out: Path, step: str, *, placement: str = "fused", streaming: bool = True, **function: Any) -> Path:
    """Build the graph of the one *step* (a class of the project's steps.py) into *out*; *function* are fields of the entry function."""
    entry = replace(Function(name="graph", kind="entry", module="steps", timeout_s=20), **function)
    flow = Flow(steps=(Step(name="step", target=f"steps:{step}", responder=True),))
    manifest = Manifest(name="graph", spec=flow, functions=(entry,), streaming=streaming)
    build(Loaded(manifest, PROJECT), out, placement=placement)
    return out
