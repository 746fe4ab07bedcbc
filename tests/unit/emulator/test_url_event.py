"""Events of function URLs, payload format 2.0."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from fnkit_emulator.url_event import HttpRequest, build_event, new_trace_id


def event_of(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "method": "POST",
        "path": "/my/path",
        "query": "",
        "headers": [],
        "body": b"",
        "source_ip": "1.2.3.4",
        **changes,
    }
    event = build_event(HttpRequest(**facts), url_id="graph", request_id="id-1", trace_id="Root=1-a-b", now=1583348638.390)
    parsed = json.loads(event)
    assert isinstance(parsed, dict)
    return parsed


def test_a_request_becomes_the_documented_event() -> None:
    event = event_of(
        query="p=1&p=2&q=v",
        headers=[
            ("Host", "127.0.0.1:9"),
            ("User-Agent", "agent"),
            ("Content-Type", "text/plain"),
            ("Header2", "a"),
            ("HEADER2", "B"),
        ],
        body=b"Hello from client!",
    )

    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my/path",
        "rawQueryString": "p=1&p=2&q=v",
        "headers": {
            "host": "127.0.0.1:9",
            "user-agent": "agent",
            "content-type": "text/plain",
            "header2": "a,B",
            "x-amzn-trace-id": "Root=1-a-b",
            "x-forwarded-for": "1.2.3.4",
            "x-forwarded-port": "80",
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"p": "1,2", "q": "v"},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "graph",
            "domainName": "127.0.0.1:9",
            "domainPrefix": "graph",
            "http": {"method": "POST", "path": "/my/path", "protocol": "HTTP/1.1", "sourceIp": "1.2.3.4", "userAgent": "agent"},
            "requestId": "id-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "body": "Hello from client!",
        "isBase64Encoded": False,
    }


def test_cookies_leave_the_headers() -> None:
    event = event_of(headers=[("Cookie", "c1=v1; c2=v2"), ("connection", "keep-alive")])

    assert event["cookies"] == ["c1=v1", "c2=v2"]
    assert "cookie" not in event["headers"]
    assert "connection" not in event["headers"]


def test_the_raw_path_keeps_escapes_and_parameters_lose_them() -> None:
    event = event_of(path="/pa2%2Fth/1", query="a=%2Fbar&b=x+y&c")

    assert event["rawPath"] == "/pa2%2Fth/1"
    assert event["queryStringParameters"] == {"a": "/bar", "b": "x y", "c": ""}


@pytest.mark.parametrize(
    ("content_type", "body", "is_text"),
    [
        ("application/json", b"{}", True),
        ("text/csv", b"a,b", True),
        ("application/problem+xml", b"<a/>", True),
        ("application/json", '{"ä": 1}'.encode(), False),
        ("application/x-www-form-urlencoded", b"a=1", False),
        ("multipart/form-data; boundary=x", b"--x", False),
        ("", b"abc", False),
    ],
)
def test_a_body_is_text_only_by_its_type_and_in_ascii(content_type: str, body: bytes, is_text: bool) -> None:
    event = event_of(headers=[("content-type", content_type)], body=body)

    assert event["isBase64Encoded"] is not is_text
    assert (event["body"].encode() if is_text else b64decode(event["body"])) == body


def test_what_a_request_has_not_is_not_in_the_event() -> None:
    event = event_of(path="", method="GET")

    assert event["rawPath"] == "/"
    assert {"body", "cookies", "queryStringParameters"}.isdisjoint(event)


def test_a_trace_id_has_the_form_of_x_ray() -> None:
    trace = new_trace_id("12345678-9abc-def0-1234-56789abcdef0", 1583348638.0)

    assert trace == "Root=1-5e5ffb9e-123456789abcdef012345678"
