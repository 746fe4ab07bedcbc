"""Where a URL leads: the connection to use, and what to ask for on it."""

from __future__ import annotations

from binascii import b2a_base64
from functools import lru_cache

from fnkit.net.errors import InvalidRequest
from fnkit.records import record

_PORTS = {"http": 80, "https": 443}
_PLAIN = frozenset(map(chr, range(0x21, 0x7F)))
_HEX = frozenset("0123456789abcdefABCDEF")


@record(frozen=True, slots=True)
class Target:
    """A URL taken apart. *authority* is the value of `Host`, *resource* the path and query as sent."""

    scheme: str
    host: str
    port: int
    authority: str
    resource: str
    authorization: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What connections are shared by."""
        return (self.scheme, self.host, self.port)


@lru_cache(maxsize=1024)
def parse_url(url: str) -> Target:
    """Take an absolute http or https URL apart.

    The path is sent as written, apart from bytes that HTTP forbids, which are percent-encoded; a user and password become
    `Authorization: Basic`. Raises `InvalidRequest`.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _PORTS:
        raise InvalidRequest(f"unsupported URL {url!r}", hint="use an absolute http:// or https:// URL")
    if any(char < " " or char == "\x7f" for char in url):
        raise InvalidRequest(f"control character in URL {url!r}")
    cut = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    userinfo, _, place = rest[:cut].rpartition("@")
    host, port = _host_and_port(place, url)
    resource = rest[cut:].partition("#")[0]
    if not resource.startswith("/"):
        resource = "/" + resource
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port in (None, _PORTS[scheme]) else f"{shown}:{port}"
    return Target(scheme, host, port or _PORTS[scheme], authority, _escaped(resource), _basic(userinfo))


def _host_and_port(place: str, url: str) -> tuple[str, int | None]:
    if place.startswith("["):
        host, closed, tail = place[1:].partition("]")
        separator, port = tail[:1], tail[1:]
        if not closed or separator not in ("", ":"):
            raise InvalidRequest(f"bad host in URL {url!r}")
    else:
        host, separator, port = place.partition(":")
    if not host or not _sendable(host):
        raise InvalidRequest(f"bad host in URL {url!r}")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidRequest(f"bad port in URL {url!r}")
    return (_ascii_host(host, url), int(port) if port else None)


def _sendable(host: str) -> bool:
    return not any(char in ' "<>\\^`{|}%,;' for char in host)


def _ascii_host(host: str, url: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise InvalidRequest(f"bad host in URL {url!r}") from error


def _escaped(resource: str) -> str:
    if _PLAIN.issuperset(resource):
        return resource
    return "".join(
        char if char in _PLAIN else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
        for char in resource
    )


def _basic(userinfo: str) -> str:
    if not userinfo:
        return ""
    raw = _unquoted(userinfo)
    return "Basic " + b2a_base64(raw if b":" in raw else raw + b":", newline=False).decode("ascii")


def _unquoted(text: str) -> bytes:
    head, *tails = text.split("%")
    parts = [head.encode()]
    for tail in tails:
        coded = len(tail) >= 2 and _HEX.issuperset(tail[:2])
        parts.append(bytes.fromhex(tail[:2]) + tail[2:].encode() if coded else b"%" + tail.encode())
    return b"".join(parts)
