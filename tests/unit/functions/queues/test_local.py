"""The local queue lends, keeps order per key, buries what fails, and loses nothing."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.local import MAX_BODY, LocalQueue
from fnkit.functions.queues.message import Depth, Message, Retention


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Iterator[LocalQueue]:
    queue = LocalQueue(tmp_path, "jobs", retention=Retention(visibility_s=30, max_receives=2), clock=clock)
    yield queue
    queue.close()


def test_what_is_sent_is_received_with_its_key_and_headers(queue: LocalQueue) -> None:
    queue.send([Message(b"\x00body", key="k", headers={"trace": "1"}, id="m1")])

    (received,) = queue.receive()

    assert received.message == Message(b"\x00body", "k", {"trace": "1"}, "m1")
    assert received.receives == 1


def test_a_message_on_loan_is_not_lent_again_until_its_time_is_up(queue: LocalQueue, clock: Clock) -> None:
    queue.send([Message(b"a")])
    queue.receive()

    before = queue.receive()
    clock.now += 31
    (after,) = queue.receive()

    assert before == ()
    assert after.receives == 2


def test_a_loan_that_ran_out_can_no_longer_delete_the_message(queue: LocalQueue, clock: Clock) -> None:
    queue.send([Message(b"a")])
    (first,) = queue.receive()
    clock.now += 31
    queue.receive()

    deleted = queue.delete([first.receipt])

    assert deleted == 0
    assert queue.depth().in_flight == 1


def test_a_new_reader_that_is_alone_ends_the_loans_of_the_one_before(queue: LocalQueue) -> None:
    queue.send([Message(b"a"), Message(b"b")])
    queue.receive()

    reclaimed = queue.reclaim()

    assert reclaimed == 2
    assert [received.receives for received in queue.receive()] == [2, 2]


def test_a_message_that_failed_too_often_is_a_dead_letter_with_its_reason(queue: LocalQueue) -> None:
    queue.send([Message(b"poison"), Message(b"good")])
    for _ in range(2):
        poison, *good = queue.receive()
        queue.delete(received.receipt for received in good)
        queue.give_back([poison.receipt], reason="ValueError: no")

    ((dead, reason),) = queue.dead_letters()

    assert (dead.message.body, reason) == (b"poison", "ValueError: no")
    assert queue.depth() == Depth(waiting=0, in_flight=0, dead=1, oldest_s=0.0)


def test_a_message_whose_workers_were_lost_is_a_dead_letter_too(queue: LocalQueue, clock: Clock) -> None:
    queue.send([Message(b"killer")])
    for _ in range(2):
        queue.receive()
        clock.now += 31

    lent = queue.receive()

    assert lent == ()
    assert [reason for _, reason in queue.dead_letters()] == ["the visibility timeout passed"]


def test_a_key_on_loan_holds_back_its_later_messages_only(queue: LocalQueue) -> None:
    queue.send([Message(b"a1", key="a"), Message(b"b1", key="b"), Message(b"a2", key="a")])
    (first,) = queue.receive(1)

    rest = queue.receive(10)

    assert first.message.body == b"a1"
    assert [received.message.body for received in rest] == [b"b1"]


def test_one_batch_holds_several_messages_of_a_key_in_their_order(queue: LocalQueue) -> None:
    queue.send([Message(bytes([number]), key="k") for number in range(5)])

    batch = queue.receive(5)

    assert [received.message.body[0] for received in batch] == [0, 1, 2, 3, 4]


def test_a_retry_that_waits_keeps_its_key_waiting(queue: LocalQueue, clock: Clock) -> None:
    queue.send([Message(b"a1", key="a"), Message(b"a2", key="a")])
    (first,) = queue.receive(1)
    queue.give_back([first.receipt], delay_s=5)

    early = queue.receive()
    clock.now += 6
    late = queue.receive()

    assert early == ()
    assert [received.message.body for received in late] == [b"a1", b"a2"]


def test_redrive_puts_dead_letters_back_with_a_fresh_count(queue: LocalQueue) -> None:
    queue.send([Message(b"x")])
    for _ in range(2):
        (received,) = queue.receive()
        queue.give_back([received.receipt])

    moved = queue.redrive()
    (again,) = queue.receive()

    assert moved == 1
    assert again.receives == 1
    assert queue.dead_letters() == ()


def test_what_is_older_than_the_retention_goes_to_the_dead_letters(tmp_path: Path, clock: Clock) -> None:
    queue = LocalQueue(tmp_path, "old", retention=Retention(retention_s=60), clock=clock)
    queue.send([Message(b"stale")])
    clock.now += 61
    queue.send([Message(b"fresh")])

    bodies = [received.message.body for received in queue.receive()]

    assert bodies == [b"fresh"]
    assert [reason for _, reason in queue.dead_letters()] == ["too old"]
    queue.close()


def test_a_message_that_is_too_large_is_refused_and_nothing_is_stored(queue: LocalQueue) -> None:
    with pytest.raises(QueueError, match="does not fit into queue 'jobs'"):
        queue.send([Message(b"small"), Message(b"x" * (MAX_BODY + 1))])

    assert queue.depth().waiting == 0


def test_a_file_that_is_no_queue_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(b"this is not a database, but it is long enough to be read as one" * 20)

    with pytest.raises(QueueError, match=r"jobs\.db is not a queue"):
        LocalQueue(tmp_path, "jobs")


def test_the_bell_rings_for_each_send_even_under_a_long_path(tmp_path: Path) -> None:
    queue = LocalQueue(tmp_path / ("long" * 40), "jobs")
    with queue.listen() as bell:
        queue.send([Message(b"a")])

        readable, _, _ = select.select([bell], [], [], 5)

        assert readable == [bell]
    queue.close()


_SENDER = """
import sys
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message
queue = LocalQueue(sys.argv[1], "jobs")
number = 0
while True:
    queue.send([Message(str(number).encode())])
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


