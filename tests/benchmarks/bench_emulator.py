"""The emulator and the container's server against the plain limit: chunks, warm requests, cold starts.

Rounds are interleaved; printed are medians, and ratios to the limit of the same table. The client is one process of plain sockets, so
absolute rates are those of a Python client on this machine; the ratios are what counts.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import uvicorn

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from fnkit.bundle import build, read_bundles  # noqa: E402
from fnkit.deploy.container import write_context  # noqa: E402
from fnkit.manifest import Flow, Function, Manifest, Step  # noqa: E402
from fnkit.project.loaded import Loaded  # noqa: E402
from tests.fakes.containers import container  # noqa: E402
from tests.fakes.emulator_process import emulator  # noqa: E402

CHUNK = b"x" * 49 + b"\n"
Address = tuple[str, int]


def main(arguments: Sequence[str]) -> int:
    """Print the three tables; `--quick` takes fewer rounds."""
    quick = "--quick" in arguments
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        base = Path(folder)
        chunks(stack, base, rounds=3 if quick else 9, count=2_000 if quick else 10_000)
        requests(stack, base, rounds=3 if quick else 7, seconds=0.3 if quick else 1.0)
        cold_starts(stack, base, rounds=5 if quick else 25)
    return 0


def build_bench(out: Path, step: str, *, streaming: bool) -> Path:
    """Build the graph of one of bench.py's steps."""
    entry = replace(Function(name="graph", kind="entry", module="bench"), timeout_s=60)
    flow = Flow(steps=(Step(name="step", target=f"bench:{step}", responder=True),))
    manifest = Manifest(name="graph", spec=flow, functions=(entry,), streaming=streaming)
    build(Loaded(manifest, ROOT / "tests" / "projects" / "emulator"), out, placement="fused")
    return out


def contained(stack: ExitStack, out: Path, step: str) -> Address:
    """Start what the Dockerfile of such a graph starts, for as many requests at a time as are sent; return its address."""
    built = read_bundles(build_bench(out, step, streaming=True))
    (bundle,) = built.bundles
    write_context(built.manifest, bundle, out / "context")
    running = stack.enter_context(container(out / "context", out / "log", {"FNKIT_CONCURRENCY": "16"}))
    return address_of(running.url)


# ---- streamed chunks


def chunks(stack: ExitStack, base: Path, *, rounds: int, count: int) -> None:
    """µs per chunk of 50 bytes of one long stream, and the time to the first byte of one whose machine is not busy with the rest."""
    running = stack.enter_context(emulator(build_bench(base / "chunks", "Chunks", streaming=True), "-q"))
    cases = {
        "raw socket writer (limit)": stack.enter_context(child(raw_writer)),
        "uvicorn, bare ASGI stream": stack.enter_context(child(asgi_stream)),
        "emulator": address_of(running.url),
        "container": contained(stack, base / "contained", "Chunks"),
        "container, async step": contained(stack, base / "contained-async", "AsyncChunks"),
    }
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for address in cases.values():
        stream_once(address, count)
    for _ in range(rounds):
        for name, address in cases.items():
            figures[name].append((stream_once(address, 1)[0], stream_once(address, count)[1]))
    print(f"\none stream of {count} chunks of {len(CHUNK)} bytes")
    limit = statistics.median(total for _, total in figures["raw socket writer (limit)"])
    for name, times in figures.items():
        first, total = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"  {name:28} {total / count * 1e6:7.2f} us/chunk  x {total / limit:5.2f}   first byte {first * 1000:6.2f} ms")


def stream_once(address: Address, count: int) -> tuple[float, float]:
    """Ask for *count* chunks on a new connection; return the seconds to the first byte of the body and to the end."""
    body = json.dumps({"chunks": count}).encode()
    with connect(address) as client:
        begin = time.perf_counter()
        client.sendall(request(body))
        data = b""
        while not data.partition(b"\r\n\r\n")[2]:
            data += client.recv(65536)
        first = time.perf_counter() - begin
        size = len(data)
        tail = data[-5:]
        while tail != b"0\r\n\r\n":
            data = client.recv(1 << 20)
            assert data, "the stream was cut off"
            size += len(data)
            tail = (tail + data)[-5:]
        total = time.perf_counter() - begin
    assert size > count * len(CHUNK)
    return first, total


