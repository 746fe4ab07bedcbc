"""A load on a graph with a queue: numbered events under keys, which of them were accepted, what came out, and what goes wrong meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fnkit.functions.queues.local import LocalQueue
from tests.fakes.emulator_process import REPOSITORY, EmulatorProcess, start
from tests.fakes.patience import wait_until
from tests.fakes.ports import free_port

PROJECT = Path(__file__).parents[1] / "projects" / "queues"
KEYS_EACH = 4
Event = tuple[str, int]
Report = Callable[[str, object], None]


def build_orders(out: Path, path: str, *, project: str = "serve.py", **args: object) -> Path:
    """Build a graph of tests/projects/queues with the queue at *path* into *out*."""
    environ = {**os.environ, "QUEUE_PATH": path, "QUEUE_ARGS": json.dumps(args)}
    command = [sys.executable, "-m", "fnkit", "build", str(PROJECT / project), "--output", str(out)]
    done = subprocess.run(command, check=False, env=environ, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@dataclass(slots=True)
class Host:
    """An emulator that may be killed and started again, on one port and over one folder of queues.

    Events are posted to *path* with *headers*; *graph* is the name of the emulated graph.
    """

    target: Path
    folder: Path
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    graph: str = "orders"
    running: EmulatorProcess | None = None

    @property
    def sink(self) -> Path:
        return self.folder / "sink"

    @property
    def queues(self) -> Path:
        return self.folder / "queues" / self.graph

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

    def kill(self, *, group: bool = False) -> None:
        """Kill the emulator: its main process alone, or the *group* of its own processes, as a terminal that is torn away does."""
        assert self.running is not None
        if group:
            os.killpg(self.running.process.pid, signal.SIGKILL)
        else:
            self.running.process.send_signal(signal.SIGKILL)
        self.running.close()

    def stop(self) -> None:
        """End the emulator as Ctrl-C does: it finishes what it has begun."""
        assert self.running is not None
        if self.running.process.poll() is None:
            self.running.process.send_signal(signal.SIGTERM)
        assert self.running.process.wait(60) == 0
        self.running.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let none of its processes do anything while the block runs."""
        assert self.running is not None
        stopped = self.running.pids
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def environments(self) -> list[int]:
        """Return the processes that run the functions, or are ready to.

        Each leads a process group of its own, and so does the process that it was forked from.
        """
        assert self.running is not None
        leaders = [pid for pid in self.running.pids if _group(pid) == pid]
        return [pid for pid in leaders if _parent(pid) in leaders]

    def post(self, body: object, connection: http.client.HTTPConnection | None = None) -> int:
        """Send one event and return the status; OSError or HTTPException if nobody said what became of it."""
        used = connection or self.connect()
        try:
            used.request("POST", self.path, json.dumps(body), {"content-type": "application/json", **self.headers})
            answer = used.getresponse()
            answer.read()
            return answer.status
        finally:
            if connection is None:
                used.close()

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is opened when it is used."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def complaints(self) -> list[str]:
        """What the emulator that runs now has said of failures."""
        assert self.running is not None
        return [str(event.get("message", "")) for event in self.running.told() if event.get("event") == "failure"]

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
def hosted(target: Path, folder: Path, *options: str, **fields: Any) -> Iterator[Host]:
    """Run the emulator over *target*; it is ended in the end, whatever happens. *fields* are those of `Host`."""
    host = Host(target, folder, options, **fields)
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
    status: int = 200
    began: float = field(default_factory=time.monotonic)
    _cut: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        for sender in range(self.senders):
            thread = threading.Thread(target=self._send, args=(sender,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait_until_accepted(self, number: int) -> None:
        wait_until(lambda: len(self.accepted) >= number, f"{number} events to be accepted", patience_s=300)

    def go_through_kills(self) -> None:
        """Begin; kill the emulator's main process after a third of the events, and all of its processes after two thirds."""
        self.begin()
        for part, group in ((1, False), (2, True)):
            self.wait_until_accepted(part * self.count // 3)
            self.host.kill(group=group)
            self.host.start()

    def cut(self) -> None:
        """Send no more: what has been accepted by now is all there is."""
        self._cut.set()
        self.finish()
        self.count = len(self.accepted)

    def finish(self) -> None:
        for thread in self._threads:
            thread.join(300)
            assert not thread.is_alive(), "a sender hangs"

    def _send(self, sender: int) -> None:
        connection = self.host.connect()
        for number in range(sender, self.count, self.senders):
            key = f"k{sender}.{number // self.senders % KEYS_EACH}"
            while not self._cut.is_set() and not self._accepted(key, number, connection):
                select.select([], [], [], 0.02)
        connection.close()

    def _accepted(self, key: str, number: int, connection: http.client.HTTPConnection) -> bool:
        try:
            status = self.host.post({"key": key, "n": number}, connection)
        except (OSError, http.client.HTTPException):
            connection.close()  # and opened again by the next request
            status = 0
        with self._lock:
            if status == self.status:
                self.accepted.add((key, number))
                return True
            self.refused += 1
        return False


@contextmanager
def sniping(host: Host, *, every_s: float = 0.2, seed: int = 5) -> Iterator[list[int]]:
    """Kill a process that runs functions, chosen at random, every now and then while the block runs; gives the list of the killed."""
    over, choose, shot = threading.Event(), random.Random(seed), list[int]()

    def snipe() -> None:
        while not over.wait(every_s):
            with suppress(OSError):  # it may have ended by itself, and so may the emulator
                if targets := host.environments():
                    os.kill(pid := choose.choice(targets), signal.SIGKILL)
                    shot.append(pid)

    thread = threading.Thread(target=snipe)
    thread.start()
    try:
        yield shot
    finally:
        over.set()
        thread.join()


def settle(
    host: Host,
    load: Load,
    record: Report,
    what: str,
    *,
    dead: str = "jobs",
    ordered: bool = True,
    trace: Callable[[Collection[Event]], str] = lambda _missed: "",
    **more: float,
) -> dict[str, float]:
    """Wait until everything that was accepted is accounted for, check it, and report the counts and *more* under *what*.

    *trace* is asked where events that are missed may have gone.
    """
    load.finish()
    with suppress(AssertionError):  # what is missing says more than that something is
        wait_until(lambda: not lost(load, host.dead(dead)), "every accepted event to be processed", patience_s=300)
    missed = sorted(lost(load, host.dead(dead)))
    assert missed == [], f"{trace(missed)}\n{host.complaints()}"
    lines = host.lines()
    counts = {
        "accepted": len(load.accepted),
        "dead letters": len(host.dead(dead)),
        "duplicates": duplicates(lines),
        "attempts of senders that failed": load.refused,
        "seconds": round(time.monotonic() - load.began, 1),
        **more,
    }
    for name, value in counts.items():
        record(f"{what}, {load.count} events: {name}", value)
    print(f"{what}: " + ", ".join(f"{value} {name}" for name, value in counts.items()))
    assert len(load.accepted) == load.count
    if ordered:
        assert out_of_order(lines) == []
    return counts


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


def event_of(data: bytes) -> Event:
    """Return the event that a message of the queue holds."""
    body = _body(data)
    return str(body["key"]), int(str(body["n"]))


def _parent(pid: int) -> int:
    return _stat(pid, 1)


def _group(pid: int) -> int:
    return _stat(pid, 2)


def _stat(pid: int, number: int) -> int:
    """Return what the kernel says of *pid* in the column *number* after its name; 0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[number])


def _body(data: bytes) -> dict[str, object]:
    found = json.loads(data)
    return dict(found["body"]) if "full_event_wrapper" in found else dict(found)
