"""fnkit build: write one bundle per function of a graph."""

from __future__ import annotations

from pathlib import Path

import click

from fnkit.bundle import Build, Options, build
from fnkit.bundle.platforms import NAMES
from fnkit.cli.console import Console
from fnkit.cli.options import common


@click.command("build")
@click.argument("target")
@click.option("-o", "--output", "out", default="dist", show_default=True, metavar="DIR", help="The folder to write to.")
@click.option(
    "--placement",
    type=click.Choice(["step", "declared", "fused"]),
    help="Which step runs in which function; without it, as the settings say.",
)
@click.option("--python", "python", default="", metavar="X.Y", help="The Python of the functions; default: the running one.")
@click.option(
    "--platform",
    type=click.Choice(NAMES),
    help="The machine that requirements are installed for; default: Lambda's on Linux, else this machine.",
)
@click.option("--refresh", is_flag=True, help="Resolve requirements again instead of taking what was installed before.")
@common
def command(
    console: Console, target: str, out: str, placement: str | None, python: str, platform: str | None, refresh: bool
) -> None:
    """Write one bundle (zip) per function of TARGET, graph.json and bundles.json.

    TARGET is a step file (file.py or file.py:name), a project folder, an InferenceGraph YAML or a gateway config.yaml.
    """
    options = Options(python=python, platform=platform or "", refresh=refresh)
    built = build(target, Path(out), placement=placement, options=options, report=console.say)
    show_warnings(console, built)
    show_bundles(console, built, Path(out))


def show_bundles(console: Console, built: Build, out: Path) -> None:
    """Show each bundle's size and hash."""
    rows = []
    for bundle in built.bundles:
        steps = ", ".join(bundle.function.steps) or "-"
        rows.append((bundle.function.name, steps, size(bundle.size), size(bundle.unzipped_size), bundle.sha256[:12]))
        console.event(
            event="bundle",
            function=bundle.function.name,
            kind=bundle.function.kind,
            steps=list(bundle.function.steps),
            file=str(bundle.path),
            sha256=bundle.sha256,
            size=bundle.size,
            unzipped_size=bundle.unzipped_size,
        )
    console.table(("FUNCTION", "STEPS", "ZIP", "UNZIPPED", "SHA256"), rows)
    console.event(event="built", graph=built.manifest.name, folder=str(out), placement=built.manifest.placement)
    console.say(f"{len(rows)} bundle{'s' if len(rows) != 1 else ''} of {built.manifest.name} in {out}")


def show_warnings(console: Console, built: Build) -> None:
    """Tell people what is likely to be missed."""
    for warning in built.warnings:
        console.say(f"warning: {warning}")
        console.event(event="warning", message=warning)


def size(count: int) -> str:
    """Return *count* bytes for people: "312 kB", "4.1 MB"."""
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 2**10:.0f} kB"
