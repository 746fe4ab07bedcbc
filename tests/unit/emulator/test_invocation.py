"""An answer between the worker and the client."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fnkit_emulator import limits
from fnkit_emulator.invocation import Fault, Invocation


@dataclass
class Connection:
    """The worker's connection, which notes what it is told."""

    told: list[str] = field(default_factory=list)

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def abort(self) -> None:
        self.told.append("abort")


def begun(connection: Connection) -> Invocation:
    invocation = Invocation(b"{}")
    invocation.begin(streaming=True, content_type="text/plain", source=connection)
    return invocation


async def test_pieces_that_wait_are_read_as_one() -> None:
    invocation = begun(Connection())
    invocation.feed(b"a")
    invocation.feed(b"b")

    assert await invocation.read() == b"ab"


async def test_a_reader_waits_for_the_next_piece_and_then_for_the_end() -> None:
    invocation = begun(Connection())
    reader = asyncio.create_task(invocation.read_all())
    await asyncio.sleep(0)
    invocation.feed(b"a")
    await asyncio.sleep(0)
    invocation.feed(b"b")
    invocation.finish()

    assert await reader == b"ab"


async def test_the_worker_is_held_back_while_the_client_does_not_read() -> None:
    connection = Connection()
    invocation = begun(connection)
    invocation.feed(b"x" * limits.BUFFER)
    before = list(connection.told)
    invocation.feed(b"x")
    paused = list(connection.told)
    await invocation.read()

    assert (before, paused, connection.told) == ([], ["pause"], ["pause", "resume"])


async def test_a_client_that_leaves_closes_the_workers_connection() -> None:
    connection = Connection()
    invocation = begun(connection)
    invocation.feed(b"waiting")

    invocation.abandon()

    assert connection.told == ["abort"]
    assert await invocation.read() == b""


async def test_a_client_that_leaves_before_the_answer_begins_lets_the_worker_begin() -> None:
    invocation = Invocation(b"{}")

    invocation.abandon()

    assert invocation.abandoned
    assert not invocation.done


async def test_a_fault_comes_after_what_was_sent_before_it() -> None:
    invocation = begun(Connection())
    invocation.feed(b"a")
    invocation.finish(Fault("Function.Oops", "no"))

    assert await invocation.read() == b"a"
    assert await invocation.read() == b""
    assert invocation.fault == Fault("Function.Oops", "no")


async def test_only_the_first_end_counts() -> None:
    ends: list[Invocation] = []
    invocation = Invocation(b"{}")
    invocation.hand_over(timeout_s=1, on_finish=ends.append)

    invocation.finish(Fault("Sandbox.Timeout", "late"))
    invocation.finish()

    assert ends == [invocation]
    assert invocation.fault is not None


async def test_a_stream_of_more_than_200_mb_is_cut_off() -> None:
    connection = Connection()
    invocation = begun(connection)
    invocation.feed(b"x" * (limits.STREAM // 2))
    await invocation.read()
    invocation.feed(b"x" * (limits.STREAM // 2 + 1))

    assert invocation.fault is not None
    assert invocation.fault.type == "Function.ResponseSizeTooLarge"
    assert connection.told[-1] == "abort"
