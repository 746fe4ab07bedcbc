"""Call a service as KServe's router does: a POST, redirects followed, gzip undone, Go's words when it fails."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from fnkit.inference_graph.beside import done
from fnkit.inference_graph.go_quote import quoted
from fnkit.inference_graph.go_text import call_fault, url_fault
from fnkit.inference_graph.go_url import UrlFault, parse, resolve
from fnkit.net.errors import NetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from fnkit.inference_graph.beside import Beside
    from fnkit.inference_graph.go_url import GoUrl
    from fnkit.net.client import Client, Reply

    Mesh = Callable[[], Awaitable[bool]]

Headers = tuple[tuple[str, str], ...]

_USER_AGENT = ("User-Agent", "Go-http-client/1.1")
_GZIP = ("Accept-Encoding", "gzip")
_JSON = ("Content-Type", "application/json")
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MAX_REDIRECTS = 10
_GZIP_HEAD = 10  # bytes of a gzip member that come before its data
_EXPANSION = 8  # a guess: how much larger a body becomes when it is decompressed
_CREDENTIALS = frozenset(("authorization", "www-authenticate", "cookie", "cookie2", "proxy-authorization", "proxy-authenticate"))


class CallFailed(Exception):
    """A step could not be executed; the text is the `cause` of the answer, in the router's words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered. *body* is an iterator, and *content_type* set, only where streaming was asked for."""

    status: int
    body: bytes | AsyncIterator[bytes]
    content_type: str = ""


class Service(Protocol):
    """Something that a step calls: a service behind HTTP, or a step class of the same project."""

    async def __call__(self, body: bytes, headers: Headers, *, stream: bool) -> Answer:
        """Answer *body*; *headers* are those that the router propagates. Raises `CallFailed`."""


class HttpService:
    """A service behind a URL. *timeout_s* bounds a call with its body, as `serviceClient` does.

    Large answers are decompressed *beside* the loop.
    """

    __slots__ = ("_beside", "_client", "_fault", "_mesh", "_request_url", "_timeout_s", "_url")

    def __init__(
        self, url: str, client: Client, *, timeout_s: float | None = None, mesh: Mesh | None = None, beside: Beside | None = None
    ) -> None:
        self._beside = beside
        self._mesh = mesh if url.lower().startswith("https://") else None
        self._client = client
        self._timeout_s = timeout_s
        self._fault = url_fault(url)
        self._url = url if self._fault else parse(url).text()
        self._request_url = "" if self._fault else parse(url).request_url()

    async def __call__(self, body: bytes, headers: Headers, *, stream: bool) -> Answer:
        if self._fault:
            raise CallFailed(self._fault)
        sent, decode = _request_headers(headers, stream)
        url, asked = self._url, self._request_url
        if self._mesh is not None and await self._mesh():
            url, asked = "http" + url[len("https") :], "http" + asked[len("https") :]  # the mesh itself encrypts
        until = None if self._timeout_s is None else monotonic() + self._timeout_s
        try:
            reply = await self._client.request("POST", asked, headers=sent, body=body, timeout_s=self._timeout_s)
        except NetError as error:
            raise CallFailed(call_fault(error, url, in_head=True)) from error
        if reply.status in _REDIRECTS:
            reply, url = await self._follow(reply, url, sent, body, until=until)
        if stream:
            return Answer(reply.status, _chunks(reply, url), reply.header("content-type"))
        try:
            content = await reply.read()
        except NetError as error:
            raise CallFailed(call_fault(error, url)) from error
        if decode and reply.header("content-encoding").lower() == "gzip":
            content = await done(self._beside, len(content) * _EXPANSION, _gunzip, content)
        return Answer(reply.status, content)

    async def _follow(self, reply: Reply, url: str, given: Headers, body: bytes, *, until: float | None) -> tuple[Reply, str]:
        """Follow redirects as Go does: 301, 302 and 303 become GET without a body, 307 and 308 repeat the request.

        *given* are the headers of the first request. The limit of time is one for all requests: *until* is its end.
        """
        method, first, here = "POST", parse(url), parse(url)
        trusted = True
        for count in range(1, _MAX_REDIRECTS + 1):
            location = reply.header("location")
            if reply.status not in _REDIRECTS or not location:
                return reply, url
            await _drain(reply)
            target = _target(here, location)
            if count == _MAX_REDIRECTS:
                raise CallFailed(f"Post {quoted(location)}: stopped after {_MAX_REDIRECTS} redirects")
            if reply.status in (301, 302, 303):
                method, body = "GET", b""
            trusted = trusted and _same_domain(first.host, target.host)
            headers = _for_redirect(given, here, target, trusted=trusted)
            here, url = target, target.text()
            if fault := url_fault(url):
                raise CallFailed(fault)
            left = None if until is None else until - monotonic()
            try:
                reply = await self._client.request(method, target.request_url(), headers=headers, body=body, timeout_s=left)
            except NetError as error:
                raise CallFailed(call_fault(error, url, in_head=True)) from error
        return reply, url


