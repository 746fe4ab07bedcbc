"""Where URLs lead."""

from __future__ import annotations

import pytest

from fnkit.net.errors import InvalidRequest
from fnkit.net.url import parse_url


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "resource"),
    [
        ("http://h", "h", 80, "h", "/"),
        ("HTTP://H:80/a?b#c", "h", 80, "h", "/a?b"),
        ("https://h/a", "h", 443, "h", "/a"),
        ("https://h:80/", "h", 80, "h:80", "/"),
        ("http://127.0.0.1:8080?x=1", "127.0.0.1", 8080, "127.0.0.1:8080", "/?x=1"),
        ("http://[::1]:90/x", "::1", 90, "[::1]:90", "/x"),
        ("http://[::1]/x", "::1", 80, "[::1]", "/x"),
        ("http://h/a b/ü", "h", 80, "h", "/a%20b/%C3%BC"),
        ("http://h/a%20b", "h", 80, "h", "/a%20b"),
        ("http://h:/x", "h", 80, "h", "/x"),
        ("http://bücher.example/", "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/"),
        ("http://h/v1/models/m:predict", "h", 80, "h", "/v1/models/m:predict"),
    ],
)
def test_a_url_is_taken_apart(url: str, host: str, port: int, authority: str, resource: str) -> None:
    target = parse_url(url)

    assert (target.host, target.port, target.authority, target.resource) == (host, port, authority, resource)


def test_user_and_password_become_basic_authorization() -> None:
    assert parse_url("http://Aladdin:open%20sesame@h/").authorization == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert parse_url("http://h/").authorization == ""


@pytest.mark.parametrize(
    "url",
    ["", "h", "/x", "ftp://h/", "http://", "http:///x", "http://h:0/", "http://h:99999", "http://h:x/", "http://a b/",
     "http://h/\r\nX: y", "http://[::1", "http://[::1]x/", "http://{x}/", "localhost/x", "http://ü\udc80/"],
)  # fmt: skip
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_url(url)
