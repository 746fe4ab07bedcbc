"""What large bodies cost those who send small ones: the latency of small requests at a router, alone and beside large requests.

    python tests/benchmarks/bench_large_bodies.py [--quick] [--rounds 3] [--seconds 4] [--megabytes 10]

One process serves the models, one is the router, one sends the large bodies, this one sends small requests on one connection, one
every few milliseconds, and notes how long each took. All share the machine; what the large body itself costs the machine is seen
with the plain sequence, which looks into no body on the way in.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.bench_inference_graph import start_router  # found where this file stands

CONDITION: Final = "[@this].#(rows.#(id==-1))"
SMALL: Final = b'{"rows":[{"id":0}]}'
EVERY_S: Final = 0.005


def rows(megabytes: float) -> bytes:
    row = b'{"id": 1, "name": "row 1", "tags": ["a", "b"], "score": 0.001}, '
    return b'{"rows":[' + row * int(megabytes * 1e6 / len(row)) + b'{"id":2}]}'


def graphs(url: str) -> dict[str, dict[str, object]]:
    """Return the specs to measure; small requests are routed in the same way as large ones."""
    step = {"serviceUrl": url}

    def root(router_type: str, *steps: dict[str, object]) -> dict[str, object]:
        return {"nodes": {"root": {"routerType": router_type, "steps": list(steps)}}}

    return {
        "sequence": root("Sequence", {**step}),
        "switch": root("Switch", {**step, "condition": CONDITION}, {**step, "condition": "rows.#"}),
        "ensemble": root("Ensemble", {**step}, {**step}),
    }


class Echo(asyncio.Protocol):
    """A model that answers with its input."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parts: list[bytes] = []
        self.missing = -1

    def data_received(self, data: bytes) -> None:
        if self.missing < 0:
            head, _, data = (b"".join(self.parts) + data).partition(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            self.missing, self.parts = int(length.partition(b":")[2]), []
        self.parts.append(data)
        self.missing -= len(data)
        if not self.missing:
            body = b"".join(self.parts)
            self.parts, self.missing = [], -1
            reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self.transport.writelines([reply, body])  # type: ignore[attr-defined]  # a stream transport


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, body: bytes) -> int:
    """Send one request and read the answer; return its status."""
    writer.write(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n\r\n%b" % (port, len(body), body))
    head = await reader.readuntil(b"\r\n\r\n")
    if b"chunked" in head:
        while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    else:
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    return int(head.split(b" ")[1])


async def send_large(port: int, megabytes: float, seconds: float) -> None:
    """Send large bodies one after the other, as many as begin in time; print how many were answered."""
    body, answered = rows(megabytes), 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    until = time.monotonic() + seconds
    print("begun", flush=True)
    while time.monotonic() < until:
        status = await ask(reader, writer, port, body)
        assert status == 200, status
        answered += 1
    print(answered, flush=True)
    writer.close()


@dataclass(frozen=True, slots=True)
class Measured:
    """Latencies of small requests in milliseconds, and how many large ones were answered meanwhile."""

    p50_ms: float
    p99_ms: float
    worst_ms: float
    large: int


async def send_small(port: int, seconds: float) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.perf_counter()
        await ask(reader, writer, port, SMALL)
        took.append(time.perf_counter() - begun)
        await asyncio.sleep(EVERY_S)
    writer.close()
    return sorted(took)


def measure(port: int, megabytes: float, seconds: float) -> Measured:
    """Measure one router; without megabytes, small requests alone."""
    large = 0
    if megabytes:
        command = [sys.executable, __file__, "send", str(port), str(megabytes), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        took = asyncio.run(send_small(port, seconds))
        large = int(process.communicate()[0] or 0)
    else:
        took = asyncio.run(send_small(port, seconds))
    return Measured(took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000, took[-1] * 1000, large)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--no-peers", action="store_true", help="changes nothing: there is no peer to start")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 2
    command = [sys.executable, __file__, "serve"]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    port = int(service.stdout.readline())
    routers = {name: start_router(spec) for name, spec in graphs(f"http://127.0.0.1:{port}/").items()}
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(f"{'graph':10} {'beside':>10} {'p50 ms':>8} {'p99 ms':>8} {'worst ms':>9} {'large answered':>15}")
    try:
        for name, (_, router) in routers.items():
            for megabytes in (0, options.megabytes):
                runs = [measure(router, megabytes, options.seconds) for _ in range(options.rounds)]
                p50, p99, worst = (statistics.median(getattr(run, f) for run in runs) for f in ("p50_ms", "p99_ms", "worst_ms"))
                beside = f"{megabytes:g} MB" if megabytes else "nothing"
                print(f"{name:10} {beside:>10} {p50:8.2f} {p99:8.1f} {worst:9.1f} {sum(run.large for run in runs):15}")
    finally:
        for process, _ in routers.values():
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        service.kill()
        service.wait()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(serve())
        case ["send", at, size, time_s]:
            asyncio.run(send_large(int(at), float(size), float(time_s)))
        case _:
            main()
