"""Work that is done once for each key, whoever asks again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from fnkit.engine import Event
from fnkit.errors import MLRunInvalidArgumentError
from fnkit.manifest.model import CallOptions, Step
from fnkit.steps import DynamoRecords, Once, SqliteRecords, UnderWayError
from fnkit.steps.once import Records
from tests.fakes.engine import answer, flow
from tests.fakes.moto_cloud import moto_cloud


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    with moto_cloud() as url:
        yield url


@pytest.fixture(params=["sqlite", "dynamodb"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Records:
    """Records of either kind, empty."""
    if request.param == "sqlite":
        return SqliteRecords(str(tmp_path / "once.db"))
    keys = {"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    client = boto3.client("dynamodb", endpoint_url=request.getfixturevalue("cloud"), **keys)
    client.create_table(
        TableName=tmp_path.name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return DynamoRecords(client, tmp_path.name)


def work(once: Once, key: str, done: list[str]) -> object:
    with once(key) as visit:
        if visit.first:
            done.append(key)
            visit.result = {"number": len(done)}
        return visit.result


def test_work_is_done_once_for_each_key(records: Records) -> None:
    done: list[str] = []
    once = Once(records)

    results = [work(once, key, done) for key in ("a", "a", "b", "a")]

    assert results == [{"number": 1}, {"number": 1}, {"number": 2}, {"number": 1}]
    assert done == ["a", "b"]


def test_another_environment_with_the_same_records_knows_it_too(records: Records) -> None:
    done: list[str] = []

    results = [work(Once(records), "a", done) for _ in range(2)]

    assert (results, done) == ([{"number": 1}] * 2, ["a"])


def test_work_that_failed_may_be_done_by_the_next_attempt(records: Records) -> None:
    once = Once(records)

    with pytest.raises(OSError, match="not now"), once("a"):
        raise OSError("not now")
    with once("a") as again:
        first = again.first

    assert first


def test_a_second_attempt_meanwhile_is_refused_until_the_claim_runs_out(records: Records) -> None:
    clock = Clock()
    once = Once(records, claim_s=60, clock=clock)
    with once("a") as slow:
        with pytest.raises(UnderWayError, match="an attempt with the key 'a' is under way") as refused, once("a"):
            pass
        clock.now += 61
        with once("a") as heir:
            heir.result = "the heir's"
        slow.result = "too late"
    with once("a") as later:
        result = later.result

    assert refused.value.status == 409
    assert heir.first
    assert result == "the heir's"


def test_a_result_is_forgotten_after_its_time(records: Records) -> None:
    clock, done = Clock(), list[str]()
    once = Once(records, kept_s=3600, clock=clock)

    work(once, "a", done)
    clock.now += 3500
    work(once, "a", done)
    clock.now += 200
    work(once, "a", done)

    assert done == ["a", "a"]


def test_of_many_at_once_one_does_the_work(tmp_path: Path) -> None:
    once, done, start = Once(SqliteRecords(str(tmp_path / "once.db"))), list[str](), threading.Barrier(8)
    refused: list[UnderWayError] = []

    def attempt() -> None:
        start.wait(60)
        try:
            work(once, "a", done)
        except UnderWayError as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert done == ["a"]


def test_what_has_run_out_is_removed_now_and_then(tmp_path: Path) -> None:
    clock, done = Clock(), list[str]()
    records = SqliteRecords(str(tmp_path / "once.db"))
    once = Once(records, kept_s=10, clock=clock)
    for number in range(99):
        work(once, str(number), done)
    clock.now += 100
    work(once, "last", done)

    assert records._database.execute("SELECT key FROM once").fetchall() == [("last",)]


def test_a_result_that_is_no_json_is_an_error_and_gives_the_claim_back(tmp_path: Path) -> None:
    once = Once(SqliteRecords(str(tmp_path / "once.db")))

    with pytest.raises(TypeError), once("a") as visit:
        visit.result = object()
    with once("a") as again:
        first = again.first

    assert first


def test_without_a_key_there_is_no_once(tmp_path: Path) -> None:
    with pytest.raises(MLRunInvalidArgumentError, match="there is none"):
        Once(SqliteRecords(str(tmp_path / "once.db")))("")


class Charge:
    """Charges, and then loses the connection before it can say so: the answer to its first attempt never arrives."""

    charged: list[object]

    def __init__(self, path: str) -> None:
        self.once = Once(SqliteRecords(path))
        self.attempts = 0

    async def do_event(self, event: Event) -> Event:
        self.attempts += 1
        with self.once(event.idempotency_key) as visit:
            if visit.first:
                self.charged.append(event.body)
                visit.result = {"receipt": len(self.charged)}
            event.body = visit.result
        if self.attempts == 1:
            raise ConnectionResetError("the answer is lost")
        return event


def test_a_step_that_is_tried_again_charges_once(tmp_path: Path) -> None:
    charged: list[object] = []
    options = CallOptions(retry_on=("ConnectionError",), backoff_s=0.001)
    step = Step("charge", target="Own", args={"path": str(tmp_path / "once.db")}, call=options, responder=True)
    topology = flow(step, names={"Own": type("Own", (Charge,), {"charged": charged})})

    first = answer(topology, {"amount": 5}, id="order-1")
    repeated = answer(topology, {"amount": 5}, id="order-1")
    other = answer(topology, {"amount": 7}, id="order-2")

    assert (first, repeated, other) == ({"receipt": 1}, {"receipt": 1}, {"receipt": 2})
    assert charged == [{"amount": 5}, {"amount": 7}]
