"""What queues cost.

Local queue: events per second that are sent, received and deleted, each durable when `send` returns, against plain SQLite inserts and
deletes in the same journal mode, and against `persist-queue` and `litequeue` from PyPI, in an environment of their own. Kafka: through our
sender and reader, against a bare confluent-kafka loop, over librdkafka's mock broker. Hops: requests to the same two steps in one function,
in two and in three, whole answers and the first chunk of a streamed one, against a bare HTTP request. All run interleaved; medians and
ratios are shown.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from confluent_kafka import Consumer, Producer

sys.path.insert(0, str(Path(__file__).parents[2]))  # started as a script

from fnkit.bundle import build
from fnkit.functions.queues.kafka import KafkaReader, KafkaSender
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.spec import read_spec
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit.project.loaded import Loaded
from tests.fakes.emulator_process import emulator

_PROJECT = Path(__file__).parents[1] / "projects" / "queues"
BODY = json.dumps({"records": [{"int": 2, "x2": 4}], "text": "x" * 200}).encode()
PEERS = ("persist-queue", "litequeue")
HOPS = {"fused": "no call", "declared": "1 call", "step": "2 calls"}
PEER_SCRIPT = """
import sys, time, tempfile, os
kind, count, body = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with tempfile.TemporaryDirectory() as folder:
    if kind == "persist-queue":
        import persistqueue
        queue = persistqueue.SQLiteAckQueue(folder, auto_commit=True)
        start = time.perf_counter()
        for _ in range(count):
            queue.put(body)
        for _ in range(count):
            queue.ack(queue.get())
    else:
        import litequeue
        queue = litequeue.LiteQueue(os.path.join(folder, "queue.db"))
        start = time.perf_counter()
        for _ in range(count):
            queue.put(body)
        for _ in range(count):
            queue.done(queue.pop().message_id)
    print(count / (time.perf_counter() - start))
"""


def ours(batch: int, *, durable: bool) -> Callable[[int], float]:
    """Send one by one, receive and delete in batches of *batch*."""

    def run(count: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            queue = LocalQueue(folder, "bench", durable=durable)
            start = time.perf_counter()
            for _ in range(count):
                queue.send([Message(BODY)])
            while received := queue.receive(batch):
                queue.delete([one.receipt for one in received])
            rate = count / (time.perf_counter() - start)
            queue.close()
            return rate

    return run


def plain_sqlite(*, durable: bool) -> Callable[[int], float]:
    """Insert one by one, read and delete one by one: the least that a durable queue on SQLite can do."""

    def run(count: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            database = sqlite3.connect(Path(folder) / "plain.db", isolation_level=None)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            database.execute("CREATE TABLE message (position INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB)")
            start = time.perf_counter()
            for _ in range(count):
                database.execute("INSERT INTO message (body) VALUES (?)", (BODY,))
            while row := database.execute("SELECT position, body FROM message ORDER BY position LIMIT 1").fetchone():
                database.execute("DELETE FROM message WHERE position = ?", (row[0],))
            rate = count / (time.perf_counter() - start)
            database.close()
            return rate

    return run


def peer(python: Path, kind: str) -> Callable[[int], float]:
    """Run *kind* in its own environment."""

    def run(count: int) -> float:
        command = [str(python), "-c", PEER_SCRIPT, kind, str(count), BODY.decode()]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return run


def kafka_ours(brokers: str) -> Callable[[int], float]:
    """Send in batches of ten and receive through our classes."""

    def run(count: int) -> float:
        topic = f"ours-{time.monotonic_ns()}"
        spec, _ = read_spec("bench", {"path": f"kafka://{brokers}/{topic}"})
        assert spec is not None
        sender, reader = KafkaSender(spec), KafkaReader(spec, group=topic)
        while not reader.receive(1, 0.1):  # until the group has its partitions
            sender.send([Message(b"first")])
        start = time.perf_counter()
        for _ in range(count // 10):
            sender.send([Message(BODY)] * 10)
        got = 0
        while got < count // 10 * 10:
            records = reader.receive(100, 0.05)
            got += sum(record.value == BODY for record in records)
            if records:
                reader.commit(records)
        rate = count / (time.perf_counter() - start)
        sender.close()
        reader.close()
        return rate

    return run


def kafka_bare(brokers: str) -> Callable[[int], float]:
    """The same by confluent-kafka alone, with the same guarantees."""

    def run(count: int) -> float:
        topic = f"bare-{time.monotonic_ns()}"
        producer = Producer({"bootstrap.servers": brokers, "acks": "all", "enable.idempotence": True, "linger.ms": 1})
        consumer = Consumer(
            {"bootstrap.servers": brokers, "group.id": topic, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        )
        consumer.subscribe([topic])
        while all(message.error() for message in consumer.consume(1, 0.1)):
            producer.produce(topic, b"first")
            producer.flush()
        start = time.perf_counter()
        for _ in range(count // 10):
            for _ in range(10):
                producer.produce(topic, BODY)
            producer.flush()
        got = 0
        while got < count // 10 * 10:
            messages = consumer.consume(100, 0.05)
            got += sum(message.value() == BODY for message in messages)
            if messages:
                consumer.commit(asynchronous=False)
        rate = count / (time.perf_counter() - start)
        consumer.close()
        return rate

    return run


def hops(rounds: int, requests: int) -> None:
    """Show what calls between functions cost: a whole answer, and the first chunk of a streamed one, one row per placement.

    The row to compare with is one HTTP request to the emulator itself, which runs no function.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for title, first, seconds in (("whole answers", "Pass", _answer_s), ("first chunk", "Pour", _first_chunk_s)):
            urls = {"bare HTTP request": ""}
            for placement, calls in HOPS.items():
                built = _build_hops(Path(folder) / first / placement, first, placement)
                running = stack.enter_context(emulator(built, "-q"))
                urls["bare HTTP request"] = f"{running.url}_fnkit/health"
                urls[f"placement {placement}: {calls} between functions"] = running.url
            times: dict[str, list[float]] = {name: [] for name in urls}
            for _ in range(rounds):
                for name, url in urls.items():
                    times[name] += _request_times(url, requests, seconds)
            _show_hops(title, times)


