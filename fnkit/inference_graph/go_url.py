"""URLs as Go reads, joins and writes them: what a `serviceUrl` or a `Location` means to KServe's router, and what it refuses.

Source: package `net/url` of Go 1.25. A path is kept in the form in which Go sends and shows it: as written if it is validly escaped,
else unescaped and escaped anew. A host is kept with its port, unescaped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from socket import AF_INET6, inet_pton

from fnkit.inference_graph.go_quote import quoted

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset("0123456789")
_HEX = _DIGITS | frozenset("abcdefABCDEF")
_PLAIN = _LETTERS | _DIGITS | frozenset("-_.~$&+,;=")
_SCHEME = _LETTERS | _DIGITS | frozenset("+-.")
_USERINFO = _PLAIN | frozenset(":!'()*%@")
_HOST = (_PLAIN - {"@"}) | frozenset("!'()*:[]<>\"")

# Of each part: what may stand in it as it was written, and what Go leaves as it is when it writes the part itself.
_PATH = _PLAIN | frozenset("/:@!'()*[]%"), _PLAIN | frozenset("/:@")
_FRAGMENT = _PATH[0] | {"?"}, _PATH[1] | frozenset("?!()*")


class UrlFault(Exception):
    """A text that Go does not take for a URL; the message is Go's."""

    def __init__(self, url: str, fault: str) -> None:
        super().__init__(f"parse {quoted(url)}: {fault}")


class _Fault(Exception):
    """What is wrong with a part."""


@dataclass(frozen=True, slots=True)
class GoUrl:
    """A URL, perhaps a relative one. *user* is name and password; *query* and password are None where there is none.

    *bare*: an absolute path follows the scheme directly, without the two slashes of a host.
    """

    scheme: str = ""
    opaque: str = ""
    user: tuple[str, str | None] | None = None
    host: str = ""
    path: str = ""
    query: str | None = None
    fragment: str = ""
    bare: bool = False

    @property
    def port(self) -> str:
        """The digits behind the host's colon."""
        return self.host.rpartition(":")[2] if ":" in self.host.rpartition("]")[2] else ""

    def text(self, *, masked: bool = False) -> str:
        """Return the URL as Go writes it; *masked*: with stars for the password."""
        authority = _escaped(self.host, _HOST)
        if self.user is not None:
            authority = f"{self._userinfo(masked=masked)}@{authority}"
        start = f"{self.scheme}:" if self.scheme else ""
        if self.opaque:
            start += self.opaque
        else:
            named = self.host or self.user is not None
            if named or (self.scheme and self.path and not self.bare):
                start += f"//{authority}"
            if self.path[:1] not in ("", "/") and self.host:
                start += "/"
            elif not start and ":" in self.path.partition("/")[0]:
                start = "./"
            start += self.path
        return start + ("" if self.query is None else f"?{self.query}") + (f"#{self.fragment}" if self.fragment else "")

    def request_url(self) -> str:
        """Return the URL to send a request to: absolute, with a path, without a fragment."""
        return replace(self, fragment="", path=self.path or "/").text()

    def _userinfo(self, *, masked: bool) -> str:
        name, password = self.user or ("", None)
        if masked and password is not None:
            return f"{name}:***"
        written = _escaped(name, _PLAIN)
        return written if password is None else f"{written}:{_escaped(password, _PLAIN)}"


@lru_cache(maxsize=1024)
def parse(text: str) -> GoUrl:
    """Return *text* as a URL. Raises `UrlFault`."""
    whole, _, fragment = text.partition("#")
    try:
        url = _parse(whole)
    except _Fault as fault:
        raise UrlFault(whole, str(fault)) from None
    try:
        return replace(url, fragment=_kept(fragment, _FRAGMENT)) if fragment else url
    except _Fault as fault:
        raise UrlFault(text, str(fault)) from None


def _parse(text: str) -> GoUrl:
    if any(char < " " or char == "\x7f" for char in text):
        raise _Fault("net/url: invalid control character in URL")
    if text == "*":
        return GoUrl(path="*")
    if text.startswith(":"):
        raise _Fault("missing protocol scheme")
    head, colon, tail = text.partition(":")
    scheme = head.lower() if colon and head[0] in _LETTERS and _SCHEME.issuperset(head) else ""
    rest, mark, query = (tail if scheme else text).partition("?")
    asked = query if mark else None
    if not rest.startswith("/"):
        if scheme:
            return GoUrl(scheme, rest, query=asked)
        if ":" in rest.partition("/")[0]:
            raise _Fault("first path segment in URL cannot contain colon")
    user, host, bare = None, "", False
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        user, host = _authority(authority)
        rest = slash + path
    else:
        bare = bool(scheme)
    return GoUrl(scheme, "", user, host, _kept(rest, _PATH), asked, "", bare)


