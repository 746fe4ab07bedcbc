"""Call a service as KServe's router does: a POST, redirects followed, gzip undone, Go's words when it fails."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from fnkit.inference_graph.beside import done
from fnkit.inference_graph.go_text import call_fault, quoted, shown, url_fault
from fnkit.net.errors import NetError
from fnkit.net.url import parse_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from fnkit.inference_graph.beside import Beside
    from fnkit.net.client import Client, Reply

    Mesh = Callable[[], Awaitable[bool]]

Headers = tuple[tuple[str, str], ...]

_USER_AGENT = ("User-Agent", "Go-http-client/1.1")
_GZIP = ("Accept-Encoding", "gzip")
_JSON = ("Content-Type", "application/json")
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MAX_REDIRECTS = 10
_EXPANSION = 8  # a guess: how much larger a body becomes when it is decompressed
_CREDENTIALS = frozenset(("authorization", "www-authenticate", "cookie", "cookie2", "proxy-authorization"))
_OF_THE_BODY = frozenset(("content-type", "content-encoding", "content-language", "content-location"))


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

    __slots__ = ("_beside", "_client", "_fault", "_mesh", "_timeout_s", "_url")

    def __init__(
        self, url: str, client: Client, *, timeout_s: float | None = None, mesh: Mesh | None = None, beside: Beside | None = None
    ) -> None:
        self._beside = beside
        self._url = url
        self._mesh = mesh if url.lower().startswith("https://") else None
        self._client = client
        self._timeout_s = timeout_s
        self._fault = url_fault(url)

    async def __call__(self, body: bytes, headers: Headers, *, stream: bool) -> Answer:
        if self._fault:
            raise CallFailed(self._fault)
        sent, decode = _request_headers(headers, stream)
        url = self._url
        if self._mesh is not None and await self._mesh():
            url = "http" + url[len("https") :]  # the mesh itself encrypts
        until = None if self._timeout_s is None else monotonic() + self._timeout_s
        try:
            reply = await self._client.request("POST", url, headers=sent, body=body, timeout_s=self._timeout_s)
            if reply.status in _REDIRECTS:
                reply, url = await self._follow(reply, url, sent, body, until=until)
            if stream:
                return Answer(reply.status, _chunks(reply, url), reply.header("content-type"))
            content = await reply.read()
        except NetError as error:
            raise CallFailed(call_fault(error, error.where or url)) from error
        if decode and reply.header("content-encoding").lower() == "gzip":
            content = await done(self._beside, len(content) * _EXPANSION, _gunzip, content)
        return Answer(reply.status, content)

    async def _follow(self, reply: Reply, url: str, headers: Headers, body: bytes, *, until: float | None) -> tuple[Reply, str]:
        """Follow redirects as Go does: 301, 302 and 303 become GET without a body, 307 and 308 repeat the POST.

        The limit of time is one for all requests: *until* is its end.
        """
        method = "POST"
        for count in range(1, _MAX_REDIRECTS + 1):
            location = reply.header("location")
            if reply.status not in _REDIRECTS or not location:
                return reply, url
            await reply.read()
            target = joined(url, location)
            fault = url_fault(target)
            if fault:
                raise CallFailed(fault)
            if count == _MAX_REDIRECTS:
                raise CallFailed(f"Post {quoted(shown(target))}: stopped after {_MAX_REDIRECTS} redirects")
            if reply.status in (301, 302, 303) and method != "GET":
                method, body = "GET", b""
                headers = tuple(item for item in headers if item[0].lower() not in _OF_THE_BODY)
            headers = _for_redirect(headers, url, target)
            url = target
            left = None if until is None else until - monotonic()
            reply = await self._client.request(method, url, headers=headers, body=body, timeout_s=left)
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


def _for_redirect(headers: Headers, source: str, target: str) -> Headers:
    """Return the headers for the next request: Go adds the referer and keeps credentials within a host and its subdomains."""
    before, after = parse_url(source), parse_url(target)
    kept = [item for item in headers if item[0].lower() != "referer"]
    if after.host != before.host and not after.host.endswith("." + before.host):
        kept = [item for item in kept if item[0].lower() not in _CREDENTIALS]
    if not (before.scheme == "https" and after.scheme == "http"):
        kept.append(("Referer", source))
    return tuple(kept)


def joined(base: str, reference: str) -> str:
    """Return *reference*, of a `Location`, relative to the absolute URL *base* (RFC 3986, section 5.2)."""
    scheme, _, rest = base.partition("://")
    authority, slash, path = rest.partition("/")
    path = (slash + path).partition("?")[0].partition("#")[0]
    if "://" in reference.partition("?")[0].partition("#")[0]:
        return reference
    if reference.startswith("//"):
        return f"{scheme}:{reference}"
    if reference.startswith("/"):
        return f"{scheme}://{authority}{_without_dots(reference)}"
    if reference.startswith("?"):
        return f"{scheme}://{authority}{path or '/'}{reference}"
    return f"{scheme}://{authority}{_without_dots(path.rpartition('/')[0] + '/' + reference)}"


def _without_dots(path: str) -> str:
    path, mark, query = path.partition("?")
    kept: list[str] = []
    *parents, last = path.split("/")
    for part in parents:
        if part == ".." and len(kept) > 1:
            kept.pop()
        elif part not in (".", ".."):
            kept.append(part)
    if last in (".", ".."):
        if last == ".." and len(kept) > 1:
            kept.pop()
        last = ""
    return "/".join([*kept, last]) + mark + query


def _gunzip(data: bytes) -> bytes:
    """Return the content of a gzip body, all its members."""
    parts = []
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
