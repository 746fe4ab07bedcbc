"""The runtime inside a function: cold start, round trips, and what its import costs.

Everything is measured on a bundle as it is built and unpacked, with its own bytecode. A process is started by `posix_spawn`, which costs
the same little for all. Imports are measured by the processor's time, which other processes hardly change; starts and round trips by the
clock. Rounds are interleaved, so that noise of the machine meets every candidate alike; figures are medians, and ratios are what counts.
The target is that the shipped part, started as the loop is (`-I -S`), imports in at most twice the time of `python -c pass`.

    python tests/benchmarks/bench_runtime.py [--quick] [--no-peers]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from fnkit.manifest.model import Flow, Function, Manifest, Step
from tests.contract.bundles import build_bundles
from tests.contract.hosts import environment, managed_command
from tests.fakes.runtime_api import FakeRuntimeApi

ROUNDS = 41
QUICK_ROUNDS = 9
CALLS = 300
TARGET = 2.0
PAYLOAD = {"text": "x" * 1000}


def build(out: Path) -> Path:
    """Return the folder of a bundle with one synchronous step."""
    step = Step("echo", target="steps:Plain", responder=True)
    manifest = Manifest("graph", Flow((step,)), functions=(Function("graph", "entry", module="steps"),))
    project = out / "project"
    project.mkdir()
    (project / "steps.py").write_text("class Plain:\n    def do(self, body):\n        return body\n")
    return build_bundles(manifest, project, out / "built").entry


def own(bundle: Path) -> list[str]:
    """Return what the exec wrapper executes."""
    return [sys.executable, "-I", "-S", str(bundle / "fnkit" / "runtime" / "__main__.py")]


@dataclass(frozen=True, slots=True)
class Ran:
    """How long a process ran, by the clock and by the processor."""

    clock_s: float
    processor_s: float


def run(command: list[str], environ: dict[str, str]) -> Ran:
    """Run *command* from its start to its end."""
    begin = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environ)
    _, status, usage = os.wait4(pid, 0)
    took = time.perf_counter() - begin
    if status:
        raise SystemExit(f"{command} ended with status {status}")
    return Ran(took, usage.ru_utime + usage.ru_stime)


def cold(command: list[str], bundle: Path) -> float:
    """Return the seconds from the start of a worker to its first answer; the event waits for it."""
    with FakeRuntimeApi() as api:
        exchange = api.invoke(PAYLOAD)
        environ = environment(bundle, api.address, PYTHONPATH=str(bundle) if "awslambdaric" in command else "")
        begin = time.perf_counter()
        process = subprocess.Popen(command, env=environ, cwd=bundle, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        exchange.wait()
        took = time.perf_counter() - begin
        process.kill()
        process.wait()
        return took


class LeanApi:
    """A Runtime API that costs next to nothing: one blocking connection, answered by the thread that measures."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._connection: socket.socket | None = None
        self._buffer = b""
        body = json.dumps(PAYLOAD).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: r\r\nContent-Length: {len(body)}"
        self._event = head.encode() + b"\r\nLambda-Runtime-Deadline-Ms: 9999999999999\r\n\r\n" + body

    def run(self, calls: int) -> None:
        """Hand out *calls* events and take their answers, then stop at the next poll."""
        done = 0
        while True:
            head = self._until_head()
            assert self._connection is not None
            if head.startswith(b"GET"):
                if done == calls:
                    self._buffer = head + b"\r\n\r\n" + self._buffer  # answered by the next run
                    return
                self._connection.sendall(self._event)
                continue
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            while len(self._buffer) < size:
                self._buffer += self._connection.recv(65536)
            self._buffer = self._buffer[size:]
            self._connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
            done += 1

    def _until_head(self) -> bytes:
        while b"\r\n\r\n" not in self._buffer:
            data = self._connection.recv(65536) if self._connection is not None else b""
            if not data:
                self._connection, _ = self._server.accept()
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head

    def close(self) -> None:
        """Close both sockets."""
        self._server.close()
        if self._connection is not None:
            self._connection.close()


