"""What KServe's graphs cost behind `fnkit router`: requests per second and latency against a direct call of the service.

    python tests/benchmarks/bench_inference_graph.py [--rounds 5] [--seconds 0.7] [--connections 1,16,64]

One process serves the models, one is the router, this one is the client; all share the machine. Every round measures every graph and
the direct call, so that what else the machine does falls on all of them; medians of the rounds are shown. The last column is what a
graph adds to a direct call at the median, per request at one connection.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial

from fnkit.net.http1 import find_head

BODY = b'{"instances":[[6.8,2.8,4.8,1.4],[6.0,3.4,4.5,1.6]]}'
ANSWER = b'{"predictions":[1,1]}'
CONDITION_NO = "[@this].#(instances.0.0>100)"
CONDITION_YES = "[@this].#(instances.0.0<=100)"


def graphs(url: str) -> dict[str, dict[str, object]]:
    """Return the specs to measure, all of whose steps call *url*."""
    step: dict[str, object] = {"serviceUrl": url}

    def root(router_type: str, *steps: dict[str, object]) -> dict[str, object]:
        return {"nodes": {"root": {"routerType": router_type, "steps": list(steps)}}}

    return {
        "sequence 1": root("Sequence", step),
        "sequence 3": root("Sequence", *[step] * 3),
        "switch": root("Switch", {**step, "condition": CONDITION_NO}, {**step, "condition": CONDITION_YES}),
        "splitter": root("Splitter", {**step, "weight": 50}, {**step, "weight": 50}),
        "ensemble 3": root("Ensemble", *[step] * 3),
    }


class Service(asyncio.Protocol):
    """The quickest model there is: it finds the end of a request and answers."""

    _reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        _, after = find_head(self.buffer)
        if after >= 0 and len(self.buffer) >= after + len(BODY):
            self.buffer = b""
            self.transport.write(self._reply)  # type: ignore[attr-defined]  # a stream transport


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Asking(asyncio.Protocol):
    """One connection that asks again as soon as it is answered, until the time is up."""

    def __init__(self, request: bytes, until: float, took: list[float], done: asyncio.Future[None]) -> None:
        self.request, self.until, self.took, self.done = request, until, took, done
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.begun = time.perf_counter()
        self.transport.write(self.request)  # type: ignore[attr-defined]  # a stream transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.buffer.endswith(b"}"):
            return
        now = time.perf_counter()
        if not self.buffer.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self.buffer.decode()))
            return
        self.took.append(now - self.begun)
        self.buffer = b""
        if now < self.until:
            self.ask()
        else:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement."""

    per_second: float
    p50_ms: float
    p99_ms: float


async def load(port: int, connections: int, seconds: float) -> Measured:
    request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    loop = asyncio.get_running_loop()
    took: list[float] = []
    begun = time.perf_counter()
    dones = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        dones.append(done)
        asking = partial(Asking, request % (port, len(BODY), BODY), begun + seconds, took, done)
        await loop.create_connection(asking, "127.0.0.1", port)
    await asyncio.gather(*dones)
    spent = time.perf_counter() - begun
    took.sort()
    return Measured(len(took) / spent, took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000)


def start_router(spec: dict[str, object]) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-m", "fnkit", "router", "--graph-json", json.dumps(spec), "--port", "0", "--json",
               "--drain-seconds", "0"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    return process, int(ready["url"].rstrip("/").rpartition(":")[2])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--no-peers", action="store_true", help="changes nothing: there is no peer to start")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.3
    service = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    port = int(service.stdout.readline())
    routers = {name: start_router(spec) for name, spec in graphs(f"http://127.0.0.1:{port}/").items()}
    ports = {"direct": port, **{name: router_port for name, (_, router_port) in routers.items()}}
    try:
        results = measure(ports, [int(n) for n in options.connections.split(",")], options.rounds, options.seconds)
        show(results, as_json=options.json)
    finally:
        for process, _ in routers.values():
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        service.kill()
        service.wait()


def measure(ports: dict[str, int], connections: list[int], rounds: int, seconds: float) -> dict[tuple[str, int], list[Measured]]:
    results: dict[tuple[str, int], list[Measured]] = {}
    for at in range(rounds + 1):
        for count in connections:
            for name, port in ports.items():
                measured = asyncio.run(load(port, count, seconds))
                if at:  # the first round warms up
                    results.setdefault((name, count), []).append(measured)
    return results


def show(results: dict[tuple[str, int], list[Measured]], *, as_json: bool) -> None:
    def median(name: str, count: int, field: str) -> float:
        return float(statistics.median(getattr(one, field) for one in results[name, count]))

    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(f"{'graph':12} {'conns':>5} {'req/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'over direct ms':>15}")
    for name, count in results:
        row = [median(name, count, field) for field in ("per_second", "p50_ms", "p99_ms")]
        over = row[1] - median("direct", count, "p50_ms")
        print(f"{name:12} {count:5} {row[0]:9.0f} {row[1]:8.3f} {row[2]:8.2f} {over:15.3f}")
        if as_json:
            print(json.dumps({"graph": name, "connections": count, "per_second": row[0], "p50_ms": row[1], "p99_ms": row[2]}))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
