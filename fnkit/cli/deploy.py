"""fnkit deploy: put the bundles of a graph on AWS Lambda."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, get_args

import click
from click.core import ParameterSource

from fnkit.bundle import Build, Options
from fnkit.cli.boto import import_boto3
from fnkit.cli.build import show_exported, show_warnings, size
from fnkit.cli.console import Console
from fnkit.cli.emulate import command as emulate
from fnkit.cli.options import common
from fnkit.deploy import Cloud, Deployed, Prepared, Reports, Wishes, carry_out, find_warnings, prepare
from fnkit.deploy.actions import Action
from fnkit.deploy.choices import Choices, build_for_cloud, choose
from fnkit.deploy.cloudformation import write_stack
from fnkit.deploy.wanted import StreamRuntime
from fnkit.errors import UsageError
from fnkit.project import Settings

_LONG_UPLOAD = 2**20
_EVERYWHERE = {"target", "place", "placement", "yes", "as_json", "quiet", "verbose"}


class _Connect(Protocol):
    def __call__(self, *, region: str, endpoint_url: str) -> Cloud: ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """The command line: `""` and None mean as the settings say."""

    target: str
    choices: Choices
    region: str
    endpoint_url: str
    placement: str | None
    dry_run: bool
    yes: bool
    template: str


@click.command("deploy")
@click.argument("target")
@click.option(
    "--target",
    "place",
    type=click.Choice(["aws", "local"]),
    default="aws",
    show_default=True,
    help="Where to: AWS Lambda, or an emulator on a free port of this machine that lives as long as the command.",
)
@click.option("--stage", default="", help="The stage: graphs of different stages stand beside each other. Default: dev.")
@click.option("--region", default="", help="The AWS region; default: the settings, then AWS's own.")
@click.option("--endpoint-url", default="", metavar="URL", help="Talk to this instead of AWS.")
@click.option("--placement", type=click.Choice(["step", "declared", "fused"]), help="Which step runs in which function.")
@click.option("--public/--private", default=None, help="Let everyone call the URL; without it, calls must be signed.")
@click.option(
    "--stream-runtime",
    type=click.Choice(get_args(StreamRuntime)),
    default="patch",
    show_default=True,
    help="How functions stream: inside the managed runtime, by fnkit's own loop, or not at all.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option(
    "--template",
    default="",
    metavar="FILE",
    help="Ask nothing of AWS: write a CloudFormation template, and the bundles to a folder code beside it.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the plan is carried out.")
@common
def command(
    console: Console,
    target: str,
    place: str,
    stage: str,
    region: str,
    endpoint_url: str,
    placement: str | None,
    public: bool | None,
    stream_runtime: str,
    dry_run: bool,
    template: str,
    yes: bool,
) -> None:
    """Deploy TARGET: a step file, a project folder, a graph's YAML, or a folder that fnkit build wrote.

    Shows what will change, then changes it; a second run finds nothing to do. The switch to the new version is the last step.
    """
    if place == "local":
        _emulate(console, click.get_current_context())
        return
    runtime = cast(StreamRuntime, stream_runtime)  # click has checked it
    chosen = Chosen(target, Choices(stage, public, runtime), region, endpoint_url, placement, dry_run, yes, template)
    _refuse_with_template(chosen)
    with tempfile.TemporaryDirectory(prefix="fnkit-deploy-") as folder:
        built, settings = _build(chosen, Path(folder), console)
        if chosen.template:
            _write_template(chosen, built, settings, console)
        else:
            _deploy(chosen, built, settings, console)


def _emulate(console: Console, context: click.Context) -> None:
    """Run the emulator, with what it understands of the command line; UsageError for what only AWS knows."""
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    foreign = [f"--{name.replace('_', '-')}" for name in sorted(given - _EVERYWHERE)]
    if foreign:
        hint = "leave it out, or see `fnkit emulate --help` for what the emulator can be told"
        raise UsageError(f"means nothing with --target local: {', '.join(foreign)}", where="fnkit deploy", hint=hint)
    output = {"as_json": console.as_json, "quiet": console.verbosity < 0, "verbose": max(console.verbosity, 0)}
    context.invoke(emulate, target=context.params["target"], placement=context.params["placement"], port=0, **output)


def _refuse_with_template(chosen: Chosen) -> None:
    given = (("--dry-run", chosen.dry_run), ("--endpoint-url", bool(chosen.endpoint_url)))
    for option, is_given in given:
        if chosen.template and is_given:
            raise UsageError("does not go with --template", where=option, hint="leave it out: AWS is not asked anything")


def _write_template(chosen: Chosen, built: Build, settings: Settings, console: Console) -> None:
    template = Path(chosen.template)
    template.parent.mkdir(parents=True, exist_ok=True)
    wishes = choose(chosen.choices, settings, built.manifest, os.environ)
    show_exported(console, write_stack(built, wishes, template, region=chosen.region or settings.region, report=console.say))


def _build(chosen: Chosen, folder: Path, console: Console) -> tuple[Build, Settings]:
    options = Options(placement=chosen.placement or "")
    built, settings = build_for_cloud(chosen.target, folder, options=options, environ=os.environ, report=console.say)
    if not chosen.template:
        show_warnings(console, built)
    return built, settings


def _deploy(chosen: Chosen, built: Build, settings: Settings, console: Console) -> None:
    for warning in find_warnings(built):
        console.say(f"warning: {warning}")
    connect: _Connect = import_boto3("fnkit.deploy.aws").Aws.connect
    cloud = connect(region=chosen.region or settings.region, endpoint_url=chosen.endpoint_url)
    wishes = choose(chosen.choices, settings, built.manifest, os.environ)
    prepared = prepare(built, cloud, wishes)
    show_plan(console, prepared)
    if chosen.dry_run:
        return
    if prepared.plan.actions and not chosen.yes and not console.as_json and sys.stdin.isatty():
        click.confirm("Carry out this plan?", abort=True, err=True)
    show_deployed(console, carry_out(prepared, cloud, reports(console)), wishes)


def show_plan(console: Console, prepared: Prepared) -> None:
    """Show what will be done."""
    lines = prepared.plan.lines()
    wanted = prepared.wanted
    if not lines:
        console.result(f"{wanted.graph} is deployed on stage {wanted.stage} as it is: nothing to do", event="plan", actions=[])
        return
    text = "\n".join(f"  {number:2}. {line}" for number, line in enumerate(lines, 1))
    head = f"{wanted.graph} on stage {wanted.stage}: {len(lines)} change{'s' if len(lines) != 1 else ''}"
    console.result(f"{head}\n{text}", event="plan", actions=list(lines))


def reports(console: Console) -> Reports:
    """Tell of each action as it starts, and of each fifth of a long upload."""
    shown: dict[str, int] = {}

    def doing(action: Action) -> None:
        console.say(action.describe())
        console.event(event="action", kind=type(action).__name__, text=action.describe())

    def progress(name: str, sent: int, total: int) -> None:
        fifth = sent * 5 // (total or 1)
        if total >= _LONG_UPLOAD and shown.get(name, 0) < fifth:
            shown[name] = fifth
            console.say(f"  {name}: {size(sent)} of {size(total)} sent")
            console.event(event="upload", name=name, sent=sent, total=total)

    return Reports(doing, progress)


def show_deployed(console: Console, deployed: Deployed, wishes: Wishes) -> None:
    """Show where the graph is."""
    signed = "" if wishes.public else f"\ncalls must be signed: fnkit invoke {deployed.url} -d BODY"
    console.result(deployed.url, event="deployed", url=deployed.url, functions=deployed.functions, public=wishes.public)
    if signed:
        console.say(signed.strip())