class Warm:
    """A worker that has answered once, and its Runtime API."""

    def __init__(self, command: list[str], bundle: Path) -> None:
        self.api = LeanApi()
        environ = environment(bundle, self.api.address, PYTHONPATH=str(bundle) if "awslambdaric" in command else "")
        self.process = subprocess.Popen(command, env=environ, cwd=bundle, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.api.run(10)

    def round(self) -> float:
        """Return the seconds of one round trip, over a number of them."""
        begin = time.perf_counter()
        self.api.run(CALLS)
        return (time.perf_counter() - begin) / CALLS

    def close(self) -> None:
        """End both."""
        self.process.kill()
        self.process.wait()
        self.api.close()


def interleaved(candidates: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the median of each candidate over *rounds*."""
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, measure in candidates.items():
            found[name].append(measure())
    return {name: median(values) for name, values in found.items()}


def show(title: str, found: dict[str, float], unit: str, factor: float, base: str) -> None:
    """Print one table."""
    print(f"\n{title}")
    for name, value in found.items():
        print(f"  {name:<44} {value * factor:10.2f} {unit}   x{value / found[base]:.2f}")


def import_times(bundle: Path, rounds: int, *, peers: bool) -> dict[str, float]:
    """Return the processor's seconds of processes that only import something."""
    bare = {"PATH": os.environ["PATH"]}
    shipped = f"import sys; sys.path.insert(0, {str(bundle)!r}); import fnkit.runtime.loop; assert 'asyncio' not in sys.modules"
    programs = {
        "python -c pass": ["-c", "pass"],
        "python -I -S -c pass": ["-I", "-S", "-c", "pass"],
        "python -I -S, import json, socket": ["-I", "-S", "-c", "import json, socket"],
        "shipped part, -I -S": ["-I", "-S", "-c", shipped],
    }
    if peers:
        programs["import awslambdaric.bootstrap"] = ["-c", "import awslambdaric.bootstrap"]

    def timed(arguments: list[str]) -> Callable[[], float]:
        return lambda: run([sys.executable, *arguments], bare).processor_s

    return interleaved({name: timed(arguments) for name, arguments in programs.items()}, rounds)


def start_times(bundle: Path, rounds: int, *, peers: bool) -> dict[str, float]:
    """Return the seconds from the start of a process to its first answer, beside those of a bare Python from start to end."""
    bare = {"PATH": os.environ["PATH"]}
    starts: dict[str, Callable[[], float]] = {
        "python -c pass": lambda: run([sys.executable, "-c", "pass"], bare).clock_s,
        "our loop": lambda: cold(own(bundle), bundle),
    }
    if peers:
        starts["awslambdaric with our handler"] = lambda: cold(managed_command(), bundle)
    return interleaved(starts, rounds)


def trip_times(bundle: Path, rounds: int, *, peers: bool) -> dict[str, float]:
    """Return the seconds of a round trip between a warm worker and its Runtime API."""
    workers = {"our loop": Warm(own(bundle), bundle)}
    if peers:
        workers["awslambdaric with our handler"] = Warm(managed_command(), bundle)
    try:
        return interleaved({name: worker.round for name, worker in workers.items()}, rounds)
    finally:
        for worker in workers.values():
            worker.close()


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds in place of {ROUNDS}")
    parser.add_argument("--no-peers", action="store_true", help="without awslambdaric")
    options = parser.parse_args(arguments)
    rounds, peers = QUICK_ROUNDS if options.quick else ROUNDS, not options.no_peers
    with tempfile.TemporaryDirectory() as folder:
        bundle = build(Path(folder))
        imports = import_times(bundle, rounds, peers=peers)
        show("import of the shipped part", imports, "ms", 1000, "python -c pass")
        ratio = imports["shipped part, -I -S"] / imports["python -c pass"]
        print(f"  target: at most x{TARGET:g}: {'met' if ratio <= TARGET else 'MISSED'} with x{ratio:.2f}")
        starts = start_times(bundle, rounds, peers=peers)
        show("cold start, exec to the first answer", starts, "ms", 1000, "python -c pass")
        trips = trip_times(bundle, min(rounds, QUICK_ROUNDS), peers=peers)
        show("round trip of 1 KB, warm, against a bare Runtime API", trips, "us", 1e6, "our loop")
    print(json.dumps({"imports": imports, "starts": starts, "trips": trips}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
