"""Requests, read from bytes."""

from __future__ import annotations

import pytest

from fnkit_emulator.router.requests import Refused, Request, RequestReader

POST = b"POST /a/b?c=d HTTP/1.1\r\nHost: h\r\nX-Mixed-CASE: 1\r\nContent-Length: 5\r\n\r\nhello"


def read(data: bytes) -> Request | None:
    reader = RequestReader()
    reader.feed(data)
    return reader.next_request()


def test_a_request_is_read_with_its_headers_as_written() -> None:
    request = read(POST)

    assert request == Request(
        "POST", "/a/b", "c=d", (("Host", "h"), ("X-Mixed-CASE", "1"), ("Content-Length", "5")), b"hello", True, False
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_a_request_is_the_same_however_it_arrives(size: int) -> None:
    reader = RequestReader()
    seen = []
    for at in range(0, len(POST), size):
        reader.feed(POST[at : at + size])
        if request := reader.next_request():
            seen.append(request)

    assert seen == [read(POST)]


def test_a_chunked_body_is_joined() -> None:
    request = read(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")

    assert request is not None
    assert request.body == b"abc"


def test_requests_may_follow_each_other_in_one_read() -> None:
    reader = RequestReader()
    reader.feed(POST + b"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n")

    first, second = reader.next_request(), reader.next_request()

    assert first is not None
    assert second is not None
    assert (first.body, second.path) == (b"hello", "/2")
    assert not reader.begun


def test_empty_lines_before_a_request_are_skipped() -> None:
    request = read(b"\r\n\r\n" + POST)

    assert request is not None


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [("1.1", "", True), ("1.1", "close", False), ("1.1", "Close, x", False), ("1.0", "", False), ("1.0", "Keep-Alive", True)],
)
def test_a_request_says_whether_the_connection_stays(version: str, connection: str, keeps: bool) -> None:
    header = f"Connection: {connection}\r\n" if connection else ""
    request = read(f"GET / HTTP/{version}\r\nHost: h\r\n{header}\r\n".encode())

    assert request is not None
    assert request.keeps_open is keeps


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"G@T / HTTP/1.1\r\n\r\n", 400),
        (b"GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/0.9\r\n\r\n", 505),
        (b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h/x y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nExpect: wonders\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 1_100_000, 431),
    ],
)
def test_what_is_no_request_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(Refused) as caught:
        read(data)

    assert caught.value.status == status


def test_of_a_chunked_body_that_makes_no_sense_what_came_before_is_kept() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    reader.next_request()
    reader.feed(b"zz\r\nab\r\n")

    request = reader.next_request()

    assert request is not None
    assert (request.body, request.keeps_open) == (b"ab", False)


def test_the_host_of_an_absolute_target_is_dropped() -> None:
    request = read(b"GET http://other/x?y HTTP/1.1\r\nHost: h\r\n\r\n")

    assert request is not None
    assert (request.path, request.query) == ("/x", "y")


def test_a_client_that_waits_for_leave_gets_it_once() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")

    assert reader.next_request() is None
    assert reader.wants_continue()
    assert not reader.wants_continue()


def test_a_truncated_body_is_given_as_far_as_it_came() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nhalf")
    reader.next_request()

    request = reader.truncated()

    assert request is not None
    assert (request.body, request.keeps_open) == (b"half", False)
    assert reader.truncated() is None