def _build_hops(out: Path, first: str, placement: str) -> Path:
    """Build a flow of two steps, of which the second names a function of its own."""
    steps = (Step("one", target=f"hops:{first}"), Step("two", target="hops:Pass", after=("one",), function="two", responder=True))
    streaming = first == "Pour"
    entry = replace(Function(name="hops", kind="entry", module="hops", timeout_s=60), streaming=streaming)
    child = Function(name="two", kind="child", module="hops", timeout_s=60)
    manifest = Manifest(name="hops", spec=Flow(steps=steps), functions=(entry, child), streaming=streaming)
    build(Loaded(manifest, _PROJECT), out, placement=placement)
    return out


def _show_hops(title: str, times: dict[str, list[float]]) -> None:
    base = statistics.median(times["bare HTTP request"])
    print(f"\nHops, {title}: median of {len(times['bare HTTP request'])} requests, milliseconds")
    for name, found in times.items():
        median = statistics.median(found)
        print(f"  {name:44} {median * 1000:10.2f}  {(median - base) * 1000:+6.2f} over a bare request")


def _request_times(url: str, count: int, seconds: Callable[[http.client.HTTPConnection, str], float]) -> list[float]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    times = [seconds(connection, parts.path) for _ in range(count)]
    connection.close()
    return times[1:]  # the first may start an environment


def _answer_s(connection: http.client.HTTPConnection, path: str) -> float:
    start = time.perf_counter()
    connection.request("GET" if "health" in path else "POST", path, None if "health" in path else b'"hello"')
    connection.getresponse().read()
    return time.perf_counter() - start


def _first_chunk_s(connection: http.client.HTTPConnection, path: str) -> float:
    start = time.perf_counter()
    connection.request("GET" if "health" in path else "POST", path, None if "health" in path else b'{"chunks": 2, "size": 10}')
    answer = connection.getresponse()
    answer.read1(10)
    took = time.perf_counter() - start
    answer.read()
    return took


def compare(title: str, runs: dict[str, Callable[[int], float]], count: int, rounds: int) -> None:
    """Run *runs* interleaved and show each one's median and its share of the first."""
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            rates[name].append(run(count))
    print(f"\n{title}: {count} events, {rounds} rounds, median events/s")
    base = statistics.median(next(iter(rates.values())))
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"  {name:44} {median:10,.0f}  {median / base:6.2f} x  (from {min(found):,.0f} to {max(found):,.0f})")


def peer_python() -> Path:
    """Return the interpreter of the peers' environment, made on first use."""
    folder = Path(tempfile.gettempdir()) / "fnkit-bench-queues"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS], check=True)
    return python


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--no-peers", action="store_true", help="without packages from PyPI")
    options = parser.parse_args(arguments)
    rounds, count = (3, 1000) if options.quick else (7, 3000)
    runs = {
        "local queue, batches of 10": ours(10, durable=False),
        "local queue, one by one": ours(1, durable=False),
        "plain SQLite (WAL, NORMAL)": plain_sqlite(durable=False),
    }
    if not options.no_peers:
        python = peer_python()
        runs |= {kind: peer(python, kind) for kind in PEERS}
    compare("Survives kill -9", runs, count, rounds)
    survives = {"local queue, batches of 10": ours(10, durable=True), "plain SQLite (WAL, FULL)": plain_sqlite(durable=True)}
    compare("Survives a power cut (fsync each commit)", survives, count // 10, rounds)
    owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = ",".join(f"{broker.host}:{broker.port}" for broker in owner.list_topics(timeout=10).brokers.values())
    compare(
        "Kafka",
        {"our sender and reader": kafka_ours(brokers), "bare confluent-kafka": kafka_bare(brokers)},
        count,
        min(rounds, 3),
    )
    hops(rounds, 60 if options.quick else 200)


if __name__ == "__main__":
    main()
