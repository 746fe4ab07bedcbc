"""What Go says when a call fails: the texts that KServe's router answers with, made from our own errors.

Sources: `net/url` and `net/http` of Go 1.25; the texts were observed from the router itself.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from fnkit.inference_graph.go_quote import quoted
from fnkit.inference_graph.go_url import GoUrl, UrlFault, parse
from fnkit.net.errors import BodyTooLarge, ConnectError, ConnectionClosed, InvalidRequest, NetError, TimeoutReached
from fnkit.net.url import parse_url

_ERRNO = re.compile(r"\[Errno (\d+)\]")
_MAX_PORT = 65535


@lru_cache(maxsize=1024)
def url_fault(url: str) -> str:
    """Return why Go's client does not send a request to *url*; `""` if it does."""
    try:
        parsed = parse(url)
    except UrlFault as fault:
        return str(fault)
    reason = ""
    if parsed.scheme not in ("http", "https"):
        reason = f"unsupported protocol scheme {quoted(parsed.scheme)}"
    elif not parsed.host:
        reason = "http: no Host in request URL"
    elif parsed.port and int(parsed.port[:9]) > _MAX_PORT:
        reason = f"dial tcp: address {parsed.port}: invalid port"
    else:
        reason = _dial_refusal(parsed)
    return reason and f"Post {quoted(parsed.text(masked=True))}: {reason}"


def _dial_refusal(url: GoUrl) -> str:
    """Return what comes of a host that nobody can have; `""` for any other."""
    try:
        parse_url(url.request_url())
    except InvalidRequest:
        name = url.host.removesuffix(f":{url.port}")
        if not name or (url.port and not int(url.port)):
            return f"dial tcp {url.host}: connect: connection refused"
        return f"dial tcp: lookup {name}: no such host"
    return ""


def shown(url: str) -> str:
    """Return *url* as Go shows it in an error: as it writes it, with its password masked."""
    try:
        return parse(url).text(masked=True)
    except UrlFault:
        return url


def call_fault(error: NetError, url: str, *, in_head: bool = False) -> str:
    """Return what Go's client says when a POST to *url* fails with *error*; *in_head*: before the head of the answer was there."""
    if isinstance(error, TimeoutReached) and error.phase == "body":
        return "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
    if isinstance(error, ConnectionClosed) and error.started and not in_head:
        return "unexpected EOF"
    return f"Post {quoted(shown(url))}: {_reason(error)}"


def _reason(error: NetError) -> str:
    match error:
        case TimeoutReached():
            return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        case ConnectionClosed() if error.started and not error.reset:
            return "net/http: HTTP/1.x transport connection broken: unexpected EOF"
        case ConnectionClosed():
            return "read: connection reset by peer" if error.reset else "EOF"
        case ConnectError():
            return _dial_fault(error)
        case BodyTooLarge() | InvalidRequest():
            return error.message
        case _:
            return f"net/http: HTTP/1.x transport connection broken: {error.message}"


def _dial_fault(error: ConnectError) -> str:
    cause = error.__cause__
    place = error.message.removeprefix("cannot connect to ").partition(": ")[0]
    number = cause.errno if isinstance(cause, OSError) else None
    if type(cause).__name__ == "gaierror" or isinstance(cause, UnicodeError):
        return f"dial tcp: lookup {place.rpartition(':')[0]}: no such host"
    if type(cause).__name__.startswith("SSL"):
        return f"tls: failed to verify certificate: {cause}"
    if number is None and (several := _ERRNO.search(str(cause))):  # asyncio tried several addresses
        number = int(several[1])
    if number is None or number <= 0:
        return f"dial tcp {place}: {cause or error.message}"
    return f"dial tcp {place}: connect: {os.strerror(number).lower()}"
