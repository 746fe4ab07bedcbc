"""What a project says about itself: `[tool.fnkit]` of its pyproject.toml, then `FNKIT_*` of the environment, then defaults."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import cast

from fnkit.errors import UsageError
from fnkit.manifest.shape import Field, Flag, Listing, Record, Text, TextMap, Whole


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one project.

    *target*: where `fn.deploy()` goes. *graph*: the project's step file, `"file.py[:name]"`. *placement*: which steps share a
    function. *python*: the runtime's version, `""` for that of the running interpreter. *platform*: the
    machine that requirements are installed for, `""` for Lambda's on Linux, else this machine. *include*: further files of
    the bundle, globs relative to the root. *requirements*: pip requirement lines of every function. *services*: URL or class of each
    service name of an InferenceGraph. *role*, *bucket*: ARN of the role and name of the bucket to deploy with, `""`: make our own.
    *async_retries*, *async_max_age_s*, *async_failures*: how Lambda treats asynchronous events of the graph, and where those go that it
    gives up: `"queue"` for a queue of the deployment, or an ARN. None and `""`: as Lambda does.
    """

    target: str = "local"
    graph: str = ""
    placement: str = "step"
    stage: str = "dev"
    region: str = ""
    python: str = ""
    platform: str = ""
    include: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    memory_mb: int = 512
    timeout_s: int = 60
    concurrency: int = 1
    max_environments: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    public: bool = False
    role: str = ""
    bucket: str = ""
    async_retries: int | None = None
    async_max_age_s: int | None = None
    async_failures: str = ""


_TEXTS = Listing(Text(filled=True))

SHAPE = Record(
    "Settings",
    Settings,
    {
        "target": Field(Text(choices=("local", "aws")), "local"),
        "graph": Field(Text(), ""),
        "placement": Field(Text(choices=("step", "declared", "fused")), "step"),
        "stage": Field(Text(filled=True), "dev"),
        "region": Field(Text(), ""),
        "python": Field(Text(choices=("", "3.11", "3.12", "3.13", "3.14")), ""),
        "platform": Field(Text(choices=("", "linux-x86_64", "linux-arm64", "host")), ""),
        "include": Field(_TEXTS, ()),
        "requirements": Field(_TEXTS, ()),
        "memory_mb": Field(Whole(least=128), 512),
        "timeout_s": Field(Whole(least=1), 60),
        "concurrency": Field(Whole(least=1), 1),
        "max_environments": Field(Whole(least=1, optional=True), None),
        "environment": Field(TextMap(), {}),
        "services": Field(TextMap(), {}),
        "public": Field(Flag(), False),
        "role": Field(Text(), ""),
        "bucket": Field(Text(), ""),
        "async_retries": Field(Whole(optional=True), None),
        "async_max_age_s": Field(Whole(least=60, optional=True), None),
        "async_failures": Field(Text(), ""),
    },
)

# What the environment may say; a list is separated by commas.
_FROM_ENVIRONMENT = (
    "target",
    "graph",
    "placement",
    "stage",
    "region",
    "python",
    "platform",
    "memory_mb",
    "timeout_s",
    "concurrency",
    "include",
)
_WHOLE = ("memory_mb", "timeout_s", "concurrency")


def find_project(folder: Path) -> Path | None:
    """Return the nearest pyproject.toml at or above *folder* that has a `[tool.fnkit]`, else the nearest one, else None."""
    found = [place / "pyproject.toml" for place in (folder, *folder.parents) if (place / "pyproject.toml").is_file()]
    with_table = [path for path in found if _table_of(path) is not None]
    return next(iter(with_table or found), None)


def read_settings(folder: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings that hold for the files of *folder*; UsageError lists every key and value that is refused."""
    path = find_project(folder.resolve())
    table = _table_of(path) if path else None
    faults: list[str] = []
    values: dict[str, object] = {key.replace("-", "_"): value for key, value in (table or {}).items()}
    settings = SHAPE.read(values, "tool.fnkit", faults)
    where = str(path) if path else ""
    if faults:
        raise UsageError("settings refused:" + "".join(f"\n  - {fault}" for fault in faults), where=where)
    said = _said_by(environ)
    settings = SHAPE.read({**_as_json(cast("Settings", settings)), **said}, "environment", faults)
    if faults:
        lines = "".join(f"\n  - {_of_variable(fault)}" for fault in faults)
        raise UsageError("settings of the environment refused:" + lines)
    return cast("Settings", settings)


def _of_variable(fault: str) -> str:
    """Return a fault of `environment.KEY` as one of the variable that says KEY."""
    return re.sub(r"^environment\.(\w+)", lambda match: f"FNKIT_{match[1].upper()}", fault)


def _table_of(path: Path) -> dict[str, object] | None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not valid TOML: {error}", where=str(path)) from error
    tool = document.get("tool", {})
    table = tool.get("fnkit") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


def _said_by(environ: Mapping[str, str]) -> dict[str, object]:
    said: dict[str, object] = {}
    for key in _FROM_ENVIRONMENT:
        text = environ.get(f"FNKIT_{key.upper()}", "")
        if not text:
            continue
        if key in _WHOLE:
            said[key] = int(text) if text.isdecimal() else text
        elif key == "include":
            said[key] = [part.strip() for part in text.split(",") if part.strip()]
        else:
            said[key] = text
    return said


def _as_json(settings: Settings) -> dict[str, object]:
    values = {item.name: getattr(settings, item.name) for item in fields(settings)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
