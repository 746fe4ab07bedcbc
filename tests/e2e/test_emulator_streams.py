"""Streams through the emulator as a process, from real bundles, over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from fnkit_emulator.chunked import ChunkedBody
from tests.e2e.emulator_builds import build_graph
from tests.fakes.emulator_process import EmulatorProcess, emulator
from tests.fakes.patience import quickest


@pytest.fixture(scope="module", params=["Stream", "SyncStream"])
def streaming(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    """The streaming graph in one function, with asynchronous and with plain generators."""
    with emulator(build_graph(tmp_path_factory.mktemp("build"), request.param)) as running:
        yield running


@pytest.fixture(scope="module")
def distributed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    """The streaming graph with its step in a function of its own."""
    with emulator(build_graph(tmp_path_factory.mktemp("build"), "Stream", placement="step")) as running:
        yield running


def timed_chunks(url: str, body: object) -> tuple[requests.Response, list[tuple[float, bytes]]]:
    """Post *body*; return the response and its chunks with the seconds after which they came."""
    begin = time.perf_counter()
    with requests.post(url, json=body, stream=True, timeout=60) as response:
        return response, [(time.perf_counter() - begin, chunk) for chunk in response.iter_content(None)]


def test_chunks_arrive_as_they_are_made(streaming: EmulatorProcess) -> None:
    def first_and_unevenness() -> float:
        response, chunks = timed_chunks(streaming.url, {"chunks": 5, "pause": 0.5})

        assert response.status_code == 200
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert [chunk for _, chunk in chunks] == [f"chunk {number}\n".encode() for number in range(5)]
        times = [when for when, _ in chunks]
        return max(times[0] - 0.5, *(abs(later - sooner - 0.5) for sooner, later in pairwise(times)))

    assert quickest(first_and_unevenness, 0.2) < 0.2  # the first one within 0.7 s


def test_chunks_of_a_step_in_another_function_arrive_as_they_are_made(distributed: EmulatorProcess) -> None:
    def first_and_unevenness() -> float:
        response, chunks = timed_chunks(distributed.url, {"chunks": 3, "pause": 0.3})

        assert response.headers["Transfer-Encoding"] == "chunked"
        assert [chunk for _, chunk in chunks] == [f"chunk {number}\n".encode() for number in range(3)]
        times = [when for when, _ in chunks]
        return max(times[0] - 0.5, *(abs(later - sooner - 0.3) for sooner, later in pairwise(times)))

    assert quickest(first_and_unevenness, 0.2) < 0.2
    assert distributed.wait_for(lambda event: event.get("function") == "step" and event.get("chunks", 0) >= 3)


def test_a_fault_in_mid_stream_cuts_the_connection(streaming: EmulatorProcess) -> None:
    with requests.post(streaming.url, json={"chunks": 2, "pause": 0, "raise": True}, stream=True, timeout=60) as response:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(response.iter_content(1))

    assert response.status_code == 200
    told = streaming.wait_for(lambda event: event["event"] == "invocation" and "broken in mid-stream" in event.get("error", ""))
    assert told["status"] == 200


def leave_and_see(running: EmulatorProcess) -> None:
    """Leave a stream after its first chunk; the generator must be closed within a second, and the next request be answered."""

    def leave() -> float:
        with requests.post(running.url, json={"chunks": 1000, "pause": 0.05}, stream=True, timeout=60) as response:
            begun = time.time()  # it has sent its first chunk, and is not closed yet
            next(response.iter_content(None))
        left = time.time()
        told = running.wait_for(lambda event: closed_at(event) > begun)
        return closed_at(told) - left

    assert quickest(leave, 1) < 1
    assert requests.post(running.url, json={"chunks": 1}, timeout=60).text == "chunk 0\n"


def closed_at(event: dict[str, Any]) -> float:
    """Return when a generator was closed, if *event* tells so; else 0."""
    line = str(event.get("line", ""))
    return float(line.rsplit(maxsplit=1)[-1]) if line.startswith("generator closed at") else 0.0


def test_a_client_that_leaves_closes_the_generator_within_a_second(streaming: EmulatorProcess) -> None:
    leave_and_see(streaming)


def test_a_client_that_leaves_closes_the_generator_in_another_function_within_a_second(distributed: EmulatorProcess) -> None:
    leave_and_see(distributed)


def test_a_client_that_reads_slowly_holds_the_generator_back(streaming: EmulatorProcess) -> None:
    """Of a stream of 100 MB only what fits into sockets and buffers is taken while nobody reads; then all of it arrives."""
    host, port = streaming.url.removeprefix("http://").rstrip("/").split(":")
    body = json.dumps({"chunks": 1000, "pause": 0, "name": "x" * 90, "times": 1000}).encode()
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            + body
        )
        client.recv(1024)
        before = requests.get(streaming.url + "_fnkit/functions", timeout=60).json()
        time.sleep(1.0)  # the time in which a server without backpressure would take everything
        after = requests.get(streaming.url + "_fnkit/functions", timeout=60).json()
        resident = max(_resident_mb(pid) for pid in streaming.pids)
        received = 0
        while received < 90_000_000:
            received += len(client.recv(1 << 20))

    assert before["functions"][0]["in_flight"] == after["functions"][0]["in_flight"] == 1
    assert resident < 90


def _resident_mb(pid: int) -> int:
    text = Path(f"/proc/{pid}/statm").read_text().split()
    return int(text[1]) * 4096 >> 20


def test_boto3_reads_a_stream_as_it_is_made(distributed: EmulatorProcess) -> None:
    client = boto3.client(
        "lambda",
        endpoint_url=distributed.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",  # nothing is verified
        config=Config(retries={"total_max_attempts": 1}),
    )
    event: dict[str, object] = {
        "version": "2.0",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
    }
    event |= {"requestContext": {"http": {"method": "POST", "path": "/"}}, "isBase64Encoded": False}
    event |= {"body": json.dumps({"chunks": 3, "pause": 0.3})}

    def first_s() -> float:
        begin = time.perf_counter()
        answer = client.invoke_with_response_stream(FunctionName="graph", Payload=json.dumps(event))
        pieces = [(time.perf_counter() - begin, piece) for piece in answer["EventStream"]]

        payload = b"".join(piece["PayloadChunk"]["Payload"] for _, piece in pieces if "PayloadChunk" in piece)
        assert payload.partition(b"\0" * 8)[2] == b"chunk 0\nchunk 1\nchunk 2\n"
        assert "InvokeComplete" in pieces[-1][1]
        assert pieces[-1][0] >= 0.6
        return pieces[0][0]

    assert quickest(first_s, 0.3) < 0.3


# ---- many at once


async def read_stream(url: str, name: str, chunks: int, pause: float) -> bytes:
    """Post for a stream of *chunks* by *name* on a connection of its own; return its body, which must be complete."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    body = json.dumps({"name": name, "chunks": chunks, "pause": pause}).encode()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    decoder, out = ChunkedBody(), b""
    while not decoder.done:
        data = await reader.read(65536)
        assert data, f"{name} was cut off after {out!r}"
        out += decoder.feed(data)
    writer.close()
    return out


