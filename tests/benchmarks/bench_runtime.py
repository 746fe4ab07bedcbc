"""The runtime inside a function: cold start, round trips, and what its import costs.

Rounds are interleaved, so that noise of the machine meets every candidate alike; figures are medians, and ratios are what counts.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from fnkit.manifest.model import Flow, Function, Manifest, Step
from tests.contract.bundles import build_bundles
from tests.contract.hosts import environment, managed_command
from tests.fakes.runtime_api import FakeRuntimeApi

ROUNDS = 9
CALLS = 300
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


def seconds(command: list[str], environ: dict[str, str]) -> float:
    """Return how long *command* runs."""
    begin = time.perf_counter()
    subprocess.run(command, env=environ, check=True)
    return time.perf_counter() - begin


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


def interleaved(candidates: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Return the median of each candidate."""
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, measure in candidates.items():
            found[name].append(measure())
    return {name: median(values) for name, values in found.items()}


def show(title: str, found: dict[str, float], unit: str, factor: float, base: str) -> None:
    """Print one table."""
    print(f"\n{title}")
    for name, value in found.items():
        print(f"  {name:<44} {value * factor:10.2f} {unit}   x{value / found[base]:.2f}")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = build(Path(folder))
        bare = {"PATH": os.environ["PATH"]}
        shipped = (
            f"import sys; sys.path.insert(0, {str(bundle)!r}); import fnkit.runtime.loop; "
            f"assert 'asyncio' not in sys.modules and 'http.client' not in sys.modules"
        )
        imports = interleaved(
            {
                "python -c pass": lambda: seconds([sys.executable, "-c", "pass"], bare),
                "python -I -S -c pass": lambda: seconds([sys.executable, "-I", "-S", "-c", "pass"], bare),
                "python -I -S, import dataclasses, json, socket": lambda: seconds(
                    [sys.executable, "-I", "-S", "-c", "import dataclasses, json, socket"], bare
                ),
                "shipped part, -I -S": lambda: seconds([sys.executable, "-I", "-S", "-c", shipped], bare),
                "import awslambdaric.bootstrap": lambda: seconds([sys.executable, "-c", "import awslambdaric.bootstrap"], bare),
            }
        )
        show("import of the shipped part", imports, "ms", 1000, "python -c pass")
        starts = interleaved(
            {
                "python -c pass": lambda: seconds([sys.executable, "-c", "pass"], bare),
                "our loop": lambda: cold(own(bundle), bundle),
                "awslambdaric with our handler": lambda: cold(managed_command(), bundle),
            }
        )
        show("cold start, exec to the first answer", starts, "ms", 1000, "python -c pass")
        workers = {"our loop": Warm(own(bundle), bundle), "awslambdaric with our handler": Warm(managed_command(), bundle)}
        trips = interleaved({name: worker.round for name, worker in workers.items()})
        show("round trip of 1 KB, warm, against a bare Runtime API", trips, "us", 1e6, "our loop")
        for worker in workers.values():
            worker.close()
        print(json.dumps({"imports": imports, "starts": starts, "trips": trips}))


if __name__ == "__main__":
    main()
