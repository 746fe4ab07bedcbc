"""Between `fnkit build --target NAME` and its exporters: what is ordered, and what was written.

An exporter is a function from an `Order` to an `Exported`, in a module of its own; `fnkit.deploy.exporters` lists them. The
command knows nothing else of any of them: it hands over the options that were given, and shows what comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.bundle import Options


def _say_nothing(_text: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Order:
    """An export of *target* into the folder *out*.

    *build* says how its bundles are built. *given* holds the exporter's own options that were given, under the names of the command's
    parameters (`"no_knative"`). *report* is told what takes long.
    """

    target: str
    out: Path
    build: Options = field(default_factory=Options)
    given: Mapping[str, str | bool] = field(default_factory=dict)
    report: Callable[[str], None] = _say_nothing

    def text(self, name: str, default: str = "") -> str:
        """Return the option *name* as text."""
        return str(self.given.get(name) or default)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written of a *graph*.

    *rows* are a table for people under *heading*, *events* JSON lines for machines, each with its `event`; *files* are the documents, by
    what they are (`{"documents": "out/kserve.yaml"}`). *commands* are what to run next.
    """

    graph: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    events: tuple[Mapping[str, object], ...]
    files: Mapping[str, str]
    commands: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exporter:
    """One word after --target: *export* does it, *takes* names the options that go with it, *says* is its line of the help.

    *takes* holds the names of the command's parameters: its own options, and those of `placement`, `python`, `platform` and `refresh`
    that make a difference to it.
    """

    export: Callable[[Order], Exported]
    takes: frozenset[str]
    says: str