def raw_writer(ready: Connection) -> None:
    """Write a chunked answer with one send per chunk: what a server can do at best that passes each chunk on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ready.send(server.getsockname())
        while True:
            client, _ = server.accept()
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                count = json.loads(read_request(client))["chunks"]
                client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")
                for _ in range(count):
                    client.sendall(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
                client.sendall(b"0\r\n\r\n")


# ---- warm requests


def requests(stack: ExitStack, base: Path, *, rounds: int, seconds: float) -> None:
    """Requests a second and latency of warm requests on kept connections."""
    bundles = build_bench(base / "echo", "Echo", streaming=False)
    cases = {
        "uvicorn, bare ASGI echo": stack.enter_context(child(asgi_echo)),
        "emulator": address_of(stack.enter_context(emulator(bundles, "-q")).url),
        "container": contained(stack, base / "contained-echo", "Echo"),
        "container, async step": contained(stack, base / "contained-async-echo", "AsyncEcho"),
        "emulator, awslambdaric": address_of(stack.enter_context(emulator(bundles, "-q", "--runtime", "managed")).url),
    }
    for connections in (1, 16):
        figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in cases}
        for address in cases.values():
            load(address, connections, 0.3)
        for _ in range(rounds):
            for name, address in cases.items():
                figures[name].append(load(address, connections, seconds))
        print(f"\nwarm requests, {connections} connection{'s' if connections > 1 else ''}")
        limit = statistics.median(rate for rate, _, _ in figures["uvicorn, bare ASGI echo"])
        for name, found in figures.items():
            rate, half, worst = (statistics.median(column) for column in zip(*found, strict=True))
            print(f"  {name:28} {rate:7.0f}/s  x {rate / limit:5.2f}   p50 {half * 1000:6.2f}  p99 {worst * 1000:6.2f} ms")


def load(address: Address, connections: int, seconds: float) -> tuple[float, float, float]:
    """Keep *connections* busy for *seconds*; return requests a second, and the 50th and 99th percentile in seconds."""
    message = request(b'{"name": "world", "n": 41}')
    clients = {client.fileno(): client for client in (connect(address) for _ in range(connections))}
    sent: dict[int, float] = {}
    times: list[float] = []
    poller = select.epoll()
    for number, client in clients.items():
        poller.register(number, select.EPOLLIN)
        sent[number] = time.perf_counter()
        client.sendall(message)
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or not times:  # on a very busy machine the first answer may take longer
        for number, _ in poller.poll(1):
            read_answer(clients[number])
            now = time.perf_counter()
            times.append(now - sent[number])
            sent[number] = now
            clients[number].sendall(message)
    elapsed = time.perf_counter() - begin
    poller.close()
    for client in clients.values():
        client.close()
    times.sort()
    return len(times) / elapsed, times[len(times) // 2], times[int(len(times) * 0.99)]


def asgi_echo(ready: Connection) -> None:
    """Serve an ASGI application that answers with the body, and nothing else."""

    async def app(scope: Mapping[str, object], receive: Callable, send: Callable) -> None:  # type: ignore[type-arg]  # ASGI
        message = await receive()
        body = json.dumps(json.loads(message["body"])).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    serve_asgi(app, ready)


def asgi_stream(ready: Connection) -> None:
    """Serve an ASGI application that streams chunks, and nothing else."""

    async def app(scope: Mapping[str, object], receive: Callable, send: Callable) -> None:  # type: ignore[type-arg]  # ASGI
        count = json.loads((await receive())["body"])["chunks"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for _ in range(count):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    serve_asgi(app, ready)


def serve_asgi(app: Callable, ready: Connection) -> None:  # type: ignore[type-arg]  # ASGI
    """Serve *app* with uvicorn alone."""
    # Created with its protocol named: asyncio turns Nagle off only where it knows that a socket is TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as server:
        server.bind(("127.0.0.1", 0))
        ready.send(server.getsockname())
        config = uvicorn.Config(app, http="httptools", loop="asyncio", lifespan="off", access_log=False, log_level="critical")
        uvicorn.Server(config).run(sockets=[server])


# ---- cold starts


def cold_starts(stack: ExitStack, base: Path, *, rounds: int) -> None:
    """The time to the answer of an event that finds no environment."""
    bundles = build_bench(base / "cold", "Echo", streaming=False)
    cases = {
        "forked": stack.enter_context(emulator(bundles)),
        "spawned": stack.enter_context(emulator(bundles, "--no-fork")),
        "spawned, awslambdaric": stack.enter_context(emulator(bundles, "--runtime", "managed")),
    }
    figures: dict[str, list[float]] = {"python -I -S -c pass": [], **{name: [] for name in cases}}
    for round_number in range(rounds + 1):
        figures["python -I -S -c pass"].append(bare_python())
        for name, running in cases.items():
            seconds = cold_once(address_of(running.url))
            if round_number:
                figures[name].append(seconds)
    print("\ncold start: request sent until answered by a new environment")
    limit = statistics.median(figures["python -I -S -c pass"])
    for name, times in figures.items():
        middle = statistics.median(times)
        print(f"  {name:28} {middle * 1000:7.2f} ms  x {middle / limit:5.2f}   min {min(times) * 1000:.2f}")
    for name, running in cases.items():
        running.wait_for(lambda event: event["event"] == "invocation")
        drain(running)
        inits = [event["init_ms"] for event in running.events if event.get("cold")]
        print(f"  {name:28} of which to its first poll: median {statistics.median(inits):.2f} ms")


def cold_once(address: Address) -> float:
    """Have the environment end itself, and time the next request."""
    with connect(address) as client:
        client.sendall(request(b'{"exit": true}'))
        read_answer(client, b"502")
        time.sleep(0.1)  # lets the emulator clear up: what is timed is a start, not the end before it
        begin = time.perf_counter()
        client.sendall(request(b'{"n": 1}'))
        read_answer(client)
        return time.perf_counter() - begin


def bare_python() -> float:
    """Time an interpreter that does nothing."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
    return time.perf_counter() - begin


