"""fnkit build: write one bundle per function of a graph."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import get_args

import click

from fnkit.bundle import Build, Options, build
from fnkit.bundle.platforms import NAMES
from fnkit.cli.console import Console
from fnkit.cli.options import common
from fnkit.deploy.export import Exported, Order
from fnkit.deploy.exporters import EXPORTERS
from fnkit.deploy.wanted import StreamRuntime
from fnkit.errors import UsageError


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
@click.option(
    "--target",
    "kind",
    type=click.Choice(["aws", *EXPORTERS]),
    default="aws",
    show_default=True,
    help="; ".join(("aws: bundles for Lambda and the emulator", *(f"{word}: {one.says}" for word, one in EXPORTERS.items())))
    + ".",
)
@click.option(
    "--image",
    default="",
    metavar="NAME",
    help="What images are called, {name} being the service and {tag} a hash of the content; default: {name}:{tag}.",
)
@click.option("--registry", default="", metavar="HOST[/PATH]", help="Where images are pushed to; stands before their names.")
@click.option("--namespace", default="", metavar="NAME", help="The namespace of the Services; default: kubectl's.")
@click.option("--min-scale", type=click.IntRange(0), metavar="N", help="How many pods of each function are kept; default: 0.")
@click.option(
    "--no-knative", is_flag=True, help="With --target kserve: a Deployment and a Service in place of a Knative Service."
)
@click.option("--stage", default="", help="The stage that a CloudFormation stack is for; default: as the settings say.")
@click.option(
    "--public/--private", default=None, help="Let everyone call the URL of the stack; without it, calls must be signed."
)
@click.option(
    "--stream-runtime",
    type=click.Choice(get_args(StreamRuntime)),
    help="How the functions of a stack stream: as fnkit deploy --stream-runtime.",
)
@click.option("--refresh", is_flag=True, help="Resolve requirements again instead of taking what was installed before.")
@common
def command(
    console: Console,
    *,
    target: str,
    out: str,
    placement: str | None,
    python: str,
    platform: str | None,
    kind: str,
    image: str,
    registry: str,
    namespace: str,
    min_scale: int | None,
    no_knative: bool,
    stage: str,
    public: bool | None,
    stream_runtime: str | None,
    refresh: bool,
) -> None:
    """Write one bundle (zip) per function of TARGET, graph.json and bundles.json.

    TARGET is a step file (file.py or file.py:name), a project folder, or an InferenceGraph YAML.

    --target container adds a folder for each function to build its image of: the unpacked bundle, and a Dockerfile with a server
    around it; and a compose.yaml. --target knative adds a Knative Service to each. --target kserve writes kserve.yaml, the InferenceGraph
    and a Service for each of its step classes, and such a folder for each service.

    --target cloudformation adds template.yaml and the folder code, what fnkit deploy would make as a stack of AWS CloudFormation.
    """
    options = Options(placement or "", python, platform or "", refresh=refresh)
    given: dict[str, str | bool] = {
        "image": image,
        "registry": registry,
        "namespace": namespace,
        "min_scale": "" if min_scale is None else str(min_scale),
        "no_knative": no_knative,
        "stage": stage,
        "stream_runtime": stream_runtime or "",
        **({} if public is None else {"public": public}),
    }
    if kind == "aws":
        _refuse_unfit(kind, given, frozenset())
        built = build(target, Path(out), options=options, report=console.say)
        show_warnings(console, built)
        show_bundles(console, built, Path(out))
        return
    exporter = EXPORTERS[kind]
    of_build = {"placement": placement, "python": python, "platform": platform, "refresh": refresh}
    _refuse_unfit(kind, {**of_build, **given}, exporter.takes)
    show_exported(console, exporter.export(Order(target, Path(out), options, given, console.say)))


def _refuse_unfit(kind: str, given: Mapping[str, object], takes: Container[str]) -> None:
    """Refuse what was given and makes no difference to --target *kind*."""
    for name, value in given.items():
        if value and name not in takes:
            where = f"--{name.replace('_', '-')}"
            fitting = [word for word, exporter in EXPORTERS.items() if name in exporter.takes]
            if kind != "aws" or not fitting:
                raise UsageError(f"does not go with --target {kind}", where=where, hint="leave it out")
            words = " or ".join(fitting)
            raise UsageError(f"goes with --target {words} only", where=where, hint=f"add --target {fitting[0]}")


def show_exported(console: Console, exported: Exported) -> None:
    """Show what was written for another system, and what to run next."""
    for warning in exported.warnings:
        console.say(f"warning: {warning}")
        console.event(event="warning", message=warning)
    for event in exported.events:
        console.event(**event)
    if exported.rows:
        console.table(exported.heading, exported.rows)
    console.result(
        "\n".join(exported.commands), event="exported", graph=exported.graph, commands=list(exported.commands), **exported.files
    )


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
