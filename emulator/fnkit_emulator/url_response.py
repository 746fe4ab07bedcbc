"""What a function URL makes of a function's answer.

Two forms exist. A buffered answer is JSON: an object with `statusCode` sets status, headers, cookies and body, any other JSON is the
body of a 200. A streamed answer to an HTTP front end starts with a JSON head, eight NUL bytes, and then the raw body.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass

SEPARATOR = b"\0" * 8
HTTP_INTEGRATION = "application/vnd.awslambda.http-integration-response"

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ILLEGAL_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# The server sets the framing of the answer itself.
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"})

HeaderList = list[tuple[bytes, bytes]]


class BadAnswer(Exception):
    """The function's answer is none that a function URL can pass on; the message says why."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer; header names are lower-case."""

    status: int
    headers: HeaderList


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole buffered answer."""

    head: Head
    body: bytes


def parse_buffered(payload: bytes) -> HttpAnswer:
    """Return the HTTP answer for the JSON *payload* that a function answered with; BadAnswer if there is none."""
    try:
        value = json.loads(payload) if payload.strip() else None
    except ValueError as error:
        raise BadAnswer(f"the answer is not JSON: {error}") from error
    if not isinstance(value, dict) or "statusCode" not in value:
        return HttpAnswer(Head(200, [(b"content-type", b"application/json")]), _bare_body(value, payload))
    head = _head(value, default_type="application/json")
    return HttpAnswer(head, _body(value))


def parse_prelude(prelude: bytes) -> Head:
    """Return the head that the JSON *prelude* of a streamed answer describes; BadAnswer if it cannot be used."""
    if not prelude.strip():
        return _head({}, default_type="application/octet-stream")
    try:
        value = json.loads(prelude)
    except ValueError as error:
        raise BadAnswer(f"the head of the streamed answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadAnswer("the head of the streamed answer is not a JSON object")
    return _head(value, default_type="application/octet-stream")


def _bare_body(value: object, payload: bytes) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if value is None:
        return payload.strip()
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _body(value: Mapping[str, object]) -> bytes:
    body = value.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    if value.get("isBase64Encoded"):
        try:
            return b64decode(body, validate=True)
        except (Base64Error, ValueError) as error:
            raise BadAnswer(f"isBase64Encoded is set, but the body is not base64: {error}") from error
    return body.encode("utf-8", "surrogatepass")


def _head(value: Mapping[str, object], *, default_type: str) -> Head:
    headers: HeaderList = []
    headers += _single_headers(value.get("headers"))
    headers += _many_headers(value.get("multiValueHeaders"))
    headers += _cookies(value.get("cookies"))
    if not any(name == b"content-type" for name, _ in headers):
        headers.insert(0, (b"content-type", default_type.encode()))
    return Head(_status(value.get("statusCode", 200)), headers)


def _status(value: object) -> int:
    # AWS accepts the status as a string too.
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        raise BadAnswer(f"statusCode is {value!r}")
    try:
        status = int(value)
    except ValueError:
        raise BadAnswer(f"statusCode is {value!r}") from None
    if not 200 <= status <= 599:
        raise BadAnswer(f"statusCode is {status}; a function URL answers 200 to 599")
    return status


def _single_headers(value: object) -> HeaderList:
    return [pair for name, one in _mapping(value, "headers") for pair in _header(name, one)]


def _many_headers(value: object) -> HeaderList:
    pairs: HeaderList = []
    for name, many in _mapping(value, "multiValueHeaders"):
        for one in many if isinstance(many, list) else [many]:
            pairs += _header(name, one)
    return pairs


def _cookies(value: object) -> HeaderList:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadAnswer("cookies is not a list")
    return [pair for cookie in value for pair in _header("set-cookie", cookie)]


def _mapping(value: object, what: str) -> list[tuple[str, object]]:
    if value is None:
        return []
    if not isinstance(value, dict):
        raise BadAnswer(f"{what} is not an object")
    return list(value.items())


def _header(name: str, value: object) -> HeaderList:
    """Return the header as a list of one, or of none where the server sets it itself."""
    lower = name.lower()
    if lower in _FRAMING:
        return []
    text = _header_text(value)
    if not _NAME.fullmatch(lower):
        raise BadAnswer(f"the header name {name!r} has characters that no header name may have")
    if _ILLEGAL_VALUE.search(text):
        raise BadAnswer(f"the value of header {name!r} has control characters")
    try:
        return [(lower.encode("ascii"), text.encode("latin-1"))]
    except UnicodeEncodeError:
        return [(lower.encode("ascii"), text.encode("utf-8"))]


def _header_text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise BadAnswer(f"a header has the value {value!r}, which is not text")
