"""What function URLs make of answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fnkit_emulator.url_response import BadAnswer, parse_buffered, parse_prelude

JSON_TYPE = (b"content-type", b"application/json")


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        ({"hello": "world"}, b'{"hello":"world"}'),
        (["hello", 3, True], b'["hello",3,true]'),
        (3, b"3"),
        (3.1, b"3.1"),
        (True, b"true"),
        ("hello", b"hello"),
        (None, b"null"),
        ({"ä": 1}, '{"ä":1}'.encode()),
    ],
)
def test_json_without_a_status_is_the_body_of_a_200(payload: object, body: bytes) -> None:
    answer = parse_buffered(json.dumps(payload).encode())

    assert (answer.head.status, answer.head.headers, answer.body) == (200, [JSON_TYPE], body)


def test_status_headers_cookies_and_body_are_used() -> None:
    answer = parse_buffered(
        json.dumps({"statusCode": "418", "headers": {"X-A": "b", "X-N": 3}, "cookies": ["a=1", "b=2"], "body": "tea"}).encode()
    )

    assert answer.head.status == 418
    assert answer.head.headers == [JSON_TYPE, (b"x-a", b"b"), (b"x-n", b"3"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    assert answer.body == b"tea"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"body": "aGk=", "isBase64Encoded": True}, b"hi"),
        ({"body": {"a": [1]}}, b'{"a":[1]}'),
        ({"body": None}, b""),
        ({}, b""),
        ({"body": "ä"}, "ä".encode()),
    ],
)
def test_bodies_are_text_base64_or_json(fields: dict[str, Any], body: bytes) -> None:
    assert parse_buffered(json.dumps({"statusCode": 200, **fields}).encode()).body == body


def test_the_servers_own_headers_are_left_out() -> None:
    headers = {"Content-Length": "3", "Transfer-Encoding": "chunked", "Connection": "close", "Content-Type": "text/plain"}

    answer = parse_buffered(json.dumps({"statusCode": 200, "headers": headers}).encode())

    assert answer.head.headers == [(b"content-type", b"text/plain")]


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "many"},
        {"statusCode": 99},
        {"statusCode": True},
        {"statusCode": None},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": {"a": "b\r\nx: y"}},
        {"statusCode": 200, "headers": {"a b": "c"}},
        {"statusCode": 200, "headers": {"a": {}}},
        {"statusCode": 200, "headers": {"": "c"}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "cookies": ["a=1\n"]},
        {"statusCode": 200, "body": "%%%", "isBase64Encoded": True},
    ],
)
def test_answers_that_cannot_be_passed_on_are_refused(answer: dict[str, Any]) -> None:
    if answer.get("cookies") == ["a=1\n"]:
        answer["cookies"] = ["a=1\nb"]  # white space at the ends is dropped

    with pytest.raises(BadAnswer):
        parse_buffered(json.dumps(answer).encode())


def test_an_answer_that_is_no_json_is_refused() -> None:
    with pytest.raises(BadAnswer, match="not JSON"):
        parse_buffered(b"<html>")


def test_the_head_of_a_stream_sets_status_and_headers() -> None:
    head = parse_prelude(b'{"statusCode": 206, "headers": {"Content-Type": "text/event-stream"}, "cookies": ["a=1"]}')

    assert (head.status, head.headers) == (206, [(b"content-type", b"text/event-stream"), (b"set-cookie", b"a=1")])


def test_a_stream_without_a_type_is_bytes() -> None:
    assert parse_prelude(b"{}").headers == [(b"content-type", b"application/octet-stream")]


@pytest.mark.parametrize("prelude", [b"[]", b"{", b'{"statusCode": 0}'])
def test_a_broken_head_is_refused(prelude: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_prelude(prelude)
