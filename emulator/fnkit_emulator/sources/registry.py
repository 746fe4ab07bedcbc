"""What lies in the folder of an emulated graph's queues, for those who look at it from outside.

DIR/GRAPH/queues.json      which queues the graph has, and which function reads each
DIR/GRAPH/NAME.db          a local queue; NAME.dead.db keeps dead letters of a topic or stream
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from fnkit.errors import UsageError
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message, Received
from fnkit.functions.queues.readers import SourceMapping
from fnkit.functions.queues.senders import open_sender
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit_emulator.sources.asynchronous import queue_of
from fnkit_emulator.sources.mappings import dead_letters
from fnkit_emulator.sources.plan import FOLDER

__all__ = ["FOLDER", "buried", "read_registry", "redrive", "write_registry"]
_FILE = "queues.json"


def write_registry(
    folder: Path,
    mappings: Iterable[SourceMapping],
    arguments: Mapping[str, Mapping[str, object]],
    asynchronous: Iterable[str] = (),
) -> None:
    """Note in *folder* which queues there are; *arguments* are those of the queue steps, by name.

    *asynchronous* are the functions that have been invoked asynchronously: their events wait in a queue too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, object]] = [
        {"name": one.spec.name, "function": one.function, "args": dict(arguments[one.spec.name])} for one in mappings
    ]
    entries += [{"function": function, "asynchronous": True} for function in asynchronous]
    fresh = folder / f"{_FILE}.new"
    fresh.write_text(json.dumps(entries, indent=2))
    os.replace(fresh, folder / _FILE)


def read_registry(base: Path) -> dict[str, tuple[SourceMapping, ...]]:
    """Return the queues of every graph that was emulated with the folder *base*, by the graph's name.

    `UsageError` when nothing was emulated there, or a note cannot be read.
    """
    found = {file.parent.name: _read(file) for file in sorted(base.glob(f"*/{_FILE}"))}
    if not found:
        raise UsageError(
            f"no queues in {base}", hint="run fnkit emulate on a graph that has queues, or name its folder with --dir"
        )
    return found


def buried(base: Path, graph: str, mapping: SourceMapping, limit: int) -> tuple[tuple[Received, str], ...]:
    """Return up to *limit* dead letters of a queue, oldest first, each with the reason of its death. `UsageError` for one on SQS."""
    spec, folder = mapping.spec, base / graph
    if spec.kind == "sqs":
        raise UsageError(
            f"the dead letters of '{spec.name}' lie on SQS, where its redrive policy says",
            hint="look there; `fnkit queues redrive` puts them back",
        )
    name = spec.address if spec.kind == "local" else f"{spec.name}.dead"
    if not (folder / f"{name}.db").exists():
        return ()
    queue = LocalQueue(folder, name, retention=spec.retention)
    try:
        return queue.dead_letters(limit)
    finally:
        queue.close()


def redrive(base: Path, graph: str, mapping: SourceMapping) -> int:
    """Put the dead letters of a queue back where they came from; returns how many there were.

    A message leaves the dead letters only after its topic or stream has accepted it. `QueueError` when that fails. Those of an SQS queue
    lie where its redrive policy says.
    """
    spec, folder = mapping.spec, base / graph
    if spec.kind == "sqs":
        moved: int = import_module("fnkit_emulator.sources.ask_sqs").redrive(mapping, os.environ)
        return moved
    if spec.kind == "local":
        queue = LocalQueue(folder, spec.address, retention=spec.retention)
        try:
            return queue.redrive()
        finally:
            queue.close()
    queue = dead_letters(spec, folder)
    sender = open_sender(spec)
    count = 0
    try:
        while letters := queue.dead_letters(100):
            sender.send([_original(letter.message) for letter, _ in letters])
            count += queue.forget_dead(len(letters))
    finally:
        sender.close()
        queue.close()
    return count


def _original(message: Message) -> Message:
    headers = {name: value for name, value in message.headers.items() if name != "fnkit-origin"}
    return Message(message.body, message.key, headers, message.id)


def _read(file: Path) -> tuple[SourceMapping, ...]:
    try:
        entries = json.loads(file.read_text())
        specs = [(_spec(entry), str(entry["function"])) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"the note of the queues cannot be read: {error}", where=str(file), hint="emulate the graph again"
        ) from error
    return tuple(SourceMapping(spec, function) for spec, function in specs if spec is not None)


def _spec(entry: Mapping[str, Any]) -> QueueSpec | None:
    if entry.get("asynchronous"):
        return queue_of(str(entry["function"]))
    return read_spec(str(entry["name"]), entry["args"])[0]
