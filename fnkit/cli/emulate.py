"""`fnkit emulate`: run a graph on this machine from its bundles."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from fnkit import bundle
from fnkit.bundle.platforms import Platform
from fnkit.cli.console import Console
from fnkit.cli.options import common
from fnkit.errors import EmulatorError, UsageError
from fnkit.project import Settings, load, read_settings

if TYPE_CHECKING:
    from fnkit_emulator import Happening, Options

_PREFIX = "fnkit-emulate-build-"
_DAY_S = 24 * 60 * 60
_PACKAGES = {"gunicorn", "uvicorn", "uvicorn_worker", "httptools"}


@click.command("emulate")
@click.argument("target")
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port to listen on; 0: any free one."
)
@click.option(
    "--placement",
    type=click.Choice(["step", "declared", "fused"]),
    help="Which step runs in which function, instead of the settings'.",
)
@click.option(
    "--runtime",
    type=click.Choice(["own", "managed"]),
    default="own",
    show_default=True,
    help="What runs inside an environment: fnkit's own loop, or the real awslambdaric.",
)
@click.option("--no-fork", is_flag=True, help="Start each environment as a fresh interpreter instead of forking a prepared one.")
@click.option(
    "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Variable for every function; without a value: this shell's."
)
@click.option(
    "--aws-credentials/--no-aws-credentials",
    default=None,
    help="Give the functions this shell's AWS credentials, or made-up ones.  [default: if a queue of the graph is on AWS]",
)
@click.option(
    "--max-environments",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Most environments of a function without its own limit.",
)
@click.option(
    "--idle", type=click.FloatRange(0.1), default=600.0, show_default=True, help="Seconds after which an idle environment ends."
)
@click.option(
    "--drain",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="Seconds that requests may take to finish at the end.",
)
@click.option(
    "--queue-dir",
    type=click.Path(file_okay=False),
    default=".fnkit/queues",
    show_default=True,
    help="Where queues, dead letters and asynchronous events are kept; they outlive the emulator.",
)
@click.option("--exit-with-stdin", is_flag=True, help="End when standard input ends, so that nothing outlives a parent process.")
@common
def command(
    console: Console,
    target: str,
    host: str,
    port: int,
    placement: str | None,
    runtime: str,
    no_fork: bool,
    env: tuple[str, ...],
    aws_credentials: bool | None,
    max_environments: int,
    idle: float,
    drain: float,
    queue_dir: str,
    exit_with_stdin: bool,
) -> None:
    """Build TARGET and run it on this machine: function URLs with streaming, and the Lambda API.

    TARGET is a Python file, a project folder, a graph's YAML, or a folder that `fnkit build` wrote. Ctrl-C lets requests in flight
    finish; a second one does not.

    With --json the first line is {"event": "ready", "url": ..., "functions": {NAME: URL}}; then a line per log line and invocation.

    Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 it could not start (the port is in use), 2 wrong use or a refused graph.
    """
    emulator = _emulator()
    options = emulator.Options(
        host=host,
        port=port,
        runtime=cast(Any, runtime),  # click has checked the choice
        fork=not no_fork,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        environment=read_variables(env, os.environ),
        aws_credentials=aws_credentials,
        max_environments=max_environments,
        idle_s=idle,
        drain_s=drain,
        queue_dir=queue_dir,
        exit_with_stdin=exit_with_stdin,
        verbose=console.verbosity > 1,
    )
    run(console, target, placement, options, emulator)


def run(console: Console, target: str, placement: str | None, options: Options, emulator: Any) -> None:
    """Build *target* into a folder for the time being, and serve it."""
    remove_leftovers(Path(tempfile.gettempdir()), time.time())
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        source = target if bundle.is_build_folder(Path(target)) else load(target)
        built = bundle.build(source, Path(folder), placement=placement, report=console.detail)
        options = with_settings(options, read_settings(Path.cwd(), os.environ) if isinstance(source, str) else source.settings)
        for warning in (*built.warnings, *warnings_of_platform(built.platform)):
            console.say(f"warning: {warning}")

        def tell(happening: Happening) -> None:
            event = happening.as_event()
            if console.verbosity < 0 and event["event"] not in ("ready", "failure"):
                return
            console.result(emulator.as_text(happening), **event)

        emulator.serve(built, options, tell)


def warnings_of_platform(name: str) -> tuple[str, ...]:
    """Return what to say where bundles were made for the platform *name*, and this machine has another processor."""
    if not name or not Platform(name).is_foreign:
        return ()
    return (
        f"these bundles are for {name}: compiled packages in them cannot be loaded here; build without --platform to emulate",
    )


def with_settings(options: Options, settings: Settings) -> Options:
    """Return *options* with what the project says of asynchronous events; what it does not say stays as on Lambda."""
    age = options.async_max_age_s if settings.async_max_age_s is None else settings.async_max_age_s
    return replace(options, async_retries=settings.async_retries, async_max_age_s=age)


def remove_leftovers(folder: Path, now: float) -> None:
    """Remove from *folder* what emulators that were killed have built there more than a day before *now* (seconds since the epoch)."""
    for left in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if left.stat().st_mtime < now - _DAY_S:
                shutil.rmtree(left, ignore_errors=True)


def read_variables(given: tuple[str, ...], shell: Any) -> dict[str, str]:
    """Return the variables that *given* ("NAME=VALUE", or "NAME" for the value in *shell*) name; UsageError lists the faults."""
    variables, unknown = {}, []
    for one in given:
        name, equals, value = one.partition("=")
        if equals and name:
            variables[name] = value
        elif name in shell:
            variables[name] = shell[name]
        else:
            unknown.append(name or one)
    if unknown:
        raise UsageError(
            f"no value for {', '.join(unknown)}", where="--env", hint="set it in this shell, or give a value: --env NAME=VALUE"
        )
    return variables


def _emulator() -> Any:
    """Import the emulator, which needs the packages of the `emulator` extra."""
    if not hasattr(os, "fork"):
        raise EmulatorError(f"the emulator does not run on {sys.platform}", hint="use Linux, macOS or WSL")
    try:
        import_module("fnkit_emulator.server")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise EmulatorError(f"the emulator needs {error.name}", hint="pip install 'fnkit[emulator]'") from error
    return import_module("fnkit_emulator")
