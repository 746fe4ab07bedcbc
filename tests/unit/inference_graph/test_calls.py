"""Calls of services over HTTP: redirects, compression, headers, the mesh."""

from __future__ import annotations

import asyncio
import gzip
import threading
from typing import TYPE_CHECKING

import pytest

from fnkit.inference_graph.calls import CallFailed, HttpService
from fnkit.net import aio, blocking
from fnkit.net.client import Client
from fnkit_emulator.router.mesh import IstioMesh
from tests.fakes.net import Connection, TcpServer, answering, keeping_alive

if TYPE_CHECKING:
    from fnkit.inference_graph.calls import Answer, Headers

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def call(url: str, headers: Headers = (), *, timeout_s: float | None = None) -> Answer:
    async def scenario() -> Answer:
        async with Client(blocking.connector()) as client:
            return await HttpService(url, client, timeout_s=timeout_s)(b'{"a":1}', headers, stream=False)

    return blocking.run(scenario())


def redirect(status: int, location: str) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_a_redirect_is_followed_as_go_does(status: int, method: str) -> None:
    calls: list[bytes] = []
    with TcpServer(answering(redirect(status, "/next?x"), OK, calls=calls)) as server:
        answer = call(server.url + "/first")
        assert (answer.status, answer.body) == (200, b"ok")
        assert calls[1].startswith(f"{method} /next?x HTTP/1.1".encode())
        assert f"Referer: {server.url}/first".encode() in calls[1]
        assert b"Content-Type: application/json" in calls[1]
        assert (b"Content-Length: 7" in calls[1]) is (method == "POST")


def test_credentials_stay_with_their_host() -> None:
    calls: list[bytes] = []
    sent = (("Authorization", "secret"), ("Cookie", "c=1"), ("X-A", "1"))
    with TcpServer(keeping_alive(OK, calls)) as other:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        with TcpServer(answering(redirect(307, elsewhere), calls=calls)) as server:
            call(server.url, sent)
    assert b"secret" in calls[0]
    assert b"X-A: 1" in calls[1]
    assert b"secret" not in calls[1]
    assert b"Cookie" not in calls[1]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"", "EOF"),
        (b"HTTP/1.1 200 O", "net/http: HTTP/1.x transport connection broken: unexpected EOF"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "unexpected EOF"),
        (redirect(302, "/x").replace(b"Length: 0", b"Length: 9") + b"ab", "stopped after 10 redirects"),
    ],
)
def test_where_an_answer_broke_off_is_told_in_gos_words(answer: bytes, cause: str) -> None:
    with TcpServer(answering(answer)) as server, pytest.raises(CallFailed) as failure:
        call(server.url)

    assert str(failure.value).rpartition('": ')[2] == cause


def test_credentials_that_were_dropped_on_the_way_do_not_come_back() -> None:
    calls: list[bytes] = []
    with TcpServer(keeping_alive(OK, calls)) as last:
        with TcpServer(answering(redirect(307, last.url), calls=calls)) as other:
            elsewhere = other.url.replace("127.0.0.1", "localhost")
            with TcpServer(answering(redirect(307, elsewhere), calls=calls)) as server:
                call(server.url, (("Authorization", "secret"),))
    assert [b"secret" in head for head in calls] == [True, False, False]


def test_a_referer_of_the_client_is_kept_and_one_of_ours_has_no_credentials() -> None:
    calls: list[bytes] = []
    with TcpServer(answering(redirect(307, "/a"), OK, redirect(302, "/b"), OK, calls=calls)) as server:
        call(server.url, (("Referer", "http://mine/"),))
    with TcpServer(answering(redirect(302, "/b"), OK, calls=calls)) as server:
        call(server.url.replace("//", "//me:secret@"))

    assert b"Referer: http://mine/\r\n" in calls[1]
    assert b"Referer: http://127.0.0.1" in calls[3]
    assert b"secret" not in calls[3]


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        ("/%zz", 'failed to parse Location header "/%zz": parse "/%zz": invalid URL escape "%zz"'),
        ("http:///x", 'Post "http:///x": http: no Host in request URL'),
        ("http://127.0.0.1:0/x", 'Post "http://127.0.0.1:0/x": dial tcp 127.0.0.1:0: connect: connection refused'),
    ],
)
def test_a_location_that_leads_nowhere_is_told_in_gos_words(location: str, cause: str) -> None:
    with TcpServer(answering(redirect(302, location))) as server, pytest.raises(CallFailed) as failure:
        call(server.url)

    assert str(failure.value).endswith(cause)


