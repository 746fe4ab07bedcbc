"""The fnkit command: a group whose commands are imported when they are used."""

from __future__ import annotations

import sys
from importlib import import_module

import click

# name on the command line -> (module that exports `command`, the one line that `fnkit --help` shows)
COMMANDS = {
    "build": ("fnkit.cli.build", "Write one bundle (zip) per function of a graph."),
    "emulate": ("fnkit.cli.emulate", "Run a graph on this machine from its bundles."),
    "deploy": ("fnkit.cli.deploy", "Put the bundles of a graph on AWS Lambda."),
    "invoke": ("fnkit.cli.invoke", "Call a function by its name or URL."),
    "check": ("fnkit.cli.check", "Report every fault of a graph at once."),
    "plot": ("fnkit.cli.plot", "Draw a graph as SVG, PNG, Mermaid or DOT."),
    "queues": ("fnkit.cli.queues", "List the queues of emulated graphs, and put dead letters back."),
    "router": ("fnkit.cli.router", "Serve a KServe InferenceGraph as KServe's router does."),
    "condition": ("fnkit.cli.condition", "Try a GJSON condition on a JSON body."),
}

_AS_JSON = "fnkit.as_json"


class LazyGroup(click.Group):
    """A click group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_AS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            near = import_module("fnkit.manifest.spelling").closest(args[0], COMMANDS)
            if near:
                ctx.fail(f"No such command '{args[0]}'. Did you mean '{near}'?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # while a command's module is imported; inside a command `common` does the same
            sys.exit(130)
        except click.UsageError as error:
            if ctx.meta[_AS_JSON]:
                _tell_machines(error)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _tell_machines(error: click.UsageError) -> None:
    """Write the JSON line of wrong use; click tells people."""
    where = error.ctx.command_path if error.ctx else "fnkit"
    console = import_module("fnkit.cli.console").Console(as_json=True)
    console.event(event="error", type="UsageError", message=error.format_message(), where=where, hint=f"see: {where} --help")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fnkit")
def main() -> None:
    """Build streaming model-serving graphs from step classes, run them locally from their bundles, deploy those bundles.

    Exit codes: 0 it worked, 1 it failed, 2 wrong use or a refused configuration.
    """
