"""The graph manifest: its model, its JSON, its JSON Schema and every check."""

from __future__ import annotations

from fnkit.manifest.codec import dumps, loads
from fnkit.manifest.model import (
    FORMAT,
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
from fnkit.manifest.problem import Problem
from fnkit.manifest.problems import find_problems, resolve_function
from fnkit.manifest.schema import json_schema

__all__ = [
    "FORMAT",
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
    "find_problems",
    "json_schema",
    "loads",
    "resolve_function",
]