def test_a_redirect_to_nowhere_fails_in_gos_words() -> None:
    with (
        TcpServer(answering(redirect(302, "ftp://h/"))) as server,
        pytest.raises(CallFailed, match='unsupported protocol scheme "ftp"'),
    ):
        call(server.url)


def test_one_limit_of_time_holds_for_all_redirects() -> None:
    def handle(connection: Connection) -> None:
        while connection.head():
            connection.body(7)
            threading.Event().wait(0.1)  # ten of these would take a second
            connection.send(redirect(307, "/again"))

    with TcpServer(handle) as server, pytest.raises(CallFailed, match="deadline exceeded"):
        call(server.url, timeout_s=0.35)


def closing(connection: Connection) -> None:
    """Read a request and close without an answer."""
    connection.head()


def compressed(body: bytes, coding: bytes = b"gzip") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (coding, len(body), body)


def test_what_we_asked_to_be_compressed_is_decompressed() -> None:
    with TcpServer(answering(compressed(gzip.compress(b"ab") + gzip.compress(b"cd")))) as server:
        assert call(server.url).body == b"abcd"


@pytest.mark.parametrize("headers", [(("Accept-Encoding", "gzip"),), (("Range", "bytes=0-1"),)])
def test_what_the_client_asked_to_be_compressed_stays_so(headers: Headers) -> None:
    data = gzip.compress(b"ab")
    with TcpServer(answering(compressed(data))) as server:
        assert call(server.url, headers).body == data


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"nope", "unexpected EOF"),
        (b"nope" * 5, "gzip: invalid header"),
        (gzip.compress(b"abc" * 50, mtime=0)[:-6], "unexpected EOF"),
    ],
)
def test_what_claims_to_be_compressed_and_is_not_fails(data: bytes, cause: str) -> None:
    with TcpServer(answering(compressed(data))) as server, pytest.raises(CallFailed, match=cause):
        call(server.url)


def test_a_propagated_header_replaces_the_routers_own() -> None:
    calls: list[bytes] = []
    with TcpServer(answering(OK, calls=calls)) as server:
        call(server.url, (("User-Agent", "me"), ("Content-Type", "text/csv")))
    assert b"User-Agent: me" in calls[0]
    assert b"Content-Type: text/csv" in calls[0]
    assert b"Go-http-client" not in calls[0]
    assert b"application/json" not in calls[0]


def asked_mesh(url: str) -> list[bool | str]:
    async def scenario() -> list[bool | str]:
        said: list[bool | str] = []
        async with Client(aio.connector()) as client:
            mesh = IstioMesh(client, url)
            for _ in range(2):
                try:
                    said.append(await mesh())
                except CallFailed as error:
                    said.append(str(error))
        return said

    return asyncio.run(scenario())


def test_a_sidecar_that_answers_200_is_a_mesh_and_is_asked_once() -> None:
    calls: list[bytes] = []
    with TcpServer(keeping_alive(OK, calls)) as server:
        assert asked_mesh(server.url) == [True, True]
    assert len(calls) == 1


def test_without_a_sidecar_there_is_no_mesh() -> None:
    with TcpServer(answering(OK)) as server:
        url = server.url

    assert asked_mesh(url) == [False, False]


def test_a_sidecar_that_fails_otherwise_fails_the_first_request_only() -> None:
    with TcpServer(closing) as server:
        assert asked_mesh(server.url) == [f'Get "{server.url}": EOF', False]


def test_inside_a_mesh_https_is_called_as_http() -> None:
    async def yes() -> bool:
        return True

    async def scenario(url: str) -> Answer:
        async with Client(aio.connector()) as client:
            service = HttpService(url.replace("http:", "https:"), client, mesh=yes)
            return await service(b"", (), stream=False)

    with TcpServer(answering(OK)) as server:
        assert asyncio.run(scenario(server.url)).body == b"ok"
