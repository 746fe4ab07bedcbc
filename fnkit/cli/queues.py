"""`fnkit queues`: look at the queues of emulated graphs, and put dead letters back."""

from __future__ import annotations

from pathlib import Path

import click

from fnkit.cli.console import Console
from fnkit.cli.options import common
from fnkit.errors import UsageError
from fnkit.functions.queues.readers import SourceMapping
from fnkit_emulator.sources.mappings import QueueState, queue_states
from fnkit_emulator.sources.registry import FOLDER, read_registry, redrive

folder = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Where the emulator keeps queues.",
)
graph_option = click.option("--graph", default="", help="Only the queues of this graph.")


@click.group(invoke_without_command=True)
@click.pass_context
@folder
@graph_option
@common
def command(console: Console, context: click.Context, directory: Path, graph: str) -> None:
    """List the queues of emulated graphs: what waits, what is in flight, what is dead, and the age of the oldest message."""
    if context.invoked_subcommand is not None:
        return
    rows = []
    for name, mappings in _graphs(directory, graph).items():
        for state in queue_states(mappings, directory / name):
            console.event(event="queue", graph=name, **_facts(state))
            rows.append(_row(name, state))
    console.table(("GRAPH", "QUEUE", "KIND", "READ BY", "WAITING", "IN FLIGHT", "DEAD", "OLDEST"), rows)


@command.command("redrive")
@click.argument("queue")
@folder
@graph_option
@common
def redrive_command(console: Console, queue: str, directory: Path, graph: str) -> None:
    """Put the dead letters of QUEUE back into it, to be tried again."""
    name, mapping = _find(directory, graph, queue)
    count = redrive(directory, name, mapping)
    console.result(
        f"{count} message{'' if count == 1 else 's'} back in queue '{queue}'", event="redriven", queue=queue, count=count
    )


def _graphs(directory: Path, graph: str) -> dict[str, tuple[SourceMapping, ...]]:
    found = read_registry(directory)
    if graph and graph not in found:
        raise UsageError(f"no graph '{graph}' was emulated here", where=str(directory), hint=f"there are {', '.join(found)}")
    return {graph: found[graph]} if graph else found


def _find(directory: Path, graph: str, queue: str) -> tuple[str, SourceMapping]:
    known = [(name, mapping) for name, mappings in _graphs(directory, graph).items() for mapping in mappings]
    fitting = [(name, mapping) for name, mapping in known if mapping.spec.name == queue]
    if not fitting:
        names = ", ".join(sorted({mapping.spec.name for _, mapping in known})) or "none"
        raise UsageError(f"there is no queue '{queue}'", where=str(directory), hint=f"the queues are {names}")
    if len({name for name, _ in fitting}) > 1:
        raise UsageError(
            f"more than one graph has a queue '{queue}'", hint=f"choose with --graph: {', '.join(name for name, _ in fitting)}"
        )
    return fitting[0]


def _facts(state: QueueState) -> dict[str, object]:
    depth = state.depth
    counts = (
        {"waiting": depth.waiting, "in_flight": depth.in_flight, "dead": depth.dead, "oldest_s": depth.oldest_s} if depth else {}
    )
    return {"queue": state.name, "kind": state.kind, "address": state.address, "function": state.function, **counts}


def _row(graph: str, state: QueueState) -> tuple[str, ...]:
    depth = state.depth
    if state.kind != "local":  # what waits there is the broker's to tell
        return (graph, state.name, state.kind, state.function or "-", "-", "-", str(depth.dead if depth else 0), "-")
    assert depth is not None
    counts = (str(depth.waiting), str(depth.in_flight), str(depth.dead), f"{depth.oldest_s:.0f} s" if depth.waiting else "-")
    return (graph, state.name, state.kind, state.function or "-", *counts)
