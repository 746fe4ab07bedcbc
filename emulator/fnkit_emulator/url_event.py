"""The event that a function URL makes of an HTTP request: payload format 2.0.

Source of the rules: the documentation of Lambda function URLs, and recordings of what AWS sent. Header names are lower-cased and
repeated ones joined with a comma; cookies leave the headers and become a list; `rawPath` keeps percent escapes while query parameters
are decoded; a body is text when its content type says text, JSON or XML and its bytes are ASCII, and base64 otherwise.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

_TEXTUAL = ("text", "json", "xml")
_DROPPED = frozenset({"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"})
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request as it came in: *path* and *query* raw, header names in any case, values as latin-1 text."""

    method: str
    path: str
    query: str
    headers: Iterable[tuple[str, str]]
    body: bytes
    source_ip: str
    protocol: str = "HTTP/1.1"
    scheme: str = "http"
    port: int = 80


def build_event(request: HttpRequest, *, url_id: str, request_id: str, trace_id: str, now: float | None = None) -> bytes:
    """Return the JSON event for *request*. *url_id* stands for the URL's own id; *now* is seconds since the epoch."""
    now = time.time() if now is None else now
    headers, cookies = _headers(request, trace_id)
    event: dict[str, object] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path or "/",
        "rawQueryString": request.query,
    }
    if cookies:
        event["cookies"] = cookies
    event["headers"] = headers
    if request.query:
        event["queryStringParameters"] = query_parameters(request.query)
    event["requestContext"] = _context(request, headers, url_id, request_id, now)
    if request.body:
        textual = is_text(headers.get("content-type", ""), request.body)
        event["body"] = request.body.decode("ascii") if textual else b64encode(request.body).decode("ascii")
        event["isBase64Encoded"] = not textual
    else:
        event["isBase64Encoded"] = False
    return json.dumps(event, separators=(",", ":")).encode("ascii")


def is_text(content_type: str, body: bytes) -> bool:
    """Tell whether *body* travels as text rather than as base64."""
    lower = content_type.lower()
    return any(word in lower for word in _TEXTUAL) and body.isascii()


def query_parameters(query: str) -> dict[str, str]:
    """Return the decoded parameters of a raw *query*, repeated ones joined with a comma."""
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def new_trace_id(request_id: str, now: float) -> str:
    """Return an X-Ray trace header for a request without one; *request_id* is a UUID."""
    digits = request_id.replace("-", "")
    return f"Root=1-{int(now):08x}-{digits[:24]}"


def _headers(request: HttpRequest, trace_id: str) -> tuple[dict[str, str], list[str]]:
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, value in request.headers:
        name = raw_name.lower()
        if name == "cookie":
            cookies += [cookie for part in value.split(";") if (cookie := part.strip())]
        elif name not in _DROPPED:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    headers["x-amzn-trace-id"] = trace_id
    headers["x-forwarded-for"] = request.source_ip
    headers["x-forwarded-port"] = str(request.port)
    headers["x-forwarded-proto"] = request.scheme
    return headers, cookies


def _context(request: HttpRequest, headers: dict[str, str], url_id: str, request_id: str, now: float) -> dict[str, object]:
    return {
        "accountId": "anonymous",
        "apiId": url_id,
        "domainName": headers.get("host", ""),
        "domainPrefix": url_id,
        "http": {
            "method": request.method,
            "path": request.path or "/",
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": _common_log_time(now),
        "timeEpoch": int(now * 1000),
    }


def _common_log_time(now: float) -> str:
    # strftime's %b follows the locale; AWS writes English months.
    utc = time.gmtime(now)
    return (
        f"{utc.tm_mday:02d}/{_MONTHS[utc.tm_mon - 1]}/{utc.tm_year:04d}:{utc.tm_hour:02d}:{utc.tm_min:02d}:{utc.tm_sec:02d} +0000"
    )
