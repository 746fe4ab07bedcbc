"""How full the queues of emulated graphs are: a local one by its file, the others by what their service tells."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from fnkit.errors import FnkitError
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.readers import SourceMapping

Ask = Callable[[SourceMapping, Path, Mapping[str, str]], "Counts"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages that wait, that are on loan and that are dead, and the age of the oldest waiting one in seconds.

    None where nobody can tell; *trouble* says why a service could not be asked.
    """

    waiting: int | None = None
    in_flight: int | None = None
    dead: int | None = None
    oldest_s: float | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue as people see it."""

    name: str
    kind: str
    address: str
    function: str
    counts: Counts


def queue_states(
    mappings: Iterable[SourceMapping], folder: Path, *, environ: Mapping[str, str] = os.environ
) -> tuple[QueueState, ...]:
    """Return the state of each queue. *folder* has the local ones, and the dead letters of topics and streams; *environ* says how
    the services of the others are reached."""
    return tuple(
        QueueState(one.spec.name, one.spec.kind, one.spec.address, one.function, _counts(one, folder, environ))
        for one in mappings
    )


def _counts(mapping: SourceMapping, folder: Path, environ: Mapping[str, str]) -> Counts:
    spec = mapping.spec
    if spec.kind == "local":
        return _local(folder, mapping)
    if spec.kind not in _SERVICES:
        return Counts()
    try:
        ask: Ask = import_module(_SERVICES[spec.kind]).ask
        counts = ask(mapping, folder, environ)
    except ModuleNotFoundError as error:
        counts = Counts(trouble=f"the package {error.name} is not installed")
    except FnkitError as error:
        counts = Counts(trouble=error.message)
    return counts if spec.kind == "sqs" else replace(counts, dead=_buried(folder, mapping))


_SERVICES = {
    "kafka": "fnkit_emulator.sources.ask_kafka",
    "sqs": "fnkit_emulator.sources.ask_sqs",
    "kinesis": "fnkit_emulator.sources.ask_kinesis",
}


def _local(folder: Path, mapping: SourceMapping) -> Counts:
    if not (folder / f"{mapping.spec.address}.db").exists():
        return Counts(0, 0, 0)
    queue = LocalQueue(folder, mapping.spec.address, retention=mapping.spec.retention)
    try:
        depth = queue.depth()
    finally:
        queue.close()
    return Counts(depth.waiting, depth.in_flight, depth.dead, depth.oldest_s if depth.waiting else None)


def _buried(folder: Path, mapping: SourceMapping) -> int:
    """Return how many records of a topic or a stream are dead letters; they are kept on this machine."""
    name = f"{mapping.spec.name}.dead"
    if not (folder / f"{name}.db").exists():
        return 0
    queue = LocalQueue(folder, name, retention=mapping.spec.retention)
    try:
        return queue.depth().dead
    finally:
        queue.close()