def _request_headers(headers: Headers, stream: bool) -> tuple[Headers, bool]:
    """Return the headers of a call, and whether its answer is to be decompressed: not if the client asked for coding itself."""
    if not headers:
        return ((_USER_AGENT, _JSON) if stream else (_USER_AGENT, _JSON, _GZIP)), not stream
    names = {name for name, _ in headers}
    own = [] if "User-Agent" in names else [_USER_AGENT]
    if "Content-Type" not in names:
        own.append(_JSON)
    decode = not stream and not {"Accept-Encoding", "Range"} & names
    return (*own, *headers, *((_GZIP,) if decode else ())), decode


def _target(base: GoUrl, location: str) -> GoUrl:
    """Return where *location* leads from *base*. The text came as bytes of a header, which may be UTF-8."""
    text = location.encode("latin-1").decode("utf-8", "surrogateescape")
    try:
        return resolve(base, parse(text))
    except UrlFault as fault:
        place = quoted(base.text(masked=True))
        raise CallFailed(f"Post {place}: failed to parse Location header {quoted(text)}: {fault}") from None


def _same_domain(first: str, host: str) -> bool:
    """Tell whether credentials for *first* may go to *host*: to itself and its subdomains. Ports do not matter."""
    names = [
        (place[: -len(place.rpartition(":")[2]) - 1] if ":" in place.rpartition("]")[2] else place).lower()
        for place in (first, host)
    ]
    return first == host or names[0] == names[1] or (names[1].endswith(f".{names[0]}") and ":" not in names[1])


def _for_redirect(given: Headers, source: GoUrl, target: GoUrl, *, trusted: bool) -> Headers:
    """Return the headers for the next request: the first one's, without credentials elsewhere, with a referer."""
    kept = [item for item in given if trusted or item[0].lower() not in _CREDENTIALS]
    if any(name.lower() == "referer" for name, _ in kept) or (source.scheme == "https" and target.scheme == "http"):
        return tuple(kept)
    return (*kept, ("Referer", replace(source, user=None).text()))


async def _drain(reply: Reply) -> None:
    """Read the body of a redirect, so that its connection can be used again; Go does not mind if that fails."""
    try:
        await reply.read()
    except NetError:
        await reply.close()


def _gunzip(data: bytes) -> bytes:
    """Return the content of a gzip body, all its members."""
    parts = []
    if 0 < len(data) < _GZIP_HEAD:
        raise CallFailed("unexpected EOF")
    while data:
        member = zlib.decompressobj(31)
        try:
            parts.append(member.decompress(data))
        except zlib.error as error:
            raise CallFailed("gzip: invalid header") from error
        if not member.eof:
            raise CallFailed("unexpected EOF")
        data = member.unused_data
    return b"".join(parts)


async def _chunks(reply: Reply, url: str) -> AsyncIterator[bytes]:
    try:
        async for chunk in reply.chunks():
            yield chunk
    except NetError as error:
        raise CallFailed(call_fault(error, url)) from error
    finally:
        await reply.close()
