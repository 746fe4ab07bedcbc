"""The local queue: one SQLite file a queue, durable, shared by any number of processes.

Theory. A message is a row. Receiving lends it: the row's `visible_at` moves into the future and a new receipt is written, so
no other process takes it meanwhile; deleting needs that receipt, so a worker that overslept its loan cannot delete what another
one holds now. A loan that ends without a deletion (the worker was killed) ends by itself, because time passes.
What was received `max_receives` times moves to the dead letters in the same transaction that would have lent it again.

Order. A message with a key is lent only when no older message of that key is on loan or waits for a retry;
one batch may hold several messages of a key, in their order.

Durability. The file is in WAL mode with `synchronous=NORMAL`: a commit survives `kill -9` of every process; a power cut may
take the last commits, which `durable=True` (`synchronous=FULL`, an fsync a commit) prevents.

Waking. A sender rings a bell, a datagram to the socket file beside the database; a receiver that does not hear it (none is
listening, or the bell was lost) finds the message at its next look. The bell carries nothing and is never needed for correctness.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fnkit.functions.queues.errors import MessageTooLargeError, QueueError
from fnkit.functions.queues.message import Depth, Message, Received, Retention

MAX_BODY = 1024 * 1024  # an SQS message holds 1 MiB: what does not fit there must not fit here

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL,
    headers TEXT NOT NULL,
    sent_at REAL NOT NULL,
    visible_at REAL NOT NULL DEFAULT 0,
    receives INTEGER NOT NULL DEFAULT 0,
    receipt TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS message_key ON message (key, position) WHERE key <> '';
CREATE TABLE IF NOT EXISTS dead (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL,
    headers TEXT NOT NULL,
    sent_at REAL NOT NULL,
    receives INTEGER NOT NULL,
    reason TEXT NOT NULL,
    died_at REAL NOT NULL
);
"""

# Oldest first; a key that has a message on loan or waiting for its retry is passed over until that one is settled.
_READY = """
SELECT position, id, key, body, headers, sent_at, receives FROM message AS candidate
WHERE visible_at <= :now
  AND (key = '' OR NOT EXISTS (
    SELECT 1 FROM message AS older
    WHERE older.key <> '' AND older.key = candidate.key AND older.position < candidate.position AND older.visible_at > :now))
ORDER BY position LIMIT :limit
"""


_LENT = "position = ? AND receipt = ?"  # a loan, by the primary key


