"""Which function reads which queue of a graph, and the pollers for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from fnkit.errors import FnkitError, UsageError
from fnkit.functions.queues.kafka_record import Record
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.readers import SourceMapping
from fnkit.functions.queues.spec import QueueSpec
from fnkit.functions.queues.sqs import url_region
from fnkit_emulator.sources.delivery import Call
from fnkit_emulator.sources.tally import Tally, obituary


class Poller(Protocol):
    """Reads one queue; `run` returns after `stop`, when the batches at work are done."""

    @property
    def tally(self) -> Tally: ...

    async def run(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where pollers live: the *folder* of local queues, dead letters and checkpoints, the *region*, and who hears complaints.

    *environ* are the variables that say where services are and who we are to them; *mourn* hears of every dead letter.
    """

    folder: Path
    region: str
    complain: Callable[[str], None]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    mourn: Callable[[str], None] = field(default=lambda _text: None)


def named(mappings: Iterable[SourceMapping]) -> dict[str, SourceMapping]:
    """Return *mappings* by the names of their queues; where functions read a topic or a stream side by side, by theirs too."""
    mappings = tuple(mappings)
    often = Counter(mapping.spec.name for mapping in mappings)
    return {
        mapping.spec.name if often[mapping.spec.name] == 1 else f"{mapping.spec.name} ({mapping.function})": mapping
        for mapping in mappings
    }


def dead_letters(spec: QueueSpec, folder: Path) -> LocalQueue:
    """Return the local queue that keeps what a function could not process of a topic or stream."""
    return LocalQueue(folder, f"{spec.name}.dead", retention=spec.retention)


def open_poller(mapping: SourceMapping, call: Call, around: Surroundings) -> Poller:
    """Return the poller of *mapping*, one that `check_readable` has passed."""
    return _OPENERS[mapping.spec.kind](mapping, call, around)


def check_readable(mappings: Iterable[SourceMapping], *, installed: Callable[[str], bool]) -> None:
    """Raise `UsageError` with every mapping that has no poller here, or whose client package is not *installed*."""
    problems = []
    for mapping in mappings:
        spec = mapping.spec
        if spec.kind not in _OPENERS:
            problems.append(
                f"queue '{spec.name}' ({spec.kind}) can be written but not read here, and function '{mapping.function}' reads it"
            )
        elif (package := _CLIENTS.get(spec.kind)) is not None and not installed(package):
            problems.append(f"queue '{spec.name}' ({spec.kind}) needs a package: pip install '{_EXTRAS[spec.kind]}'")
    if problems:
        raise UsageError("\n".join(problems), hint='use a local queue (path=""), Kafka, SQS or Kinesis')


def _open_local(mapping: SourceMapping, call: Call, around: Surroundings) -> Poller:
    source = import_module("fnkit_emulator.sources.local").LocalSource
    queue = LocalQueue(around.folder, mapping.spec.address, retention=mapping.spec.retention)
    poller: Poller = source(mapping.spec, queue, call, region=around.region, mourn=around.mourn)
    return poller


def _open_kafka(mapping: SourceMapping, call: Call, around: Surroundings) -> Poller:
    reader = import_module("fnkit.functions.queues.kafka").KafkaReader
    source = import_module("fnkit_emulator.sources.kafka").KafkaSource
    spec = mapping.spec

    def bury(record: Record, reason: str) -> None:
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        headers["fnkit-origin"] = f"{record.topic}-{record.partition}@{record.offset}"
        key = (record.key or b"").decode("utf-8", "replace")
        _bury(spec, around, Message(record.value, key, headers, headers["fnkit-origin"]), reason)

    group = consumer_group(mapping)
    poller: Poller = source(
        spec, lambda: reader(spec, group=group, environ=around.environ), call, bury=bury, complain=around.complain
    )
    return poller


def _open_sqs(mapping: SourceMapping, call: Call, around: Surroundings) -> Poller:
    sqs = import_module("fnkit.functions.queues.sqs")
    source = import_module("fnkit_emulator.sources.sqs").SqsSource
    client = aws_service("sqs", around.environ, around.region, address=mapping.spec.address)
    poller: Poller = source(
        mapping.spec,
        client,
        lambda: sqs.sqs_url(mapping.spec, {}, sqs.open_client(mapping.spec, around.environ)),
        call,
        complain=around.complain,
        region=around.region,
    )
    return poller