async def many(url: str, count: int) -> list[bytes]:
    async with asyncio.timeout(120):
        return await asyncio.gather(*(read_stream(url, f"stream-{number}", 5, 0.1) for number in range(count)))


def expected(count: int) -> list[bytes]:
    return ["".join(f"stream-{number} {chunk}\n" for chunk in range(5)).encode() for number in range(count)]


@pytest.mark.parametrize("step", ["Stream", "SyncStream"])
def test_200_streams_at_once_in_a_shared_environment_are_complete_and_unmixed(tmp_path: Path, step: str) -> None:
    with emulator(build_graph(tmp_path, step, concurrency=200, max_environments=1, timeout_s=60)) as running:
        bodies = asyncio.run(many(running.url, 200))
        facts = requests.get(running.url + "_fnkit/functions", timeout=60).json()

    assert bodies == expected(200)
    assert len(facts["functions"][0]["environments"]) == 1


@pytest.mark.parametrize("step", ["Stream", "SyncStream"])
def test_50_streams_at_once_with_an_environment_each_are_complete_and_unmixed(tmp_path: Path, step: str) -> None:
    with emulator(build_graph(tmp_path, step, timeout_s=60)) as running:
        bodies = asyncio.run(many(running.url, 50))

    assert bodies == expected(50)
