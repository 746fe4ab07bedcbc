"""V3IO streams by the v3io package's HTTP interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import v3io.dataplane

from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import QueueSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BATCH = 8  # records of one request, as MLRun sends them


class V3ioSender:
    """Writes to the stream at `v3io://[endpoint]/container/path`."""

    slow = True

    def __init__(self, spec: QueueSpec, client: Any) -> None:  # Any: the v3io package has no types
        self._spec = spec
        self._client = client
        self._container, self._path = stream_place(spec)

    def send(self, messages: Sequence[Message]) -> None:
        """Put *messages*; `QueueError` when the service does not take them all."""
        for start in range(0, len(messages), BATCH):
            records = [self._record(message) for message in messages[start : start + BATCH]]
            try:
                answer = self._client.stream.put_records(container=self._container, stream_path=self._path, records=records)
            except Exception as error:  # the package raises whatever its transport raises
                raise self._refused(str(error) or type(error).__name__) from error
            if answer.output.failed_record_count:
                raise self._refused(f"{answer.output.failed_record_count} records were turned away")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _record(self, message: Message) -> dict[str, object]:
        record: dict[str, object] = {"data": message.body}
        fixed = self._spec.sharding if isinstance(self._spec.sharding, int) else None
        if (shard := fixed if message.partition is None else message.partition) is not None:
            record["shard_id"] = shard
        elif message.key:
            record["partition_key"] = message.key
        return record

    def _refused(self, reason: str) -> QueueError:
        return QueueError(
            f"the stream {self._spec.address} did not accept a message: {reason}",
            where=f"queue '{self._spec.name}'",
            hint="see that the stream exists and that V3IO_API and V3IO_ACCESS_KEY are right",
        )


def stream_place(spec: QueueSpec) -> tuple[str, str]:
    """Return the container and the stream's path of `v3io://[endpoint]/container/path`."""
    container, _, path = urlsplit(spec.address).path.strip("/").partition("/")
    if not path:
        raise QueueError(
            f"path '{spec.address}' names no stream", where=f"queue '{spec.name}'", hint="write v3io:///container/path/of/stream"
        )
    return container, path


def open_sender(spec: QueueSpec, environ: Mapping[str, str]) -> V3ioSender:
    """Open the stream of *spec*: the service is named in the path, or by `V3IO_API`."""
    host = urlsplit(spec.address).netloc
    endpoint = f"{'https' if spec.address.startswith('v3ios') else 'http'}://{host}" if host else environ.get("V3IO_API", "")
    if not endpoint:
        raise QueueError(
            f"nobody said where the V3IO service of '{spec.address}' is", where=f"queue '{spec.name}'", hint="set V3IO_API"
        )
    if not environ.get("V3IO_ACCESS_KEY"):
        raise QueueError(
            f"nobody said with which key the V3IO service of '{spec.address}' is used",
            where=f"queue '{spec.name}'",
            hint="set V3IO_ACCESS_KEY",
        )
    client = v3io.dataplane.Client(endpoint=endpoint, access_key=environ["V3IO_ACCESS_KEY"], max_connections=1)
    return V3ioSender(spec, client)
