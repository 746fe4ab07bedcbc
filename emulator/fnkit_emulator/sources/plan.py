"""Which queues a graph reads and writes, decided before anything is started, and the folder where they are kept."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from fnkit.errors import EmulatorError, UsageError
from fnkit.functions.queues.readers import SourceMapping, find_mappings
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit.manifest import Flow, Manifest
from fnkit_emulator.sources.mappings import check_readable

FOLDER = ".fnkit/queues"
_LOCK = "emulator.lock"
_HANDOVER_S = 5.0  # how long the processes of an emulator that was killed may take to go


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """The queues of *graph*: what is read, the *arguments* of the queue steps by name, and what is written and read by nobody.

    *base* holds a folder for each graph, which is what *graph* is the name of; *specs* are all its queues; *remarks* are for people, at
    the start.
    """

    graph: str
    base: Path
    mappings: tuple[SourceMapping, ...] = ()
    arguments: Mapping[str, dict[str, object]] = field(default_factory=dict)
    unread: tuple[QueueSpec, ...] = ()
    specs: tuple[QueueSpec, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def has_queues(self) -> bool:
        """Tell whether the graph has any queue."""
        return bool(self.arguments)


def plan_sources(manifest: Manifest, base: Path) -> SourcePlan:
    """Return what *manifest* reads and writes. `UsageError` with every queue that cannot be read."""
    mappings = find_mappings(manifest)
    check_readable(mappings, installed=lambda package: find_spec(package) is not None)
    steps = manifest.spec.steps if isinstance(manifest.spec, Flow) else ()
    queues = [step for step in steps if step.kind == "queue"]
    read = {mapping.spec.name for mapping in mappings}
    specs = tuple(spec for step in queues if (spec := read_spec(step.name, step.args)[0]) is not None)
    unread = tuple(spec for spec in specs if spec.kind == "local" and spec.name not in read)
    arguments = {step.name: dict(step.args) for step in queues}
    return SourcePlan(folder_name(manifest.name), base, mappings, arguments, unread, specs)


def folder_name(graph: str) -> str:
    """Return the name of the folder that the queues of *graph* are in: one folder, and not hidden, whatever the graph is called."""
    return re.sub(r"[/\0%]|^\.", lambda found: f"%{ord(found[0]):02X}", graph)


def places(plan: SourcePlan) -> dict[str, str]:
    """Return the variables that tell the functions of *plan* where local queues are, and where payloads go that are too large to send."""
    folder = plan.base / plan.graph
    queues = {"FNKIT_QUEUE_DIR": str(folder)} if plan.has_queues else {}
    return {**queues, "FNKIT_OBJECT_DIR": str(folder / "objects")}


class Claim:
    """The folder of a graph's queues, for one emulator alone as long as this lives.

    Two emulators over one folder would take each other's messages, so the second is refused.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock

    def release(self) -> None:
        """Let others have the folder."""
        os.close(self._lock)


def claim(plan: SourcePlan, *, clock: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep) -> Claim:
    """Claim the folder of *plan*.

    An emulator of the same graph that was killed may still be on its way out, so this waits a moment. Where another one lives on, a graph
    with queues is refused (`UsageError`), and a graph without, which keeps only asynchronous events, gets a folder of its own.
    """
    until = clock() + (_HANDOVER_S if plan.has_queues else 0.0)
    while (claimed := _try_claim(plan.base / plan.graph)) is None and clock() < until:
        pause(0.05)
    if claimed is None and plan.has_queues:
        raise UsageError(
            f"another emulator reads the queues of graph '{plan.graph}'",
            where=str(plan.base / plan.graph),
            hint="stop it, or give this one other queues with --queue-dir",
        )
    number = 2
    while claimed is None:
        claimed = _try_claim(plan.base / f"{plan.graph}.{number}")
        number += 1
    return claimed


def _try_claim(folder: Path) -> Claim | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmulatorError(
            f"the folder for queues cannot be used: {error}", where=str(folder), hint="choose another with --queue-dir"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise EmulatorError(f"the folder for queues cannot be locked: {error}", where=str(folder)) from error
        return None
    return Claim(folder, lock)
