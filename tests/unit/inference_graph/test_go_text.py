"""Go's words for failed calls."""

from __future__ import annotations

import errno
import socket

import pytest

from fnkit.inference_graph.calls import joined
from fnkit.inference_graph.go_text import call_fault, quoted, shown, url_fault
from fnkit.net.errors import ConnectError, ConnectionClosed, NetError, ProtocolError, TimeoutReached


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://h:80/a?b", ""),
        ("https://user:pw@h/", ""),
        ("", 'Post "": unsupported protocol scheme ""'),
        ("localhost/x", 'Post "localhost/x": unsupported protocol scheme ""'),
        ("ftp://h/", 'Post "ftp://h/": unsupported protocol scheme "ftp"'),
        ("http:///x", 'Post "http:///x": http: no Host in request URL'),
        (
            "http://single-1.default.{$your-domain}/switch",
            'parse "http://single-1.default.{$your-domain}/switch": invalid character "{" in host name',
        ),
        ("http://h:x/", 'parse "http://h:x/": invalid port ":x" after host'),
        ("http://h/%zz", 'parse "http://h/%zz": invalid URL escape "%zz"'),
        ("http://h/\x01", 'parse "http://h/\\x01": net/url: invalid control character in URL'),
        (":80/x", 'parse ":80/x": missing protocol scheme'),
        ("http://[::1", "parse \"http://[::1\": missing ']' in host"),
    ],
)
def test_a_url_that_go_refuses_is_refused_in_its_words(url: str, fault: str) -> None:
    assert url_fault(url) == fault


def failed(cause: OSError, place: str = "127.0.0.1:9") -> ConnectError:
    error = ConnectError(f"cannot connect to {place}: x")
    error.__cause__ = cause
    return error


SEVERAL = (
    "Multiple exceptions: [Errno 111] Connect call failed ('::1', 9, 0, 0), [Errno 111] Connect call failed ('127.0.0.1', 9)"
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (failed(socket.gaierror(-2, "Name or service not known"), "h:9"), 'Post "http://u": dial tcp: lookup h: no such host'),
        (failed(OSError(SEVERAL), "localhost:9"), 'Post "http://u": dial tcp localhost:9: connect: connection refused'),
        (
            failed(ConnectionRefusedError(errno.ECONNREFUSED, "x")),
            'Post "http://u": dial tcp 127.0.0.1:9: connect: connection refused',
        ),
        (ConnectionClosed("x", started=False), 'Post "http://u": EOF'),
        (ConnectionClosed("x", started=False, reset=True), 'Post "http://u": read: connection reset by peer'),
        (ConnectionClosed("x", started=True), "unexpected EOF"),
        (
            TimeoutReached(phase="head"),
            'Post "http://u": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        ),
        (
            TimeoutReached(phase="body"),
            "context deadline exceeded (Client.Timeout or context cancellation while reading body)",
        ),
        (ProtocolError("bad"), 'Post "http://u": net/http: HTTP/1.x transport connection broken: bad'),
    ],
)
def test_a_failed_call_is_told_in_gos_words(error: NetError, text: str) -> None:
    assert call_fault(error, "http://u") == text


def test_a_password_is_masked() -> None:
    assert shown("http://me:secret@h/x") == "http://me:***@h/x"


def test_quoting_escapes_as_go_does() -> None:
    assert quoted('a"b\\c\n\x01é\u2028') == '"a\\"b\\\\c\\n\\x01é\\u2028"'


@pytest.mark.parametrize(
    ("base", "reference", "url"),
    [
        ("http://h/a/b?q", "http://other/x", "http://other/x"),
        ("http://h/a/b", "//other/x", "http://other/x"),
        ("http://h/a/b", "/x/../y", "http://h/y"),
        ("http://h/a/b", "c", "http://h/a/c"),
        ("http://h/a/b", "../c?d=http://e", "http://h/c?d=http://e"),
        ("http://h/a/b?q#f", "?r", "http://h/a/b?r"),
        ("http://h", "c", "http://h/c"),
        ("http://h/a/b", "..", "http://h/"),
    ],
)
def test_a_location_is_relative_to_the_url_that_gave_it(base: str, reference: str, url: str) -> None:
    assert joined(base, reference) == url
