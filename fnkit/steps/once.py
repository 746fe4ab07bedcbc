"""Do work once for each key, however often it is asked for: for steps whose work must not be done again by a retry.

Calls between functions, queues and AWS itself deliver at least once. `Once` remembers under the key of a visit
(`event.idempotency_key`) what came out of the work, and gives that to whoever comes with the same key later::

    class Charge:
        def __init__(self, path: str) -> None:
            self.once = Once(SqliteRecords(path))

        def do_event(self, event):
            with self.once(event.idempotency_key) as visit:
                if visit.first:
                    visit.result = charge(event.body)
                event.body = visit.result
            return event

Theory. A key is claimed before the work begins, and the result is kept under it, or the claim is given back where the block raised.
A claim runs out after a while, because its owner may have died: then the work is done again. So what lies between the work and the
keeping of its result is still done at least once; nobody can promise more who does not own what the work changes.
"""

from __future__ import annotations

import sqlite3
from _thread import allocate_lock
from contextlib import suppress
from os import urandom
from time import time
from weakref import finalize

from fnkit.errors import MLRunConflictError, MLRunInvalidArgumentError
from fnkit.lean import dumps, loads
from fnkit.records import Protocol, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

CLAIM_S = 60.0
KEPT_S = 3600.0


class UnderWayError(MLRunConflictError):
    """409: another attempt with the same key is under way. Named in `retry_on`, it lets a step wait for what comes out of that."""


@record(frozen=True, slots=True)
class Kept:
    """What is known of a key: *result*, as JSON, of work that is done, or None while it is under way."""

    result: str | None


class Records(Protocol):
    """Where keys and results are kept. Moments are seconds since the epoch. One that several environments share makes them agree."""

    def claim(self, key: str, owner: str, *, now: float, until: float) -> Kept | None:
        """Claim *key* for *owner* until then, and return None; return what is known where it is claimed, or done, already."""
        ...

    def keep(self, key: str, owner: str, result: str, *, until: float) -> None:
        """Keep *result* until then, if *owner* still has the claim."""
        ...

    def release(self, key: str, owner: str) -> None:
        """Give the claim of *owner* back, if it still has it."""
        ...


class Once:
    """Lets work be done once for each key. Use it as `with once(key) as visit:`, in steps that are `async` too.

    *claim_s* is how long a claim holds: longer than the work can take. *kept_s* is how long a result is remembered: longer than
    deliveries of one event can lie apart. *clock* gives seconds since the epoch.
    """

    def __init__(
        self, records: Records, *, claim_s: float = CLAIM_S, kept_s: float = KEPT_S, clock: Callable[[], float] = time
    ) -> None:
        self._records = records
        self._claim_s = claim_s
        self._kept_s = kept_s
        self._clock = clock

    def __call__(self, key: str) -> Visit:
        """Return the visit with this *key*; entering it raises `UnderWayError` while an earlier attempt has the claim."""
        if not key:
            raise MLRunInvalidArgumentError("work is done once for each key, and there is none", hint="use event.idempotency_key")
        return Visit(self, key)

    def claim(self, key: str, owner: str) -> Kept | None:
        """Claim *key* for *owner*, and return None; return what came out of the work where it is done already."""
        now = self._clock()
        kept = self._records.claim(key, owner, now=now, until=now + self._claim_s)
        if kept is not None and kept.result is None:
            raise UnderWayError(f"an attempt with the key {key!r} is under way", hint='wait for it: retry_on=("UnderWayError",)')
        return kept

    def settle(self, key: str, owner: str, result: object, *, failed: bool) -> None:
        """Keep *result*, or give the claim back where the work has *failed*, or where its result is no JSON: then ValueError, TypeError."""
        if failed:
            self._records.release(key, owner)
            return
        try:
            self._records.keep(key, owner, dumps(result), until=self._clock() + self._kept_s)
        except BaseException:
            self._records.release(key, owner)
            raise


class Visit:
    """One attempt at some work. *first*: do it, and set *result* to what came out, as JSON; otherwise *result* is what came out before."""

    def __init__(self, once: Once, key: str) -> None:
        self._once = once
        self._key = key
        self._owner = urandom(16).hex()
        self.first = True
        self.result: Any = None  # Any: what the user's work gives

    def __enter__(self) -> Visit:
        kept = self._once.claim(self._key, self._owner)
        if kept is not None:
            self.first, self.result = False, loads(kept.result or "null")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.first:
            self._once.settle(self._key, self._owner, self.result, failed=kind is not None)