def test_an_accepted_message_survives_kill_9_of_its_sender(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _SENDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdout is not None
        accepted = [int(sender.stdout.readline()) for _ in range(200)]
        os.kill(sender.pid, signal.SIGKILL)
        accepted += [int(line) for line in sender.stdout.read().split()]

    queue = LocalQueue(tmp_path, "jobs", retention=Retention(visibility_s=1000))
    stored = [int(received.message.body) for received in queue.receive(len(accepted) + 10)]
    queue.close()

    assert stored[: len(accepted)] == accepted
    assert len(stored) <= len(accepted) + 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.booleans()), max_size=25), st.integers(1, 4))
def test_every_message_is_processed_or_dead_and_keys_keep_their_order(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[str, bool]], batch: int
) -> None:
    clock = Clock()
    queue = LocalQueue(tmp_path_factory.mktemp("q"), "jobs", retention=Retention(visibility_s=30, max_receives=2), clock=clock)
    queue.send([Message(str(number).encode(), key=key) for number, (key, _) in enumerate(plan)])
    done: list[int] = []
    while received := queue.receive(batch):
        failed: set[str] = set()
        for loan in received:
            number = int(loan.message.body)
            if plan[number][1] or (loan.message.key and loan.message.key in failed):
                failed.add(loan.message.key)
                queue.give_back([loan.receipt])
            else:
                queue.delete([loan.receipt])
                done.append(number)

    dead = [int(loan.message.body) for loan, _ in queue.dead_letters()]
    queue.close()

    assert sorted(done + dead) == list(range(len(plan)))
    for key in ("a", "b"):
        assert (order := [number for number in done if plan[number][0] == key]) == sorted(order)


def test_a_renewed_loan_lasts_from_the_renewal_on(queue: LocalQueue, clock: Clock) -> None:
    queue.send([Message(b"slow")])
    (loan,) = queue.receive()
    clock.now += 20

    queue.renew([loan.receipt])
    clock.now += 20

    assert queue.receive() == ()
    assert queue.delete([loan.receipt]) == 1


def test_a_loan_that_ran_out_is_not_renewed(queue: LocalQueue, clock: Clock) -> None:
    queue.send([Message(b"slow")])
    (loan,) = queue.receive()
    clock.now += 31

    queue.renew([loan.receipt])

    assert len(queue.receive()) == 1


def test_what_was_lent_and_never_tried_counts_no_receive(queue: LocalQueue) -> None:
    queue.send([Message(b"a")])
    for _ in range(5):
        (loan,) = queue.receive()
        queue.release([loan.receipt])

    (received,) = queue.receive()

    assert received.receives == 1
