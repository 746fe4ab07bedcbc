"""What Go says when a call fails: the texts that KServe's router answers with, made from our own errors.

Sources: `net/url` and `net/http` of Go 1.25; the texts were observed from the router itself.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from fnkit.net.errors import BodyTooLarge, ConnectError, ConnectionClosed, InvalidRequest, NetError, TimeoutReached

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*")
_HOST_BYTES = frozenset("-_.~!$&'()*+,;=:[]<>\"%0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}


def quoted(text: str) -> str:
    """Return *text* as Go's `%q` shows it."""
    return '"' + "".join(_ESCAPES.get(char) or _printable(char) for char in text) + '"'


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@lru_cache(maxsize=1024)
def url_fault(url: str) -> str:
    """Return why Go's client does not send a request to *url*; `""` if it does."""
    fault = _parse_fault(url)
    if fault:
        return f"parse {quoted(url)}: {fault}"
    scheme, found, rest = url.partition("://")
    if not found or scheme.lower() not in ("http", "https"):
        scheme = url.partition(":")[0] if _SCHEME.fullmatch(url.partition(":")[0]) and ":" in url else ""
        return f"Post {quoted(shown(url))}: unsupported protocol scheme {quoted(scheme.lower())}"
    if not re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]:
        return f"Post {quoted(shown(url))}: http: no Host in request URL"
    return ""


def _parse_fault(url: str) -> str:
    if any(char < " " or char == "\x7f" for char in url):
        return "net/url: invalid control character in URL"
    head, colon, _ = url.partition(":")
    if colon and not head:
        return "missing protocol scheme"
    if colon and not _SCHEME.fullmatch(head) and "/" not in head and head not in ("", "*"):
        return "first path segment in URL cannot contain colon"
    if colon and _SCHEME.fullmatch(head) and url[len(head) + 1 :].startswith("//"):
        authority = re.split(r"[/?#]", url[len(head) + 3 :], maxsplit=1)[0]
        fault = _host_fault(authority.rpartition("@")[2])
        if fault:
            return fault
    path = url.partition("?")[0].partition("#")[0]
    bad = _BAD_ESCAPE.search(path)
    return f"invalid URL escape {quoted(bad[0])}" if bad else ""


def _host_fault(host: str) -> str:
    if host.startswith("["):
        if "]" not in host:
            return "missing ']' in host"
        tail = host.rpartition("]")[2]
    else:
        tail = host[host.find(":") :] if ":" in host else ""
    if tail and not (tail[0] == ":" and (tail[1:] == "" or (tail[1:].isascii() and tail[1:].isdigit()))):
        return f"invalid port {quoted(tail)} after host"
    for char in host:
        if char not in _HOST_BYTES and ord(char) < 0x80:
            return f"invalid character {quoted(char)} in host name"
    return ""


def shown(url: str) -> str:
    """Return *url* as Go shows it in an error: its password is masked."""
    return re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://[^/?#@:]*):[^/?#@]*@", r"\1:***@", url)


def call_fault(error: NetError, url: str) -> str:
    """Return what Go's client says when a POST to *url* fails with *error*."""
    if isinstance(error, TimeoutReached) and error.phase == "body":
        return "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
    if isinstance(error, ConnectionClosed) and error.started:
        return "unexpected EOF"
    return f"Post {quoted(shown(url))}: {_reason(error)}"


def _reason(error: NetError) -> str:
    match error:
        case TimeoutReached():
            return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
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
