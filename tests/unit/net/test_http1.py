"""The meaning of bytes, without any I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.net.errors import ConnectionClosed, InvalidRequest, ProtocolError
from fnkit.net.http1 import (
    ChunkedBody,
    LengthBody,
    UntilCloseBody,
    body_of,
    find_head,
    parse_head,
    render_chunk,
    render_request,
)


def test_a_head_is_parsed_with_lower_case_names_in_order() -> None:
    head = parse_head(b"HTTP/1.1 404 Not Found\r\nSet-Cookie: a=1\r\nX-Y:\t b \r\nset-cookie: c=2")

    assert (head.status, head.reason) == (404, "Not Found")
    assert head.headers == (("set-cookie", "a=1"), ("x-y", "b"), ("set-cookie", "c=2"))
    assert head.values("set-cookie") == ["a=1", "c=2"]


def test_a_status_line_without_a_reason_is_accepted() -> None:
    assert parse_head(b"HTTP/1.1 200").reason == ""


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.6",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 abc OK",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\nname : value",
        b"HTTP/1.1 200 OK\r\na: b\r\n folded",
        b"HTTP/1.1 200 OK\r\na: b\x00c",
        b"HTTP/1.1 200 OK\r\na: b\rc: d",
        b"HTTP/1.1 200 OK\r\n: b",
    ],
)
def test_a_malformed_head_is_a_protocol_error(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_head(raw)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", (-1, -1)),
        (b"a\r\n", (-1, -1)),
        (b"a\r\n\r\nb", (1, 5)),
        (b"a\n\nb", (1, 3)),
        (b"a\n\nb\r\n\r\n", (1, 3)),
    ],
)
def test_the_end_of_a_head_is_an_empty_line(data: bytes, found: tuple[int, int]) -> None:
    assert find_head(data) == found


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive", True),
    ],
)
def test_a_head_says_whether_the_connection_stays_open(head: bytes, keeps: bool) -> None:
    assert parse_head(head).keeps_open() is keeps


@pytest.mark.parametrize(
    ("head", "method", "kind", "left"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", "GET", LengthBody, 5),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5", "GET", LengthBody, 5),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", "HEAD", LengthBody, 0),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5", "GET", LengthBody, 0),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked", "GET", LengthBody, 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 5", "GET", ChunkedBody, 0),
        (b"HTTP/1.1 200 OK", "GET", UntilCloseBody, 0),
    ],
)
def test_the_head_decides_how_long_the_body_is(head: bytes, method: str, kind: type, left: int) -> None:
    body = body_of(parse_head(head), method)

    assert isinstance(body, kind)
    assert body.left == left


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: -1",
        b"Content-Length: 5, 6",
        b"Content-Length: +5",
        b"Content-Length: ",
        b"Content-Length: 9999999999999999999",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ],
)
def test_a_body_length_that_makes_no_sense_is_a_protocol_error(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        body_of(parse_head(b"HTTP/1.1 200 OK\r\n" + header), "GET")


def test_a_chunked_body_yields_everything_that_one_read_brought() -> None:
    body = ChunkedBody()

    content = body.feed(b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nX-Sum: 1\r\n\r\nNEXT")

    assert content == b"hello world"
    assert body.done
    assert body.trailers == (("x-sum", "1"),)
    assert body.rest == b"NEXT"


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(1, 30), max_size=40))
def test_a_chunked_body_is_the_same_however_it_is_cut(pieces: list[bytes], cuts: list[int]) -> None:
    raw = b"".join(map(render_chunk, pieces)) + b"0\r\nA: b\r\n\r\nrest"
    body = ChunkedBody()
    content = b""
    at = 0
    for cut in [*cuts, len(raw)]:
        if body.done or at >= len(raw):
            break
        content += body.feed(raw[at : at + cut])
        at += cut

    assert content == b"".join(pieces)
    assert body.done
    assert body.trailers == (("a", "b"),)
    assert body.rest + raw[at:] == b"rest"


@pytest.mark.parametrize(
    "raw",
    [b"g\r\n", b"\r\n", b"-1\r\n", b"0x5\r\n", b"1_0\r\n", b"5\r\nhelloX", b"1" * 16 + b"\r\n", b"1" * 5000, b"0\r\nbad\r\n\r\n"],
)
def test_malformed_chunks_are_a_protocol_error(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        ChunkedBody().feed(raw)


def test_endless_trailers_are_refused() -> None:
    body = ChunkedBody()
    body.feed(b"0\r\n")

    with pytest.raises(ProtocolError, match="trailers"):
        body.feed(b"a: b\r\n" * 20_000)


@pytest.mark.parametrize("body", [LengthBody(3), ChunkedBody()])
def test_an_early_end_is_a_closed_connection(body: LengthBody | ChunkedBody) -> None:
    with pytest.raises(ConnectionClosed):
        body.end()


def test_a_body_until_close_ends_with_the_connection() -> None:
    body = UntilCloseBody()

    assert body.feed(b"abc") == b"abc"
    assert not body.done
    body.end()
    assert body.done


def test_a_request_is_rendered_with_host_and_length() -> None:
    raw = render_request("POST", "/p?q", "h:8080", [("Content-Type", "text/plain"), ("content-length", "99")], 3)

    assert raw == b"POST /p?q HTTP/1.1\r\nHost: h:8080\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n"


def test_the_callers_host_header_wins() -> None:
    assert b"Host: other\r\n" in render_request("GET", "/", "h", [("HOST", "other")], 0)


def test_a_get_without_a_body_announces_no_length() -> None:
    assert render_request("GET", "/", "h", (), 0) == b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def test_a_body_of_unknown_length_is_announced_as_chunked() -> None:
    assert b"Transfer-Encoding: chunked" in render_request("POST", "/", "h", (), None)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET\r\nX: y", []),
        ("", []),
        ("GET", [("a", "b\r\nc: d")]),
        ("GET", [("a", "b\nc: d")]),
        ("GET", [("a", "b\0")]),
        ("GET", [("a b", "c")]),
        ("GET", [("", "c")]),
        ("GET", [("Host", "a\r\nb: c")]),
        ("GET", [("a", "€")]),
    ],
)
def test_a_request_that_would_smuggle_is_refused(method: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest):
        render_request(method, "/", "h", headers, 0)
