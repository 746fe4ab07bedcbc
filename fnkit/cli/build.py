"""fnkit build: write one bundle per function of a graph."""

from __future__ import annotations

from pathlib import Path

import click

from fnkit.bundle import Build, Options, build
from fnkit.bundle.platforms import NAMES
from fnkit.cli.console import Console
from fnkit.cli.options import common
from fnkit.deploy.kserve import write_export
from fnkit.errors import UsageError
from fnkit.functions.services import code_services
from fnkit.manifest import Document
from fnkit.project import Loaded, load


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
    type=click.Choice(["aws", "kserve"]),
    default="aws",
    show_default=True,
    help="aws: bundles for Lambda and the emulator; kserve: documents for a cluster, and a bundle per service.",
)
@click.option(
    "--image",
    default="",
    metavar="NAME",
    help="With --target kserve: what images are called, {name} being the service; default: {name}:latest.",
)
@click.option(
    "--no-knative", is_flag=True, help="With --target kserve: a Deployment and a Service in place of a Knative Service."
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
    no_knative: bool,
    refresh: bool,
) -> None:
    """Write one bundle (zip) per function of TARGET, graph.json and bundles.json.

    TARGET is a step file (file.py or file.py:name), a project folder, an InferenceGraph YAML or a gateway config.yaml.

    --target kserve writes kserve.yaml instead, the InferenceGraph and a Service for each of its step classes, and a folder with the
    bundle of each service, to build its image of.
    """
    if kind == "kserve":
        _refuse_unfit(placement=placement, python=python, platform=platform, refresh=refresh)
        export(console, target, Path(out), image=image or "{name}:latest", knative=not no_knative)
        return
    _refuse_unfit_for_aws(image=image, no_knative=no_knative)
    options = Options(python=python, platform=platform or "", refresh=refresh)
    built = build(target, Path(out), placement=placement, options=options, report=console.say)
    show_warnings(console, built)
    show_bundles(console, built, Path(out))


def export(console: Console, target: str, out: Path, *, image: str, knative: bool) -> None:
    """Write what puts the InferenceGraph *target* on a cluster; *image* names images by `{name}`."""
    loaded = load(target)
    services = _services_of(loaded)
    if len(services) > 1 and "{name}" not in image:
        raise UsageError(
            f"{image!r} would be the image of {len(services)} services: {', '.join(services)}",
            where="--image",
            hint="write {name} where the name of the service goes: --image registry.example/{name}:1",
        )

    def named(name: str) -> str:
        return image.replace("{name}", name)

    documents, *folders = write_export(loaded, out, image=named, knative=knative, report=console.say)
    rows = []
    for folder in folders:
        console.event(event="service", service=folder.name, image=named(folder.name), folder=str(folder))
        rows.append((folder.name, named(folder.name), str(folder)))
    if rows:
        console.table(("SERVICE", "IMAGE", "BUNDLE"), rows)
    console.result(f"kubectl apply -f {documents}", event="exported", graph=loaded.manifest.name, documents=str(documents))


def _services_of(loaded: Loaded) -> tuple[str, ...]:
    spec = loaded.manifest.spec
    return tuple(code_services(spec.spec)) if isinstance(spec, Document) else ()


def _refuse_unfit(**options: object) -> None:
    for name, value in options.items():
        if value:
            hint = "leave it out: a service is one function, with the Python and the platform of the settings"
            raise UsageError("does not go with --target kserve", where=f"--{name}", hint=hint)


def _refuse_unfit_for_aws(**options: object) -> None:
    for name, value in options.items():
        if value:
            raise UsageError("goes with --target kserve only", where=f"--{name.replace('_', '-')}", hint="add --target kserve")


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