def _authority(text: str) -> tuple[tuple[str, str | None] | None, str]:
    userinfo, at, place = text.rpartition("@")
    host = _host(place)
    if not at:
        return None, host
    if not _USERINFO.issuperset(userinfo):
        raise _Fault("net/url: invalid userinfo")
    name, colon, password = userinfo.partition(":")
    return (_unescaped(name), _unescaped(password) if colon else None), host


def _host(text: str) -> str:
    opened, closed = text.rfind("["), text.rfind("]")
    if opened >= 0 and closed < 0:
        raise _Fault("missing ']' in host")
    colon = text.rfind(":")
    port = text[closed + 1 :] if opened >= 0 else text[colon:] if colon >= 0 else ""
    if port and not (port[0] == ":" and _DIGITS.issuperset(port[1:])):
        raise _Fault(f"invalid port {quoted(port)} after host")
    if opened < 0:
        return _unescaped(_checked_host(text)).removesuffix(":")
    name = _unescaped(_checked_host(text[opened + 1 : closed]))
    try:
        inet_pton(AF_INET6, name.partition("%")[0])
    except (OSError, ValueError):
        raise _Fault(f"invalid host: ParseAddr({quoted(name)}): unable to parse IP") from None
    return f"[{name}]{port}".removesuffix(":")


def _checked_host(text: str) -> str:
    """Return *text*; only bytes beyond ASCII may be escaped in a host, and `%25`, before the zone of an address."""
    if _HOST.issuperset(text):
        return text
    at = 0
    while at < len(text):
        char = text[at]
        if char == "%":
            code = text[at + 1 : at + 3]
            if len(code) < 2 or not _HEX.issuperset(code) or (code[0] in "01234567" and code != "25"):
                raise _Fault(f"invalid URL escape {quoted(text[at : at + 3])}")
        elif char < "\x80" and char not in _HOST:
            raise _Fault(f"invalid character {quoted(char)} in host name")
        at += 3 if char == "%" else 1
    return text


def _kept(text: str, part: tuple[frozenset[str], frozenset[str]]) -> str:
    plain = _unescaped(text)
    return text if part[0].issuperset(text) else _escaped(plain, part[1])


def _unescaped(text: str) -> str:
    if "%" not in text:
        return text
    raw, rest = b"", text
    while rest:
        plain, mark, rest = rest.partition("%")
        raw += plain.encode("utf-8", "surrogateescape")
        if mark:
            if len(rest) < 2 or not _HEX.issuperset(rest[:2]):
                raise _Fault(f"invalid URL escape {quoted(mark + rest[:2])}")
            raw, rest = raw + bytes.fromhex(rest[:2]), rest[2:]
    return raw.decode("utf-8", "surrogateescape")


def _escaped(text: str, plain: frozenset[str]) -> str:
    if plain.issuperset(text):
        return text
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if chr(byte) in plain else f"%{byte:02X}" for byte in raw)


def written_path(path: str) -> str:
    """Return the *path* of a request, which is escaped as its client liked, as Go writes it. Raises `UrlFault`."""
    try:
        return _kept(path, _PATH)
    except _Fault as fault:
        raise UrlFault(path, str(fault)) from None


def escaped_path(path: str) -> str:
    """Return *path*, which is not escaped, as Go escapes it."""
    return _escaped(path, _PATH[1])


def resolve(base: GoUrl, reference: GoUrl) -> GoUrl:
    """Return *reference* as seen from the absolute URL *base* (RFC 3986, section 5.2.2)."""
    if reference.scheme or reference.host or reference.user is not None:
        return replace(reference, scheme=reference.scheme or base.scheme, path=_resolved("", reference.path))
    if not reference.path and reference.query is None:
        reference = replace(reference, query=base.query, fragment=reference.fragment or base.fragment)
    if not reference.path and base.opaque:
        return replace(reference, scheme=base.scheme, opaque=base.opaque)
    path = _resolved(base.path, reference.path)
    return replace(reference, scheme=base.scheme, host=base.host, user=base.user, path=path)


def _resolved(base: str, reference: str) -> str:
    """Return the path *reference* as seen from *base*, without dots."""
    full = base if not reference else reference if reference[0] == "/" else base[: base.rfind("/") + 1] + reference
    if not full:
        return ""
    kept: list[str] = []
    *_, last = parts = full.split("/")
    for part in parts:
        if part == "..":
            kept = kept[:-1]
        elif part != ".":
            kept.append(part)
    path = "/" + "/".join(kept) + ("/" if last in (".", "..") else "")
    return path[1:] if path.startswith("//") else path
