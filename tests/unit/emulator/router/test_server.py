"""The running router, over real connections."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from fnkit.errors import EmulatorError
from fnkit.inference_graph.decode import read_graph_json
from fnkit.net import aio
from fnkit.net.client import Client
from fnkit.net.errors import ConnectionClosed
from fnkit.net.http1 import parse_headers
from fnkit_emulator.router.front import cleaned
from fnkit_emulator.router.server import Router, RouterOptions
from tests.fakes.kserve import World, open_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Scenario = Callable[[Router, World], Awaitable[None]]


def quiet(level: str, message: str, **fields: object) -> None:
    """Log nothing."""


def with_router(
    services: dict[str, dict[str, Any]], nodes: dict[str, Any], scenario: Scenario, *, propagate: str | None = None, **spec: Any
) -> None:
    """Run *scenario* against a router for *nodes*, whose `{{svcX}}` are mock *services*."""

    async def run() -> None:
        async with World(services) as world:
            graph = read_graph_json(json.dumps(world.fill({"nodes": nodes, **spec})))
            async with Router(graph, RouterOptions(port=0, propagate=propagate), log=quiet) as router:
                await asyncio.wait_for(scenario(router, world), 200)

    asyncio.run(run())


def one(*urls: str, kind: str = "Sequence", **fields: Any) -> dict[str, Any]:
    return {"root": {"routerType": kind, "steps": [{"serviceUrl": url, **fields} for url in urls]}}


ECHO = {"svcA": {"echo": True}}
TO_A = one("{{svcA}}")


class RawClient:
    """A client that sends what it is told, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, router: Router) -> RawClient:
        return cls(*await asyncio.open_connection("127.0.0.1", router.port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer that announces its length."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        start, *lines = raw[:-4].decode().split("\n")
        headers = dict(parse_headers(lines))
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(start.split(" ")[1]), headers, body

    async def rest(self) -> bytes:
        """Read until the server closes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""
        finally:
            self.writer.close()


def post(body: bytes = b"{}", *headers: str, path: str = "/") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_requests_of_one_connection_are_answered_in_order() -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(post(b"1") + post(b"[2]") + post(b"3", "Connection: close"))

        bodies = [(await client.answer())[2] for _ in range(3)]

        assert bodies == [b"1", b"[2]", b"3"]
        assert await client.rest() == b""

    with_router(ECHO, TO_A, scenario)


def test_a_client_of_http_1_0_is_answered_and_closed() -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")

        assert (await client.reader.readline()) == b"HTTP/1.0 200 OK\r\n"
        assert (await client.rest()).endswith(b"\r\n\r\n{}")

    with_router(ECHO, TO_A, scenario)


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        (b"GET /a//b/../c HTTP/1.1", b"HTTP/1.1 301 Moved Permanently\r\nLocation: /a/c"),
        (b"GET /%C3%A9//x?q HTTP/1.1", b"HTTP/1.1 301 Moved Permanently\r\nLocation: /%25C3%25A9/x?q"),
        (b"GET /a%2f%2e%2e/b HTTP/1.1", b"HTTP/1.1 200 OK"),
        (b"GET /%72eadyz HTTP/1.1", b"HTTP/1.1 200 OK"),
        (b"GET /%zz HTTP/1.1", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: i", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/2.0", b"HTTP/1.1 505 HTTP Version Not Supported: unsupported protocol version"),
        (b"GET / HTTP/1.1\r\nExpect: wonders", b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip", b"HTTP/1.1 501 Not Implemented"),
    ],
)
def test_paths_and_heads_are_taken_as_gos_server_takes_them(request_line: bytes, answer: bytes) -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(request_line + b"\r\nHost: h\r\nConnection: close\r\n\r\n")

        start, *headers = (await client.rest()).split(b"\r\n\r\n")[0].split(b"\r\n")

        said, *wanted = answer.split(b"\r\n")
        assert start == said
        assert set(wanted) <= set(headers)

    with_router(ECHO, TO_A, scenario)


def test_a_large_answer_is_chunked_except_for_http_1_0() -> None:
    async def scenario(router: Router, world: World) -> None:
        data = b'"' + b"x" * 5000 + b'"'
        async with Client(aio.connector()) as client:
            reply = await client.request("POST", router.url, body=data)
            assert (reply.header("transfer-encoding"), await reply.read()) == ("chunked", data)
        raw = await RawClient.to(router)
        await raw.send(b"POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))
        assert (await raw.answer())[2] == data
        raw.writer.close()

    with_router(ECHO, TO_A, scenario)


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "Not Found"), (418, "I'm a teapot"), (422, "Unprocessable Entity"), (599, "status code 599")]
)
def test_a_status_has_the_words_that_go_has_for_it(status: int, reason: str) -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(post())

        assert (await client.reader.readline()).decode() == f"HTTP/1.1 {status} {reason}\r\n"
        client.writer.close()

    with_router({"svcA": {"status": status, "body": "{}"}}, TO_A, scenario)


def test_a_client_that_expects_100_gets_it_before_it_sends_the_body() -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"{}")

        assert (await client.answer())[2] == b"{}"
        client.writer.close()

    with_router(ECHO, TO_A, scenario)


@pytest.mark.parametrize(("raw", "status"), [(b"garbage\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400)])
def test_what_is_no_request_is_refused_and_the_connection_closed(raw: bytes, status: int) -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(raw)

        answer = await client.rest()

        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"Connection: close" in answer

    with_router(ECHO, TO_A, scenario)


def test_a_truncated_upload_runs_the_graph_on_what_came() -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nhalf")
        client.writer.write_eof()

        status, _, body = await client.answer()

        assert (status, body) == (200, b"half")
        client.writer.close()

    with_router(ECHO, TO_A, scenario)


def test_a_client_that_leaves_does_not_stop_its_graph() -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(post())
        await until(lambda: len(world.calls) == 1)
        client.writer.transport.abort()

        await until(lambda: len(world.calls) == 2)

    services = {"svcA": {"delay_ms": 50}, "svcB": {}}
    with_router(services, one("{{svcA}}", "{{svcB}}"), scenario)


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for *condition*, at most *seconds*."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.005)


def test_an_answer_later_than_server_write_is_lost() -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(post())

        assert await client.rest() == b""

    with_router({"svcA": {"delay_ms": 1300}}, TO_A, scenario, routerTimeouts={"serverWrite": 1})


def test_a_body_that_does_not_come_in_time_is_used_as_far_as_it_came() -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nhalf")

        assert (await client.answer())[2] == b"half"
        assert await client.rest() == b""

    with_router(ECHO, TO_A, scenario, routerTimeouts={"serverRead": 1})


def test_idle_connections_are_closed() -> None:
    async def scenario(router: Router, world: World) -> None:
        client = await RawClient.to(router)
        await client.send(post())
        await client.answer()

        assert await client.rest() == b""

    with_router(ECHO, TO_A, scenario, routerTimeouts={"serverIdle": 1})


def test_service_client_limits_a_call() -> None:
    async def scenario(router: Router, world: World) -> None:
        async with Client(aio.connector()) as client:
            reply = await client.request("POST", router.url, body=b"{}")
            cause = json.loads(await reply.read())["cause"]
        assert reply.status == 500
        assert cause.endswith("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")

    with_router({"svcA": {"delay_ms": 20_000}}, TO_A, scenario, routerTimeouts={"serviceClient": 1})


def test_readiness_fails_and_requests_are_served_while_draining() -> None:
    async def scenario(router: Router, world: World) -> None:
        async with Client(aio.connector()) as client:
            assert (await client.request("GET", router.url + "readyz")).status == 200
            router._front.draining = True
            reply = await client.request("GET", router.url + "readyz")
            assert (reply.status, await reply.read()) == (503, b"shutting down\n")
            assert (await client.request("POST", router.url, body=b"{}")).status == 200

    with_router(ECHO, TO_A, scenario)


def test_stopping_waits_for_requests_under_way() -> None:
    async def scenario(router: Router, world: World) -> None:
        async with Client(aio.connector()) as client:
            asking = asyncio.create_task(client.request("POST", router.url, body=b"{}"))
            await until(lambda: len(world.calls) == 1)
            await router.stop()
            reply = await asking
            assert (reply.status, reply.header("connection")) == (200, "close")

    with_router({"svcA": {"delay_ms": 1000}}, TO_A, scenario)


def test_metrics_are_served_when_the_graph_asks_for_them() -> None:
    async def scenario(router: Router, world: World) -> None:
        async with Client(aio.connector()) as client:
            for _ in range(3):
                await (await client.request("POST", router.url, body=b"{}")).read()
            reply = await client.request("GET", router.url + "metrics")
            text = (await reply.read()).decode()
        assert reply.header("content-type").startswith("text/plain; version=0.0.4")
        assert 'fnkit_router_requests_total{status="200"} 3' in text
        assert 'fnkit_router_steps_total{node="root",step="only",outcome="200"} 3' in text
        assert "fnkit_router_request_duration_seconds_count 3" in text
        assert "fnkit_router_requests_in_flight 0" in text

    with_router(ECHO, one("{{svcA}}", name="only"), scenario, fnkit={"metrics": True})


def test_without_being_asked_the_path_of_metrics_is_the_graph() -> None:
    async def scenario(router: Router, world: World) -> None:
        async with Client(aio.connector()) as client:
            assert await (await client.request("POST", router.url + "metrics", body=b"1")).read() == b"1"

    with_router(ECHO, TO_A, scenario)


def test_a_graphs_own_patterns_replace_those_of_the_environment() -> None:
    async def scenario(router: Router, world: World) -> None:
        async with Client(aio.connector()) as client:
            await client.request("POST", router.url, headers=[("X-Own", "1"), ("X-Env", "2")], body=b"{}")
        assert "X-Own" in world.calls[0].headers
        assert "X-Env" not in world.calls[0].headers

    with_router(ECHO, TO_A, scenario, propagate="X-Env", fnkit={"propagateHeaders": ["^X-Own$"]})


def test_a_streamed_answer_arrives_chunk_by_chunk() -> None:
    async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"9\r\ndata: 1\n\n\r\n")
        await seen.wait()
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
        writer.close()

    async def chunks_of(url: str) -> AsyncIterator[bytes]:
        async with Client(aio.connector()) as client:
            reply = await client.request("POST", url, body=b"{}")
            assert reply.header("content-type") == "text/event-stream"
            async for chunk in reply.chunks():
                yield chunk

    async def scenario() -> None:
        server = await asyncio.start_server(model, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        graph = read_graph_json(json.dumps({"nodes": one(url), "fnkit": {"stream": True}}))
        got = []
        async with Router(graph, RouterOptions(port=0), log=quiet) as router:
            async for chunk in chunks_of(router.url):
                got.append(chunk)
                seen.set()
        server.close()
        assert got == [b"data: 1\n\n", b"data: 2\n\n"]

    seen = asyncio.Event()
    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_stream_that_breaks_off_breaks_the_clients_connection_and_is_logged() -> None:
    async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(model, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        graph = read_graph_json(json.dumps({"nodes": one(url), "fnkit": {"stream": True}}))
        async with Router(graph, RouterOptions(port=0), log=note) as router, Client(aio.connector()) as client:
            reply = await client.request("POST", router.url, body=b"{}")
            chunks = reply.chunks()
            assert await anext(chunks) == b"part"
            with pytest.raises(ConnectionClosed):
                await anext(chunks)
        server.close()

    def note(level: str, message: str, **fields: object) -> None:
        noted.append((message, fields.get("cause")))

    noted: list[tuple[str, object]] = []
    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert noted == [("the answer broke off", "unexpected EOF")]


def test_a_client_that_leaves_a_stream_closes_the_call_of_the_service() -> None:
    async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"4\r\nmore\r\n")
                await writer.drain()
                await asyncio.sleep(0.005)
        except ConnectionError:
            left.set()
        finally:
            writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(model, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        graph = read_graph_json(json.dumps({"nodes": one(url), "fnkit": {"stream": True}}))
        async with Router(graph, RouterOptions(port=0), log=quiet) as router:
            client = await RawClient.to(router)
            await client.send(post())
            assert await client.reader.read(10)
            client.writer.transport.abort()
            await asyncio.wait_for(left.wait(), 60)
        server.close()

    left = asyncio.Event()
    asyncio.run(asyncio.wait_for(scenario(), 60))


# Bad input

BODIES = {
    "50 MB": b'{"a": "' + b"x" * 50_000_000 + b'"}',
    "a million numbers": b"[" + b"1," * 1_000_000 + b"1]",
    "invalid UTF-8": b'{"a": "\xff\xfe"}',
    "10,000 nested arrays": b"[" * 10_000 + b"]" * 10_000,
    "100,000 nested arrays": b"[" * 100_000 + b"]" * 100_000,
    "no JSON": b"\x00\x01",
    "NaN": b"[NaN]",
    "a huge number": b"1" * 10_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("kind", ["Sequence", "Switch", "Ensemble"])
def test_any_body_gets_an_answer(body: bytes, kind: str) -> None:
    async def scenario(router: Router, world: World) -> None:
        async with Client(aio.connector()) as client:
            reply = await client.request("POST", router.url, body=body)
            answer = await reply.read()
            again = await client.request("POST", router.url, body=b'{"a":1}')
        assert reply.status in {"Sequence": (200,), "Switch": (200, 404), "Ensemble": (200, 500)}[kind]
        if kind == "Sequence":
            assert answer == body
        assert again.status == 200

    with_router(ECHO, one("{{svcA}}", kind=kind, condition="@this" if kind == "Switch" else ""), scenario)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}SURPLUS", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", 500),
        (b"garbage\r\n\r\n", 500),
        (b"", 500),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 500),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", 500),
    ],
)
def test_a_service_that_does_not_speak_http_fails_its_request_alone(answer: bytes, status: int) -> None:
    async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(model, "127.0.0.1", 0)
        graph = read_graph_json(json.dumps({"nodes": one(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")}))
        async with Router(graph, RouterOptions(port=0), log=quiet) as router, Client(aio.connector()) as client:
            for _ in range(3):
                assert (await client.request("POST", router.url, body=b"{}")).status == status
        server.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_port_that_is_taken_is_named() -> None:
    async def scenario(router: Router, world: World) -> None:
        with pytest.raises(EmulatorError, match=rf"cannot listen on 127\.0\.0\.1:{router.port}"):
            await Router(read_graph_json("{}"), RouterOptions(port=router.port), log=quiet).__aenter__()

    with_router(ECHO, TO_A, scenario)


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("//v1//x", "/v1/x"),
        ("/a/../b", "/b"),
        ("/a/./b/", "/a/b/"),
        ("/../..", "/"),
    ],
)
def test_paths_are_cleaned_as_go_cleans_them(path: str, clean: str) -> None:
    assert cleaned(path) == clean


@pytest.mark.slow
def test_nothing_leaks_over_ten_thousand_requests() -> None:
    nodes = {
        "root": {"routerType": "Switch", "steps": [
            {"nodeName": "all", "condition": '[@this].#(k=="ensemble")'},
            {"nodeName": "broken", "condition": '[@this].#(k=="broken")'},
            {"serviceUrl": "{{svcA}}", "condition": "@this"},
        ]},
        "all": {"routerType": "Ensemble", "steps": [{"serviceUrl": "{{svcA}}"}, {"serviceUrl": "{{svcB}}"}]},
        "broken": {"routerType": "Ensemble", "steps": [{"serviceUrl": "{{svcA}}"}, {"serviceUrl": "{{svcC}}"}]},
    }  # fmt: skip

    async def ask(client: Client, router: Router, count: int) -> None:
        for at in range(count):
            body = (b'{"k":"ensemble"}', b'{"k":"broken"}', b"{}")[at % 3]
            await (await client.request("POST", router.url, body=body)).read()

    async def settled() -> tuple[int, int, int]:
        gc.collect()
        await asyncio.sleep(0.2)
        connections = sum(type(thing).__name__ == "LoopStream" for thing in gc.get_objects())
        return len(asyncio.all_tasks()), open_files(), connections

    async def scenario(router: Router, world: World) -> None:
        async with Client(aio.connector()) as client:
            await asyncio.gather(*[ask(client, router, 30) for _ in range(8)])
            before = await settled()
            for _ in range(10):
                await asyncio.gather(*[ask(client, router, 125) for _ in range(8)])
                world.calls.clear()
            most = (before[0] + 8, before[1] + 16, before[2] + 16)
            tries = [await settled()]
            while len(tries) < 50 and any(more > limit for more, limit in zip(tries[-1], most, strict=True)):
                tries.append(await settled())  # connections that were given up take a moment to close
        assert all(count <= limit for count, limit in zip(tries[-1], most, strict=True)), tries[-1]

    with_router({"svcA": {"body": "{}"}, "svcB": {"body": "{}"}, "svcC": {"abort": True}}, nodes, scenario)
