"""URLs as Go reads, joins and writes them: what a `serviceUrl` or a `Location` means to KServe's router, and what it refuses.

Source: package `net/url` of Go 1.25. A path is kept in the form in which Go sends and shows it: as written if it is validly escaped,
else unescaped and escaped anew. A host is kept with its port, unescaped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from socket import AF_INET6, inet_pton

from fnkit.inference_graph.go_quote import quoted

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)
_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")
_PORT = re.compile(r"(?::[0-9]*)?")
_USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_HOST = re.compile(r"""(?:%(?:25|[89a-fA-F][0-9a-fA-F])|[A-Za-z0-9!$&'()*+,;=:\[\]<>"\-_.~]|[^\x00-\x7f])*+""")

# Of each part: what may stand in it as it was written, and the bytes that Go escapes when it writes the part itself.
_PATH = re.compile(r"[A-Za-z0-9\-_.~$&+,/:;=@!'()*\[\]%]*"), re.compile(rb"[^A-Za-z0-9\-_.~$&+,/:;=@]")
_FRAGMENT = re.compile(r"[A-Za-z0-9\-_.~$&+,/:;=?@!'()*\[\]%]*"), re.compile(rb"[^A-Za-z0-9\-_.~$&+,/:;=?@!()*]")
_USER_BYTES = re.compile(rb"[^A-Za-z0-9\-_.~$&+,;=]")
_HOST_BYTES = re.compile(rb"""[^A-Za-z0-9!$&'()*+,;=:\[\]<>"\-_.~]""")


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
        authority = _escaped(self.host, _HOST_BYTES)
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
        written = _escaped(name, _USER_BYTES)
        return written if password is None else f"{written}:{_escaped(password, _USER_BYTES)}"


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
    if _CONTROL.search(text):
        raise _Fault("net/url: invalid control character in URL")
    if text == "*":
        return GoUrl(path="*")
    if text.startswith(":"):
        raise _Fault("missing protocol scheme")
    found = _SCHEME.match(text)
    scheme = found[0][:-1].lower() if found else ""
    rest, mark, query = text[found.end() if found else 0 :].partition("?")
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
    if not _USERINFO.fullmatch(userinfo):
        raise _Fault("net/url: invalid userinfo")
    name, colon, password = userinfo.partition(":")
    return (_unescaped(name), _unescaped(password) if colon else None), host


def _host(text: str) -> str:
    opened, closed = text.rfind("["), text.rfind("]")
    if opened >= 0 and closed < 0:
        raise _Fault("missing ']' in host")
    colon = text.rfind(":")
    port = text[closed + 1 :] if opened >= 0 else text[colon:] if colon >= 0 else ""
    if not _PORT.fullmatch(port):
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
    found = _HOST.match(text)
    end = found.end() if found else 0
    if end == len(text):
        return text
    if text[end] == "%":
        raise _Fault(f"invalid URL escape {quoted(text[end : end + 3])}")
    raise _Fault(f"invalid character {quoted(text[end])} in host name")


def _kept(text: str, part: tuple[re.Pattern[str], re.Pattern[bytes]]) -> str:
    plain = _unescaped(text)
    return text if part[0].fullmatch(text) else _escaped(plain, part[1])


def _unescaped(text: str) -> str:
    bad = _BAD_ESCAPE.search(text)
    if bad:
        raise _Fault(f"invalid URL escape {quoted(bad[0])}")
    if "%" not in text:
        return text
    raw = _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode()), text.encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")


def _escaped(text: str, reserved: re.Pattern[bytes]) -> str:
    raw = text.encode("utf-8", "surrogateescape")
    return reserved.sub(lambda found: b"%%%02X" % found[0][0], raw).decode()


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
