"""The client over real connections, on both transports."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from fnkit.net import aio, blocking
from fnkit.net.client import Client
from fnkit.net.errors import (
    BodyTooLarge,
    ConnectError,
    ConnectionClosed,
    InvalidRequest,
    NetError,
    ProtocolError,
    TimeoutReached,
)
from tests.fakes.net import Connection, TcpServer, answering, keeping_alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    T = TypeVar("T")

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Driver:
    """One transport, and how its coroutines are run: by *runner*, or without a loop."""

    def __init__(self, runner: asyncio.Runner | None = None) -> None:
        self.blocking = runner is None
        self._runner = runner

    def client(self, *, resend: bool = True, max_idle_per_host: int = 64) -> Client:
        connector = blocking.connector() if self.blocking else aio.connector()
        return Client(connector, resend=resend, max_idle_per_host=max_idle_per_host)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return blocking.run(coroutine) if self._runner is None else self._runner.run(coroutine)


@pytest.fixture(params=["blocking", "asyncio"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    if request.param == "blocking":
        yield Driver()
        return
    with asyncio.Runner() as runner:
        yield Driver(runner)


async def text_of(client: Client, url: str, *, timeout_s: float | None = None) -> bytes:
    reply = await client.request("GET", url, timeout_s=timeout_s)
    return await reply.read()


def test_credentials_of_the_url_give_way_to_a_header_of_the_caller(driver: Driver) -> None:
    calls: list[bytes] = []

    async def scenario(url: str) -> None:
        async with driver.client() as client:
            for headers in ((), (("authorization", "Bearer x"),)):
                await (await client.request("GET", url.replace("//", "//me:pw@"), headers=headers)).read()

    with TcpServer(keeping_alive(OK, calls)) as server:
        driver.run(scenario(server.url))

    assert [head.lower().count(b"authorization:") for head in calls] == [1, 1]
    assert b"Basic" in calls[0]
    assert b"Bearer x" in calls[1]


def test_a_request_is_answered(driver: Driver) -> None:
    calls: list[bytes] = []

    async def scenario(url: str) -> None:
        async with driver.client() as client:
            reply = await client.request("POST", url + "/x?y=1", headers=[("X-A", "1")], body=b"data")

            assert (reply.status, reply.reason, reply.header("content-LENGTH")) == (200, "OK", "2")
            assert await reply.read() == b"ok"

    with TcpServer(answering(OK, calls=calls)) as server:
        driver.run(scenario(server.url))
        expected = f"POST /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX-A: 1\r\nContent-Length: 4"
    assert calls == [expected.encode()]


def test_a_connection_is_used_again(driver: Driver) -> None:
    async def scenario(url: str) -> None:
        async with driver.client() as client:
            for _ in range(3):
                assert await text_of(client, url) == b"ok"

    with TcpServer(keeping_alive(OK)) as server:
        driver.run(scenario(server.url))
        assert server.accepted == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokSURPLUS",
        b"HTTP/1.1 204 No Content\r\n\r\nSURPLUS",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nSURPLUS",
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(driver: Driver, answer: bytes) -> None:
    async def scenario(url: str) -> None:
        async with driver.client() as client:
            await text_of(client, url)
            await text_of(client, url)

    with TcpServer(keeping_alive(answer)) as server:
        driver.run(scenario(server.url))
        assert server.accepted == 2


def test_a_chunked_body_arrives_with_its_trailers(driver: Driver) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-End: yes\r\n\r\n"

    async def scenario(url: str) -> None:
        async with driver.client() as client:
            reply = await client.request("GET", url)
            assert await reply.read() == b"abcde"
            assert reply.trailers == (("x-end", "yes"),)

    with TcpServer(answering(answer)) as server:
        driver.run(scenario(server.url))


def test_a_body_without_a_length_ends_with_the_connection(driver: Driver) -> None:
    with TcpServer(answering(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as server:

        async def scenario() -> bytes:
            async with driver.client() as client:
                return await text_of(client, server.url)

        assert driver.run(scenario()) == b"all of it"


def test_interim_answers_are_skipped(driver: Driver) -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
    with TcpServer(answering(answer)) as server:

        async def scenario() -> bytes:
            async with driver.client() as client:
                return await text_of(client, server.url)

        assert driver.run(scenario()) == b"ok"


def test_chunks_arrive_before_the_answer_is_complete(driver: Driver) -> None:
    seen = threading.Event()

    def handle(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert seen.wait(60)
        connection.send(b"4\r\nlast\r\n0\r\n\r\n")

    async def scenario(url: str) -> list[bytes]:
        got = []
        async with driver.client() as client:
            reply = await client.request("GET", url)
            async for chunk in reply.chunks():
                got.append(chunk)
                seen.set()
        return got

    with TcpServer(handle) as server:
        assert driver.run(scenario(server.url)) == [b"first", b"last"]


def test_leaving_a_body_unread_closes_the_connection(driver: Driver) -> None:
    closed = threading.Event()

    def handle(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        with suppress(OSError):
            connection.socket.recv(1)
        closed.set()

    async def scenario(url: str) -> None:
        async with driver.client() as client, await client.request("GET", url) as reply:
            chunks = reply.chunks()
            assert await anext(chunks) == b"first"
        await chunks.aclose()  # type: ignore[attr-defined]  # an async generator

    with TcpServer(handle) as server:
        driver.run(scenario(server.url))
        assert closed.wait(60)


def test_a_streamed_request_arrives_in_chunks(driver: Driver) -> None:
    got: list[bytes] = []

    def handle(connection: Connection) -> None:
        got.append(connection.head())
        got.append(connection.until(b"0\r\n\r\n"))
        connection.send(OK)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b""
        yield b"three"

    async def scenario(url: str) -> bytes:
        async with driver.client() as client:
            return await (await client.request("POST", url, body=pieces())).read()

    with TcpServer(handle) as server:
        assert driver.run(scenario(server.url)) == b"ok"
    assert b"Transfer-Encoding: chunked" in got[0]
    assert got[1] == b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"


def test_a_slow_reader_slows_the_server_down(driver: Driver) -> None:
    sent = [0]
    stuck = threading.Event()

    def handle(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.socket.settimeout(0.3)
        try:
            for _ in range(1000):
                connection.send(b"x" * 100_000)
                sent[0] += 100_000
        except TimeoutError:
            stuck.set()

    async def scenario(url: str) -> None:
        async with driver.client() as client:
            reply = await client.request("GET", url)
            while not stuck.is_set():
                await pause()
            await reply.close()

    async def pause() -> None:
        if driver.blocking:
            stuck.wait(0.1)
        else:
            await asyncio.sleep(0.1)

    with TcpServer(handle) as server:
        driver.run(scenario(server.url))
    assert stuck.is_set()
    assert sent[0] < 50_000_000


def test_a_large_body_goes_both_ways(driver: Driver) -> None:
    data = bytes(range(256)) * 40_000

    def handle(connection: Connection) -> None:
        connection.head()
        body = connection.body(len(data))
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)

    async def scenario(url: str) -> bytes:
        async with driver.client() as client:
            return await (await client.request("POST", url, body=data)).read()

    with TcpServer(handle) as server:
        assert driver.run(scenario(server.url)) == data


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_beyond_the_limit_is_refused(driver: Driver, announced: bool) -> None:
    head = b"Content-Length: 100" if announced else b"X: y"
    with TcpServer(answering(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + b"x" * 100)) as server:

        async def scenario() -> None:
            async with driver.client() as client:
                reply = await client.request("GET", server.url)
                with pytest.raises(BodyTooLarge):
                    await reply.read(99)

        driver.run(scenario())


def test_an_idle_connection_closed_by_the_server_is_replaced(driver: Driver) -> None:
    async def scenario(url: str) -> None:
        async with driver.client(resend=False) as client:
            assert await text_of(client, url) == b"ok"
            closed.wait(60)
            if not driver.blocking:
                await asyncio.sleep(0.05)  # lets the loop see the end of the connection
            assert await text_of(client, url) == b"ok"

    closed = threading.Event()

    def handle(connection: Connection) -> None:
        connection.head()
        connection.send(OK)
        connection.socket.close()
        closed.set()

    with TcpServer(handle) as server:
        driver.run(scenario(server.url))
        assert server.accepted == 2


def closing_after_second_request(calls: list[bytes]) -> Callable[[Connection], None]:
    def handle(connection: Connection) -> None:
        calls.append(connection.head())
        connection.send(OK)
        if connection.number == 1:
            calls.append(connection.head())

    return handle


def test_a_request_lost_on_an_idle_connection_is_sent_again(driver: Driver) -> None:
    calls: list[bytes] = []

    async def scenario(url: str) -> None:
        async with driver.client() as client:
            assert await text_of(client, url) == b"ok"
            assert await text_of(client, url) == b"ok"

    with TcpServer(closing_after_second_request(calls)) as server:
        driver.run(scenario(server.url))
    assert len(calls) == 3


def test_a_request_is_not_sent_again_when_the_client_must_not(driver: Driver) -> None:
    calls: list[bytes] = []

    async def scenario(url: str) -> None:
        async with driver.client(resend=False) as client:
            assert await text_of(client, url) == b"ok"
            with pytest.raises(ConnectionClosed):
                await text_of(client, url)

    with TcpServer(closing_after_second_request(calls)) as server:
        driver.run(scenario(server.url))
    assert len(calls) == 2


def test_a_request_on_a_new_connection_is_sent_once(driver: Driver) -> None:
    calls: list[bytes] = []
    with TcpServer(lambda connection: calls.append(connection.head())) as server:

        async def scenario() -> None:
            async with driver.client() as client:
                with pytest.raises(ConnectionClosed) as caught:
                    await text_of(client, server.url)
                assert not caught.value.started
                assert caught.value.where == server.url

        driver.run(scenario())
    assert len(calls) == 1


def test_a_torn_connection_is_told_apart_from_a_closed_one(driver: Driver) -> None:
    def handle(connection: Connection) -> None:
        connection.head()
        connection.reset()

    with TcpServer(handle) as server:

        async def scenario() -> None:
            async with driver.client() as client:
                with pytest.raises(ConnectionClosed) as caught:
                    await text_of(client, server.url)
                assert caught.value.reset

        driver.run(scenario())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"garbage\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000, ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Len", ConnectionClosed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", ConnectionClosed),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", ConnectionClosed),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", ProtocolError),
    ],
)
def test_an_answer_that_is_not_http_is_a_protocol_error(driver: Driver, answer: bytes, error: type[NetError]) -> None:
    with TcpServer(answering(answer)) as server:

        async def scenario() -> None:
            async with driver.client() as client:
                with pytest.raises(error):
                    await text_of(client, server.url)

        driver.run(scenario())


def test_an_early_refusal_of_a_large_body_is_heard(driver: Driver) -> None:
    def handle(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        connection.until(b"never")

    async def scenario(url: str) -> None:
        async with driver.client() as client:
            reply = await client.request("POST", url, body=b"x" * 1_000_000)
            assert (reply.status, await reply.read()) == (413, b"big")

    with TcpServer(handle) as server:
        driver.run(scenario(server.url))


@pytest.mark.parametrize("phase", ["head", "body"])
def test_a_server_that_hangs_meets_the_timeout(driver: Driver, phase: str) -> None:
    def handle(connection: Connection) -> None:
        connection.head()
        if phase == "body":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        connection.socket.recv(1)

    with TcpServer(handle) as server:

        async def scenario(timeout_s: float) -> str:
            async with driver.client() as client:
                with pytest.raises(TimeoutReached) as caught:
                    await text_of(client, server.url, timeout_s=timeout_s)
                assert caught.value.where == server.url
                return caught.value.phase

        # The server needs a moment for half of its answer.
        assert any(driver.run(scenario(timeout_s)) == phase for timeout_s in (0.1, 1, 10))


def test_a_server_that_does_not_read_meets_the_timeout(driver: Driver) -> None:
    release = threading.Event()
    with TcpServer(lambda _: assert_set(release)) as server:

        async def scenario() -> None:
            async with driver.client() as client:
                with pytest.raises(TimeoutReached):
                    await client.request("POST", server.url, body=b"x" * 50_000_000, timeout_s=0.2)

        driver.run(scenario())
        release.set()


def assert_set(event: threading.Event) -> None:
    assert event.wait(60)


def test_a_timeout_of_one_request_does_not_reach_the_next(driver: Driver) -> None:
    async def scenario(url: str) -> None:
        async with driver.client() as client:
            assert await text_of(client, url, timeout_s=60) == b"ok"
            assert await text_of(client, url) == b"ok"

    with TcpServer(keeping_alive(OK)) as server:
        driver.run(scenario(server.url))
        assert server.accepted == 1


def test_a_refused_connection_says_where(driver: Driver) -> None:
    with TcpServer(answering(OK)) as server:
        url = server.url

    async def scenario() -> None:
        async with driver.client() as client:
            with pytest.raises(ConnectError) as caught:
                await text_of(client, url)
            assert caught.value.where == url
            assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    driver.run(scenario())


def test_an_unknown_host_is_a_connect_error(driver: Driver) -> None:
    async def scenario() -> None:
        async with driver.client() as client:
            with pytest.raises(ConnectError):
                await text_of(client, "http://no-such-host.invalid/")

    driver.run(scenario())


@pytest.mark.parametrize("url", ["localhost/x", "http://h:x/"])
def test_a_bad_url_is_refused_before_anything_is_sent(driver: Driver, url: str) -> None:
    async def scenario() -> None:
        async with driver.client() as client:
            with pytest.raises(InvalidRequest):
                await text_of(client, url)

    driver.run(scenario())


def test_no_more_idle_connections_are_kept_than_allowed(driver: Driver) -> None:
    async def scenario(url: str) -> None:
        async with driver.client(max_idle_per_host=1) as client:
            first = await client.request("GET", url)
            second = await client.request("GET", url)
            await first.read()
            await second.read()
            for _ in range(2):
                await text_of(client, url)

    both = threading.Event()

    # No body is sent before both requests are under way.
    def handle(connection: Connection) -> None:
        while connection.head():
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            if connection.number == 2:
                both.set()
            assert both.wait(60)
            connection.send(b"2\r\nok\r\n0\r\n\r\n")

    with TcpServer(handle) as server:
        driver.run(scenario(server.url))
        assert server.accepted == 2


def test_a_cancelled_request_closes_its_connection() -> None:
    asked = threading.Event()
    closed = threading.Event()

    def handle(connection: Connection) -> None:
        connection.head()
        asked.set()
        try:
            connection.socket.recv(1)
        finally:
            closed.set()

    async def scenario(url: str) -> None:
        async with Client(aio.connector()) as client:
            task = asyncio.create_task(client.request("GET", url))
            assert await asyncio.to_thread(asked.wait, 60)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)

    with TcpServer(handle) as server:
        asyncio.run(scenario(server.url))
        assert closed.wait(60)


def test_the_blocking_client_needs_neither_asyncio_nor_ssl() -> None:
    code = "import sys, fnkit.net.client, fnkit.net.blocking; print({'asyncio', 'ssl', 'http.client'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_a_coroutine_that_suspends_cannot_be_run_blocking() -> None:
    with pytest.raises(RuntimeError, match="blocking"):
        blocking.run(asyncio.sleep(0))