def drain(running: object) -> None:
    """Take what the emulator has told so far."""
    with contextlib.suppress(AssertionError):
        running.wait_for(lambda event: event.get("status") == -1, patience_s=0.2)  # type: ignore[attr-defined]  # an EmulatorProcess


# ---- sockets and processes


def request(body: bytes) -> bytes:
    """Return a POST of the JSON *body*."""
    return b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


def read_answer(client: socket.socket, status: bytes = b"200") -> None:
    """Read one whole answer, which must have *status*."""
    data = client.recv(65536)
    assert data.startswith(b"HTTP/1.1 " + status), data
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    end = data.index(b"\r\n\r\n") + 4
    at = data.index(b"content-length: ") + 16
    left = end + int(data[at : data.index(b"\r", at)]) - len(data)
    while left > 0:
        left -= len(client.recv(65536))


def read_request(client: socket.socket) -> bytes:
    """Return the body of the request that *client* sends."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(65536)
    return body


def connect(address: Address) -> socket.socket:
    """Connect without Nagle."""
    client = socket.create_connection(address, timeout=30)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def address_of(url: str) -> Address:
    """Return host and port of *url*."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    return host, int(port)


@contextmanager
def child(serve: Callable[[Connection], None]) -> Iterator[Address]:
    """Run *serve* in a process of its own; yields the address that it sends."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()[:2]
    finally:
        process.kill()
        process.join()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
