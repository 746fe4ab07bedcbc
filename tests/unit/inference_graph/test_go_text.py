"""Go's words for failed calls."""

from __future__ import annotations

import errno
import socket

import pytest

from fnkit.inference_graph.go_quote import quoted
from fnkit.inference_graph.go_text import call_fault, shown, url_fault
from fnkit.inference_graph.go_url import parse, resolve
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
        ("http://[1.2.3.4]/", 'parse "http://[1.2.3.4]/": invalid host: ParseAddr("1.2.3.4"): unable to parse IP'),
        ("http://a:b:c/", 'parse "http://a:b:c/": invalid port ":c" after host'),
        ("http://%31.0.0.1/", 'parse "http://%31.0.0.1/": invalid URL escape "%31"'),
        ("http://us er@h/", 'parse "http://us er@h/": net/url: invalid userinfo'),
        ("a:b/c", 'Post "a:b/c": unsupported protocol scheme "a"'),
        ("a b:c/d", 'parse "a b:c/d": first path segment in URL cannot contain colon'),
        ("h#f?%zz", 'parse "h#f?%zz": invalid URL escape "%zz"'),
        ("http:", 'Post "http:": http: no Host in request URL'),
        ("http://", 'Post "http:": http: no Host in request URL'),
        ("http:h/x", 'Post "http:h/x": http: no Host in request URL'),
        ("HTTPS:/h", 'Post "https:/h": http: no Host in request URL'),
        ("/a b", 'Post "/a%20b": unsupported protocol scheme ""'),
        ("http://h:99999/", 'Post "http://h:99999/": dial tcp: address 99999: invalid port'),
        ("http://h:0/", 'Post "http://h:0/": dial tcp h:0: connect: connection refused'),
        ("http://u:secret@a;b/", 'Post "http://u:***@a;b/": dial tcp: lookup a;b: no such host'),
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
    assert shown("http://me:se@cret@h/x") == "http://me:***@h/x"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://h", "http://h/"),
        ("HTTP://h:/a?b#c", "http://h/a?b"),
        ('http://h/"x"/[y]{z}', "http://h/%22x%22/%5By%5D%7Bz%7D"),
        ("http://h/[y]", "http://h/[y]"),
        ("http://h/a%2fb", "http://h/a%2fb"),
        ("http://h/é", "http://h/%C3%A9"),
        ("http://u:p%40@h?", "http://u:p%40@h/?"),
        ("http://[::1]:80/", "http://[::1]:80/"),
    ],
)
def test_a_request_goes_to_the_url_as_go_writes_it(url: str, sent: str) -> None:
    assert parse(url).request_url() == sent


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
        ("http://h/a/b", "../../../c/./d/", "http://h/c/d/"),
        ("http://h/a?q", "#f", "http://h/a?q#f"),
        ("http://u:p@h/a", "/b", "http://u:p@h/b"),
        ("http://u:p@h/a", "//i/b", "http://i/b"),
        ("http://h/a", "x:y", "x:y"),
    ],
)
def test_a_location_is_relative_to_the_url_that_gave_it(base: str, reference: str, url: str) -> None:
    assert resolve(parse(base), parse(reference)).text() == url
