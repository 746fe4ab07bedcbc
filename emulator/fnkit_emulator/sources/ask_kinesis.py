"""Ask Kinesis how far the reader of a stream is behind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fnkit.errors import FnkitError
from fnkit.functions.queues.readers import SourceMapping
from fnkit_emulator.sources.ask_sqs import SOON
from fnkit_emulator.sources.aws_errors import explained
from fnkit_emulator.sources.kinesis import Checkpoints
from fnkit_emulator.sources.mappings import aws_service, checkpoints_path
from fnkit_emulator.sources.states import Counts

_REGION = "us-east-1"
LOOKS = 5  # at a shard whose next records are further on: an answer may be empty and yet not the end


def ask(mapping: SourceMapping, folder: Path, environ: Mapping[str, str]) -> Counts:
    """Return the age of the oldest record that is not settled yet. Kinesis does not tell how many there are, unless there are none."""
    stream, checkpoints = mapping.spec.address, Checkpoints(checkpoints_path(mapping, folder))
    try:
        client = aws_service("kinesis", environ, environ.get("AWS_DEFAULT_REGION") or _REGION, config=SOON)
        shards = [shard["ShardId"] for shard in client.list_shards(StreamName=stream)["Shards"]]
        ages = [age for shard in shards if (age := _oldest_s(client, stream, shard, checkpoints.get(shard))) is not None]
    except (BotoCoreError, ClientError) as error:
        raise FnkitError(f"stream '{stream}': {explained(error)}") from error
    return Counts(oldest_s=max(ages)) if ages else Counts(waiting=0)


def _oldest_s(client: Any, stream: str, shard: str, settled: str) -> float | None:
    """Return the age of the first record of *shard* behind the number *settled*, None if there is none."""
    where = (
        {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": settled}
        if settled
        else {"ShardIteratorType": "TRIM_HORIZON"}
    )
    iterator = client.get_shard_iterator(StreamName=stream, ShardId=shard, **where)["ShardIterator"]
    for _ in range(LOOKS):
        answer = client.get_records(ShardIterator=iterator, Limit=1)
        if answer["Records"]:
            arrived: float = answer["Records"][0]["ApproximateArrivalTimestamp"].timestamp()
            return max(0.0, time.time() - arrived)
        iterator = answer.get("NextShardIterator")
        if not iterator or not answer.get("MillisBehindLatest"):
            break
    return None