class LocalQueue:
    """One queue in the file *folder*/*name*.db; safe to use from many processes, one instance a thread.

    *clock* gives seconds since the epoch. The folder is made when it is missing. Raises `QueueError` for a message that is too
    large and for a file that is not a queue.
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        *,
        retention: Retention = Retention(),  # noqa: B008  # frozen
        durable: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.retention = retention
        self._clock = clock
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._database = self._open(durable=durable)
        self._bell = _bell_path(self._folder.absolute() / f"{name}.bell")
        self._ringer: socket.socket | None = None

    def send(self, messages: Sequence[Message]) -> tuple[str, ...]:
        """Store *messages* in one transaction and return their ids; once this returns they are accepted."""
        now = self._clock()
        rows = [self._row(message, now) for message in messages]
        with self._transaction() as database:
            database.executemany("INSERT INTO message (id, key, body, headers, sent_at) VALUES (?, ?, ?, ?, ?)", rows)
        self._ring()
        return tuple(row[0] for row in rows)

    def receive(self, limit: int = 10) -> tuple[Received, ...]:
        """Lend up to *limit* messages for the visibility timeout; empty when none is ready. Never waits."""
        now = self._clock()
        if not self._any_ready(now):
            return ()
        lent: list[Received] = []
        with self._transaction() as database:
            self._bury_expired(database, now)
            while len(lent) < limit:
                rows = database.execute(_READY, {"now": now, "limit": limit - len(lent)}).fetchall()
                if not rows:
                    break
                lent.extend(self._lend(database, rows, now))
        return tuple(lent)

    def delete(self, receipts: Iterable[str]) -> int:
        """Remove the messages lent under *receipts*; returns how many there were (a loan that ran out counts no more)."""
        with self._transaction() as database:
            return database.executemany(f"DELETE FROM message WHERE {_LENT}", map(_place, receipts)).rowcount  # noqa: S608  # ours

    def give_back(self, receipts: Iterable[str], *, delay_s: float = 0.0, reason: str = "") -> None:
        """End the loans *receipts* unsuccessfully: the messages are ready again after *delay_s* seconds, or dead if they have had
        their `max_receives`."""
        now = self._clock()
        with self._transaction() as database:
            for receipt in receipts:
                self._bury(database, f"{_LENT} AND receives >= ?", (*_place(receipt), self.retention.max_receives), reason, now)
                database.execute(
                    f"UPDATE message SET visible_at = ?, receipt = '' WHERE {_LENT}",  # noqa: S608
                    (now + delay_s, *_place(receipt)),
                )
        self._ring()

    def release(self, receipts: Iterable[str]) -> None:
        """End the loans *receipts* as if they had not been made: what was lent and never tried is ready again and counts no receive."""
        with self._transaction() as database:
            database.executemany(
                f"UPDATE message SET visible_at = 0, receives = receives - 1, receipt = '' WHERE {_LENT}",  # noqa: S608
                map(_place, receipts),
            )
        self._ring()

    def renew(self, receipts: Iterable[str]) -> None:
        """Lengthen the loans *receipts* that have not run out: they end a visibility timeout from now."""
        now = self._clock()
        with self._transaction() as database:
            database.executemany(
                f"UPDATE message SET visible_at = ? WHERE {_LENT} AND visible_at > ?",  # noqa: S608
                [(now + self.retention.visibility_s, *_place(receipt), now) for receipt in receipts],
            )

    def reclaim(self) -> int:
        """End every loan at once and return how many there were: for a reader that knows that it is the only one and has just begun."""
        with self._transaction() as database:
            return database.execute("UPDATE message SET visible_at = 0, receipt = '' WHERE receipt <> ''").rowcount

    def depth(self) -> Depth:
        """Count what waits, what is on loan and what is dead."""
        now = self._clock()
        waiting, in_flight, oldest = self._database.execute(
            "SELECT count(*) FILTER (WHERE visible_at <= :now), count(*) FILTER (WHERE visible_at > :now),"
            " min(sent_at) FILTER (WHERE visible_at <= :now) FROM message",
            {"now": now},
        ).fetchone()
        (dead,) = self._database.execute("SELECT count(*) FROM dead").fetchone()
        return Depth(waiting, in_flight, dead, max(0.0, now - oldest) if oldest is not None else 0.0)

    def dead_letters(self, limit: int = 100) -> tuple[tuple[Received, str], ...]:
        """Return up to *limit* dead letters, oldest first, each with the reason of its death."""
        rows = self._database.execute(
            "SELECT id, key, body, headers, sent_at, receives, reason FROM dead ORDER BY position LIMIT ?", (limit,)
        ).fetchall()
        return tuple(
            (Received(_message(id_, key, body, headers), "", receives, sent), reason)
            for id_, key, body, headers, sent, receives, reason in rows
        )

    def bury(self, message: Message, reason: str) -> None:
        """Store *message* as a dead letter at once: for what could not be processed elsewhere, in a topic or a stream."""
        row = self._row(message, self._clock())
        with self._transaction() as database:
            database.execute(
                "INSERT INTO dead (id, key, body, headers, sent_at, receives, reason, died_at) VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
                (*row, reason, self._clock()),
            )

    def bury_loan(self, receipt: str, reason: str) -> None:
        """Make the message lent under *receipt* a dead letter at once, however often it was received."""
        with self._transaction() as database:
            self._bury(database, _LENT, _place(receipt), reason, self._clock())

    def forget_dead(self, count: int) -> int:
        """Remove the *count* oldest dead letters: those that `dead_letters(count)` returned. Returns how many there were."""
        with self._transaction() as database:
            oldest = "SELECT position FROM dead ORDER BY position LIMIT ?"
            return database.execute(f"DELETE FROM dead WHERE position IN ({oldest})", (count,)).rowcount  # noqa: S608  # ours

    def redrive(self) -> int:
        """Put every dead letter back into the queue with a fresh count of receives; returns how many there were."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO message (id, key, body, headers, sent_at)"
                " SELECT id, key, body, headers, sent_at FROM dead ORDER BY position"
            )
            count = database.execute("DELETE FROM dead").rowcount
        self._ring()
        return count

    def listen(self) -> socket.socket:
        """Return the socket on which this queue's bell rings: readable when something was sent. One listener a queue; the latest
        one wins."""
        with suppress(FileNotFoundError):
            os.unlink(self._bell)
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bell.setblocking(False)
        bell.bind(self._bell)
        return bell

    def close(self) -> None:
        """Close the file; what is on loan stays on loan until its time is up."""
        self._database.close()
        if self._ringer is not None:
            self._ringer.close()
            self._ringer = None

    def _open(self, *, durable: bool) -> sqlite3.Connection:
        path = self._folder / f"{self.name}.db"
        database = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            database.close()
            raise QueueError(
                f"{path} is not a queue: {error}", hint="move the file away; a new queue is made in its place"
            ) from error
        return database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _row(self, message: Message, now: float) -> tuple[str, str, bytes, str, float]:
        if len(message.body) > MAX_BODY:
            raise MessageTooLargeError(
                f"a message of {len(message.body):,} bytes does not fit into queue '{self.name}' ({MAX_BODY:,} bytes at most)",
                hint="send a reference to the data, or split it",
            )
        return message.id or uuid.uuid4().hex, message.key, message.body, json.dumps(dict(message.headers)), now

    def _any_ready(self, now: float) -> bool:
        return self._database.execute("SELECT 1 FROM message WHERE visible_at <= ? LIMIT 1", (now,)).fetchone() is not None

    def _lend(
        self, database: sqlite3.Connection, rows: Sequence[tuple[int, str, str, bytes, str, float, int]], now: float
    ) -> list[Received]:
        lent: list[Received] = []
        for position, id_, key, body, headers, sent_at, receives in rows:
            if receives >= self.retention.max_receives:  # its last loan ran out: the worker was lost with it
                self._bury(database, "position = ?", (position,), "the visibility timeout passed", now)
                continue
            receipt = f"{position}:{os.urandom(8).hex()}"
            database.execute(
                "UPDATE message SET visible_at = ?, receives = receives + 1, receipt = ? WHERE position = ?",
                (now + self.retention.visibility_s, receipt, position),
            )
            lent.append(Received(_message(id_, key, body, headers), receipt, receives + 1, sent_at))
        return lent

    def _bury_expired(self, database: sqlite3.Connection, now: float) -> None:
        if self.retention.retention_s is not None:
            self._bury(database, "visible_at <= ? AND sent_at < ?", (now, now - self.retention.retention_s), "too old", now)

    @staticmethod
    def _bury(database: sqlite3.Connection, which: str, values: tuple[object, ...], reason: str, now: float) -> None:
        database.execute(
            "INSERT INTO dead (id, key, body, headers, sent_at, receives, reason, died_at)"  # noqa: S608  # *which* is ours
            f" SELECT id, key, body, headers, sent_at, receives, ?, ? FROM message WHERE {which} ORDER BY position",
            (reason, now, *values),
        )
        database.execute(f"DELETE FROM message WHERE {which}", values)  # noqa: S608

    def _ring(self) -> None:
        if self._ringer is None:
            self._ringer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._ringer.setblocking(False)
        with suppress(OSError):  # nobody listens, or the listener has a ring waiting already
            self._ringer.sendto(b"\0", self._bell)


def _bell_path(path: Path) -> str:
    """Return *path*, or a short name for it in the temporary folder: a socket's path holds about 100 bytes."""
    if len(os.fsencode(path)) < 100:
        return str(path)
    return os.path.join(tempfile.gettempdir(), f"fnkit-{hashlib.sha256(os.fsencode(path)).hexdigest()[:24]}.bell")


def _place(receipt: str) -> tuple[str, str]:
    """Return the position that *receipt* begins with, and the receipt itself."""
    return receipt.partition(":")[0], receipt


def _message(id_: str, key: str, body: bytes, headers: str) -> Message:
    return Message(body, key, json.loads(headers), id_)
