"""Senders: put messages into the queue that a spec names, and return only when the queue has accepted them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib import import_module

from fnkit.errors import FnkitError
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit.manifest.model import Flow, Manifest
from fnkit.records import Protocol

# kind -> the module that exports `open_sender`; imported only when a graph has such a queue
_MODULES = {
    "local": "fnkit.functions.queues.local_sender",
    "dummy": "fnkit.functions.queues.memory",
    "kafka": "fnkit.functions.queues.kafka",
    "sqs": "fnkit.functions.queues.sqs",
    "kinesis": "fnkit.functions.queues.kinesis",
    "v3io": "fnkit.functions.queues.v3io",
}
_NEEDS = {"kafka": "confluent-kafka", "v3io": "v3io"}


class Sender(Protocol):
    """One queue, to be written to. Blocking; safe to use from one thread at a time. *slow*: a send waits for the network."""

    slow: bool

    def send(self, messages: Sequence[Message]) -> None:
        """Return once the queue has accepted all *messages*; `QueueError` if it did not take every one of them."""

    def close(self) -> None:
        """Let go of connections and files."""


class MissingClientError(FnkitError):
    """The package that speaks a queue's protocol is not installed."""


def open_sender(spec: QueueSpec, environ: Mapping[str, str] = os.environ) -> Sender:
    """Open the queue of *spec* for writing.

    *environ* tells where a local queue really is: `FNKIT_QUEUE_URLS` (JSON, name to SQS URL) on AWS, otherwise the folder
    `FNKIT_QUEUE_DIR`. Raises `MissingClientError` when the client package is not there.
    """
    kind = "sqs" if spec.kind == "local" and spec.address in queue_urls(environ) else spec.kind
    try:
        module = import_module(_MODULES[kind])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("fnkit"):
            raise
        package = _NEEDS.get(kind, error.name)
        raise MissingClientError(
            f"queue '{spec.name}' needs the package {package}", hint=f"add {package} to the requirements of the function"
        ) from error
    sender: Sender = module.open_sender(spec, environ)
    return sender


def queue_clients(manifest: Manifest, function: str) -> tuple[str, ...]:
    """Return the packages, as requirement lines, that *function* of a placed *manifest* needs for the queues it writes to."""
    steps = manifest.spec.steps if isinstance(manifest.spec, Flow) else ()
    mine = [step for step in steps if step.kind == "queue" and step.function in (function, "*")]
    specs = [read_spec(step.name, step.args)[0] for step in mine]
    return tuple(sorted({_NEEDS[spec.kind] for spec in specs if spec is not None and spec.kind in _NEEDS}))


def queue_urls(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the SQS URLs by which the deployer replaced local queues: queue name to URL."""
    urls: Mapping[str, str] = json.loads(environ.get("FNKIT_QUEUE_URLS") or "{}")
    return urls
