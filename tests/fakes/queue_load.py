"""A load on a graph with a queue: numbered events under keys, which of them were accepted, and what came out."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.functions.queues.local import LocalQueue
from tests.fakes.emulator_process import REPOSITORY, EmulatorProcess, start
from tests.fakes.kafka_broker import free_port

PROJECT = Path(__file__).parents[1] / "projects" / "queues"
KEYS_EACH = 4
Event = tuple[str, int]


def build_orders(out: Path, path: str, **args: object) -> Path:
    """Build the graph of tests/projects/queues with the queue at *path* into *out*."""
    environ = {**os.environ, "QUEUE_PATH": path, "QUEUE_ARGS": json.dumps(args)}
    command = [sys.executable, "-m", "fnkit", "build", str(PROJECT / "serve.py"), "--output", str(out)]
    subprocess.run(command, check=True, env=environ, cwd=REPOSITORY, capture_output=True)
    return out


@dataclass(slots=True)
class Host:
    """An emulator that may be killed and started again, on one port and over one folder of queues."""

    target: Path
    folder: Path
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    running: EmulatorProcess | None = None

    @property
    def sink(self) -> Path:
        return self.folder / "sink"

    @property
    def queues(self) -> Path:
        return self.folder / "queues" / "orders"

    def start(self) -> None:
        options = [
            "--queue-dir",
            str(self.folder / "queues"),
            "--port",
            str(self.port),
            "--env",
            f"SINK={self.sink}",
            *self.options,
        ]
        self.running = EmulatorProcess(start(self.target, *options, environ=self.environ))

    def kill(self) -> None:
        """Kill the emulator, as a power button does."""
        assert self.running is not None
        self.running.process.send_signal(signal.SIGKILL)
        self.running.close()

    def stop(self) -> None:
        assert self.running is not None
        if self.running.process.poll() is None:
            self.running.process.send_signal(signal.SIGTERM)
        assert self.running.process.wait(60) == 0
        self.running.close()

    def post(self, body: object) -> int:
        """Send one event and return the status; OSError or HTTPException if nobody said what became of it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/", json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def lines(self) -> list[Event]:
        """What the function behind the queue has kept, in its order."""
        if not self.sink.exists():
            return []
        return [(key, int(number)) for key, number in (line.split() for line in self.sink.read_text().splitlines())]

    def dead(self, name: str = "jobs") -> list[dict[str, object]]:
        """The bodies of the dead letters of the local queue *name*."""
        if not (self.queues / f"{name}.db").exists():
            return []
        queue = LocalQueue(self.queues, name)
        try:
            return [_body(letter.message.body) for letter, _ in queue.dead_letters(100_000)]
        finally:
            queue.close()


@contextmanager
def hosted(target: Path, folder: Path, *options: str, environ: Mapping[str, str] | None = None) -> Iterator[Host]:
    """Run the emulator over *target*; it is ended in the end, whatever happens."""
    host = Host(target, folder, options, environ or {})
    host.start()
    try:
        yield host
        host.stop()
    finally:
        assert host.running is not None
        with suppress(ProcessLookupError):
            host.running.process.kill()
        host.running.close()


@dataclass(slots=True)
class Load:
    """*count* events from some senders; each sender has keys of its own and sends their events one after the other."""

    host: Host
    count: int
    senders: int = 4
    accepted: set[Event] = field(default_factory=set)
    refused: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        for sender in range(self.senders):
            thread = threading.Thread(target=self._send, args=(sender,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait_until_accepted(self, number: int) -> None:
        wait_until(lambda: len(self.accepted) >= number, f"{number} events to be accepted")

    def finish(self) -> None:
        for thread in self._threads:
            thread.join(180)
            assert not thread.is_alive(), "a sender hangs"

    def _send(self, sender: int) -> None:
        for number in range(sender, self.count, self.senders):
            key = f"k{sender}.{number // self.senders % KEYS_EACH}"
            while not self._accepted(key, number):
                select.select([], [], [], 0.02)

    def _accepted(self, key: str, number: int) -> bool:
        try:
            status = self.host.post({"key": key, "n": number})
        except (OSError, http.client.HTTPException):
            status = 0
        with self._lock:
            if status == 200:
                self.accepted.add((key, number))
                return True
            self.refused += 1
        return False


def wait_until(condition: Callable[[], bool], what: str, *, patience_s: float = 90.0) -> None:
    """Wait until *condition* holds; fail after *patience_s*."""
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, f"waited {patience_s} s for {what}"
        select.select([], [], [], 0.05)


def lost(load: Load, dead: list[dict[str, object]]) -> set[Event]:
    """Return the accepted events that were neither kept nor are dead letters."""
    buried = {(str(body["key"]), int(str(body["n"]))) for body in dead}
    return load.accepted - set(load.host.lines()) - buried


def out_of_order(lines: list[Event]) -> list[tuple[str, list[int]]]:
    """Return the keys whose events were first kept in another order than they were sent."""
    first: dict[str, list[int]] = defaultdict(list)
    for key, number in dict.fromkeys(lines):
        first[key].append(number)
    return [(key, numbers) for key, numbers in first.items() if numbers != sorted(numbers)]


def duplicates(lines: list[Event]) -> int:
    """Return how many times an event was kept once more."""
    return sum(count - 1 for count in Counter(lines).values())


def _body(data: bytes) -> dict[str, object]:
    found = json.loads(data)
    return dict(found["body"]) if "full_event_wrapper" in found else dict(found)
