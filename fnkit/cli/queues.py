"""`fnkit queues`: look at the queues of emulated graphs, and put dead letters back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from fnkit.cli.console import Console
from fnkit.cli.options import common
from fnkit.errors import UsageError
from fnkit.functions.queues.readers import SourceMapping
from fnkit_emulator.sources.registry import FOLDER, buried, read_registry, redrive
from fnkit_emulator.sources.states import QueueState, queue_states

_WIDTH = 60
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
    """List the queues of emulated graphs: what waits, what is in flight, what is dead, and the age of the oldest message.

    Kafka, SQS and Kinesis are asked, with the variables of this shell; "-" is what they do not tell.
    """
    if context.invoked_subcommand is not None:
        return
    rows = []
    for name, mappings in _graphs(directory, graph).items():
        for state in queue_states(mappings, directory / name):
            console.event(event="queue", graph=name, **_facts(state))
            rows.append(_row(name, state))
            if state.counts.trouble:
                console.say(f"queue '{state.name}' could not be asked: {state.counts.trouble}")
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


@command.command("dead")
@click.argument("queue")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Show so many at most.")
@folder
@graph_option
@common
def dead_command(console: Console, queue: str, limit: int, directory: Path, graph: str) -> None:
    """Show the dead letters of QUEUE, the oldest first: what they hold and why they were given up."""
    name, mapping = _find(directory, graph, queue)
    rows = []
    for letter, reason in buried(directory, name, mapping, limit):
        message, body = letter.message, letter.message.body.decode("utf-8", "replace")
        sent = datetime.fromtimestamp(letter.sent_at, UTC).isoformat(timespec="seconds")
        console.event(
            event="dead",
            queue=queue,
            id=message.id,
            key=message.key,
            receives=letter.receives,
            sent=sent,
            reason=reason,
            body=body,
        )
        rows.append((message.id, message.key or "-", str(letter.receives or "-"), sent, _short(reason), _short(body)))
    console.table(("ID", "KEY", "RECEIVES", "SENT", "REASON", "BODY"), rows)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."


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
    known = {name: value for name in _COUNTED if (value := getattr(state.counts, name)) not in (None, "")}
    return {"queue": state.name, "kind": state.kind, "address": state.address, "function": state.function, **known}


_COUNTED = ("waiting", "in_flight", "dead", "oldest_s", "trouble")


def _row(graph: str, state: QueueState) -> tuple[str, ...]:
    counts = state.counts
    numbers = ("-" if number is None else str(number) for number in (counts.waiting, counts.in_flight, counts.dead))
    oldest = "-" if counts.oldest_s is None else f"{counts.oldest_s:.0f} s"
    return (graph, state.name, state.kind, state.function or "-", *numbers, oldest)