_TABLE = "CREATE TABLE IF NOT EXISTS once (key TEXT PRIMARY KEY, owner TEXT NOT NULL, result TEXT, until REAL NOT NULL)"
# An owner that asks again, or anybody once it has run out, takes the row; everybody else leaves it as it is.
_CLAIM = """
INSERT INTO once (key, owner, result, until) VALUES (:key, :owner, NULL, :until)
ON CONFLICT (key) DO UPDATE SET owner = :owner, result = NULL, until = :until WHERE once.until <= :now
"""


class SqliteRecords:
    """Keys and results in a SQLite file, for the processes of one machine: the emulator, a container with a volume, tests.

    On Lambda every environment has a file of its own, and so a memory of its own: use `DynamoRecords` there. What has run out is removed
    now and then.
    """

    def __init__(self, path: str, *, wait_s: float = 30.0) -> None:
        self._database = database = sqlite3.connect(path, timeout=wait_s, check_same_thread=False)
        self._lock = allocate_lock()
        self._claims = 0
        finalize(self, database.close)
        with database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")  # a commit survives the end of every process
            database.execute(_TABLE)

    def claim(self, key: str, owner: str, *, now: float, until: float) -> Kept | None:
        """Claim *key*; see `Records`."""
        with self._lock, self._database as database:
            self._claims += 1
            if self._claims % 100 == 0:
                database.execute("DELETE FROM once WHERE until <= ?", (now,))
            database.execute(_CLAIM, {"key": key, "owner": owner, "until": until, "now": now})
            held, result = database.execute("SELECT owner, result FROM once WHERE key = ?", (key,)).fetchone()
        return None if held == owner else Kept(result)

    def keep(self, key: str, owner: str, result: str, *, until: float) -> None:
        """Keep *result*; see `Records`."""
        with self._lock, self._database as database:
            database.execute("UPDATE once SET result = ?, until = ? WHERE key = ? AND owner = ?", (result, until, key, owner))

    def release(self, key: str, owner: str) -> None:
        """Give a claim back; see `Records`."""
        with self._lock, self._database as database:
            database.execute("DELETE FROM once WHERE key = ? AND owner = ? AND result IS NULL", (key, owner))


class DynamoRecords:
    """Keys and results in a DynamoDB table, which all environments share.

    *client* is boto3's client for DynamoDB. The *table* has the key `id` (a string); let DynamoDB remove what has run out by the
    attribute `expires` (its "time to live").
    """

    def __init__(self, client: Any, table: str) -> None:  # Any: boto3 has no types
        self._client = client
        self._table = table

    def claim(self, key: str, owner: str, *, now: float, until: float) -> Kept | None:
        """Claim *key*; see `Records`."""
        item = {"id": {"S": key}, "owner": {"S": owner}, "expires": {"N": f"{until:.0f}"}}
        try:
            self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(id) OR expires <= :now",
                ExpressionAttributeValues={":now": {"N": f"{now:.3f}"}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            found = self._client.get_item(TableName=self._table, Key={"id": {"S": key}}, ConsistentRead=True).get("Item", {})
            if found.get("owner") != {"S": owner}:  # boto3 repeats a request whose answer it has not got
                return Kept(found["result"]["S"] if "result" in found else None)
        return None

    def keep(self, key: str, owner: str, result: str, *, until: float) -> None:
        """Keep *result*; see `Records`."""
        self._change(
            self._client.update_item,
            key,
            owner,
            UpdateExpression="SET #result = :result, expires = :until",
            ExpressionAttributeNames={"#owner": "owner", "#result": "result"},
            more={":result": {"S": result}, ":until": {"N": f"{until:.0f}"}},
        )

    def release(self, key: str, owner: str) -> None:
        """Give a claim back; see `Records`."""
        self._change(self._client.delete_item, key, owner, ExpressionAttributeNames={"#owner": "owner"}, more={})

    def _change(self, operation: Callable[..., object], key: str, owner: str, *, more: dict[str, object], **said: object) -> None:
        with suppress(self._client.exceptions.ConditionalCheckFailedException):  # it has run out, and somebody else has it
            operation(
                TableName=self._table,
                Key={"id": {"S": key}},
                ConditionExpression="#owner = :owner",
                ExpressionAttributeValues={":owner": {"S": owner}, **more},
                **said,
            )
