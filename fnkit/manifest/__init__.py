"""The graph manifest: its model, its JSON, its JSON Schema and every check.

The checks and the schema are tools' work: a function in the cloud reads its manifest and never loads them.
"""

from __future__ import annotations

from fnkit.lean import import_module
from fnkit.manifest.codec import dumps, loads
from fnkit.manifest.model import (
    FORMAT,
    NO_CALL_OPTIONS,
    CallOptions,
    Document,
    Engine,
    Flow,
    Function,
    FunctionKind,
    Manifest,
    Placement,
    Route,
    Router,
    Step,
    StepKind,
    Topology,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.manifest.calls import find_call_warnings
    from fnkit.manifest.problem import Problem
    from fnkit.manifest.problems import find_problems
    from fnkit.manifest.reach import resolve_function
    from fnkit.manifest.schema import json_schema

__all__ = [
    "FORMAT",
    "NO_CALL_OPTIONS",
    "CallOptions",
    "Document",
    "Engine",
    "Flow",
    "Function",
    "FunctionKind",
    "Manifest",
    "Placement",
    "Problem",
    "Route",
    "Router",
    "Step",
    "StepKind",
    "Topology",
    "dumps",
    "find_call_warnings",
    "find_problems",
    "json_schema",
    "loads",
    "resolve_function",
]

_LATER = {
    "Problem": "fnkit.manifest.problem",
    "find_problems": "fnkit.manifest.problems",
    "json_schema": "fnkit.manifest.schema",
    "find_call_warnings": "fnkit.manifest.calls",
    "resolve_function": "fnkit.manifest.reach",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'fnkit.manifest' has no attribute {name!r}")
    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value