def _open_kinesis(mapping: SourceMapping, call: Call, around: Surroundings) -> Poller:
    module = import_module("fnkit_emulator.sources.kinesis")
    spec = mapping.spec

    def bury(record: Mapping[str, object], reason: str) -> None:
        data = record["Data"]
        assert isinstance(data, bytes)
        _bury(spec, around, Message(data, str(record["PartitionKey"]), {}, str(record["SequenceNumber"])), reason)

    checkpoints = module.Checkpoints(checkpoints_path(mapping, around.folder))
    client = aws_service("kinesis", around.environ, around.region)
    poller: Poller = module.KinesisSource(
        spec, client, call, checkpoints, bury=bury, complain=around.complain, region=around.region
    )
    return poller


_OPENERS: Mapping[str, Callable[[SourceMapping, Call, Surroundings], Poller]] = {
    "local": _open_local,
    "kafka": _open_kafka,
    "sqs": _open_sqs,
    "kinesis": _open_kinesis,
}
_CLIENTS = {"kafka": "confluent_kafka", "sqs": "boto3", "kinesis": "boto3"}
_EXTRAS = {"kafka": "fnkit[kafka]", "sqs": "fnkit[aws]", "kinesis": "fnkit[aws]"}


def consumer_group(mapping: SourceMapping) -> str:
    """Return the group in which the function of *mapping* reads a topic, unless the queue names another."""
    return f"{mapping.function}-consumer-group"


def checkpoints_path(mapping: SourceMapping, folder: Path) -> Path:
    """Return the file that says how far the function of *mapping* has read each shard of a stream."""
    return folder / f"{mapping.spec.name}.{mapping.function}.checkpoints"


def aws_service(service: str, environ: Mapping[str, str], region: str, *, address: str = "", config: object = None) -> Any:
    """Return boto3's client for what *environ* says; what it does not say boto3 finds out as everywhere.

    The region is that of *address*, if that is the URL of an SQS queue in one, else what *environ* says, else *region*.
    """
    return (
        import_module("boto3")
        .Session(profile_name=environ.get("AWS_PROFILE"))
        .client(
            service,
            region_name=url_region(address) or environ.get("AWS_REGION") or region,
            endpoint_url=environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL"),
            aws_access_key_id=environ.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=environ.get("AWS_SESSION_TOKEN"),
            config=config,
        )
    )


def _bury(spec: QueueSpec, around: Surroundings, message: Message, reason: str) -> None:
    queue = dead_letters(spec, around.folder)
    try:
        queue.bury(message, reason)
    finally:
        queue.close()
    around.mourn(obituary(spec, message, spec.retention.max_receives, reason))


class EventSources:
    """All pollers of a graph; `run` until they are told to `stop`.

    A poller that fails is said so, and started again after *restart_s* seconds, doubled with each failure up to ten times that.
    """

    def __init__(self, pollers: Mapping[str, Poller], complain: Callable[[str], None], *, restart_s: float = 1.0) -> None:
        self.pollers = pollers
        self._complain, self._restart_s = complain, restart_s
        self._stopping = False

    async def run(self) -> None:
        """Run every poller side by side."""
        async with asyncio.TaskGroup() as group:
            for name, poller in self.pollers.items():
                group.create_task(self._keep_running(name, poller))

    def stop(self) -> None:
        """Have every poller take no more; `run` returns when what is at work is done."""
        self._stopping = True
        for poller in self.pollers.values():
            poller.stop()

    async def _keep_running(self, name: str, poller: Poller) -> None:
        pause = self._restart_s
        while not self._stopping:
            try:
                await poller.run()
                return
            except* (FnkitError, OSError) as failed:
                self._complain(f"queue '{name}': {_said(failed)}; trying again")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10 * self._restart_s)


def _said(failed: BaseExceptionGroup[BaseException]) -> str:
    """Return what the first error of *failed* says, and what to do about it."""
    first = failed.exceptions[0]
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return f"{first.message} ({first.hint})" if isinstance(first, FnkitError) and first.hint else str(first)
