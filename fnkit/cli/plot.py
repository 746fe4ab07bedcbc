"""`fnkit plot`: draw a graph."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from fnkit.cli.console import Console
from fnkit.cli.options import common
from fnkit.errors import UsageError
from fnkit.functions import place
from fnkit.manifest.model import Manifest, Placement
from fnkit.project import load
from fnkit.project.plot import FORMATS, RANKDIRS, plot
from fnkit.project.plot.drawing import known_format

STDOUT = "-"


@click.command("plot")
@click.argument("target")
@click.option("-o", "--output", default=STDOUT, metavar="FILE", help="Where to write; '-' is stdout (the default).")
@click.option(
    "--format", "format_name", metavar="FORMAT", help=f"{', '.join(FORMATS)}; default: what the suffix of FILE says, else svg."
)
@click.option(
    "--rankdir", type=click.Choice(RANKDIRS, case_sensitive=False), help="The direction of the arrows; default: what fits."
)
@click.option(
    "--placement",
    type=click.Choice(("step", "declared", "fused", "none")),
    help="Which steps share a function; 'none' draws the graph before its steps are placed. Default: the project's setting.",
)
@common
def command(
    console: Console, target: str, output: str, format_name: str | None, rankdir: str | None, placement: str | None
) -> None:
    """Draw the graph of TARGET: its steps, the functions around them, queues, routes, models, cycles and error handlers."""
    loaded = load(target)
    manifest = placed(loaded.manifest, placement or loaded.settings.placement)
    if output == STDOUT:
        chosen = known_format(format_name or "svg")
        if chosen == "png":
            raise UsageError("a PNG image is not written to a terminal", hint="name a file: -o graph.png")
        content = plot(manifest, rankdir=rankdir).data(chosen).decode()
        console.result(content.rstrip("\n"), event="plot", format=chosen, content=content)
        return
    path = Path(output)
    plot(manifest, filename=path, format=format_name, rankdir=rankdir)
    console.result(f"wrote {path}", event="plot", file=str(path), bytes=path.stat().st_size)


def placed(manifest: Manifest, placement: str) -> Manifest:
    """Return *manifest* with its steps placed in functions, where it has steps and is to be placed."""
    if placement == "none" or manifest.topology == "gateway":
        return manifest
    return place(manifest, cast(Placement, placement))  # click and the settings let no other word in
