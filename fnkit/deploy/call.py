"""Call a function by its URL, and pass on what it answers as it arrives."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from fnkit.errors import InvokeError, StreamingError, UsageError
from fnkit.functions.sigv4 import Credentials, Signer

_AWS_HOST = re.compile(r"[a-z0-9]+\.lambda-url\.([a-z0-9-]+)\.on\.aws(?:\.cn)?")
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a function URL."""

    url: str
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose head has been read; *chunks* yields the body as it arrives, once."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    chunks: Iterator[bytes]


def signing_region(url: str) -> str:
    """Return the region to sign for if *url* is a function URL of AWS, `""` otherwise."""
    match = _AWS_HOST.fullmatch(urlsplit(url).hostname or "")
    return match[1] if match else ""


def signature(call: Call, credentials: Credentials, *, clock: Callable[[], float] = time.time) -> tuple[tuple[str, str], ...]:
    """Return the headers that sign *call* for AWS."""
    parts = urlsplit(call.url)
    signer = Signer(credentials, signing_region(call.url), "lambda")
    query: Mapping[str, str] = dict(parse_qsl(parts.query, keep_blank_values=True))
    return tuple(signer.sign(call.method, parts.netloc, parts.path or "/", query, call.headers, call.body, clock()))


def send(call: Call) -> Reply:
    """Send *call* and return its answer's head. UsageError for a URL that is none; InvokeError if nobody answers."""
    parts = urlsplit(call.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{call.url!r} is no URL of a function", hint="give it with http:// or https://")
    connection = _connection(call)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(call.method, target, call.body or None, dict(call.headers))
        answer = connection.getresponse()
    except TimeoutError as error:
        connection.close()
        raise InvokeError(f"no answer within {call.timeout_s:g} s", where=call.url, hint="give more with --timeout") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        raise InvokeError(f"no answer: {error}", where=call.url, hint="is the function, or the emulator, running?") from error
    headers = tuple((name.lower(), value) for name, value in answer.getheaders())
    return Reply(answer.status, answer.reason, headers, _chunks(connection, answer, call))


def _connection(call: Call) -> http.client.HTTPConnection:
    parts = urlsplit(call.url)
    try:
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{call.url!r}: {error}") from error
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", port, timeout=call.timeout_s)


def _chunks(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, call: Call) -> Iterator[bytes]:
    """Yield the body as it arrives. StreamingError if it ends before its end."""
    count = 0
    try:
        while piece := answer.read1(_PIECE):
            count += len(piece)
            yield piece
        if answer.length:
            raise StreamingError(f"the answer broke off: {answer.length} bytes are missing after {count}", where=call.url)
    except TimeoutError as error:
        raise StreamingError(f"nothing arrived for {call.timeout_s:g} s after {count} bytes", where=call.url) from error
    except (OSError, http.client.HTTPException) as error:
        raise StreamingError(
            f"the answer broke off after {count} bytes", where=call.url, hint="the function failed in mid-stream: see its log"
        ) from error
    finally:
        connection.close()
