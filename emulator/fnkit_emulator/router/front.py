"""What the paths of the router are: `/readyz`, `/metrics` where a graph asks for it, and the graph itself under every other."""

from __future__ import annotations

import html
from time import perf_counter
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from fnkit.inference_graph.answers import answer_of
from fnkit.inference_graph.beside import done
from fnkit.inference_graph.calls import CallFailed
from fnkit.inference_graph.flight import NoAnswer
from fnkit.inference_graph.go_url import UrlFault, escaped_path, written_path
from fnkit_emulator.router import metrics
from fnkit_emulator.router.connection import ServerAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fnkit.inference_graph.beside import Beside
    from fnkit.inference_graph.graph import CompiledGraph
    from fnkit_emulator.router.metrics import Metrics
    from fnkit_emulator.router.requests import Request

_TEXT = "text/plain; charset=utf-8"
_SHUTTING_DOWN = ServerAnswer(503, b"shutting down\n", _TEXT, (("X-Content-Type-Options", "nosniff"),))
_READY = ServerAnswer(200)


class Log(Protocol):
    """Takes one event: a message and its fields."""

    def __call__(self, level: str, message: str, **fields: object) -> None: ...


class Front:
    """Answers requests; looks into large answers *beside* the loop. Set `draining` to fail the readiness probe."""

    __slots__ = ("_beside", "_graph", "_log", "_metrics", "draining")

    def __init__(self, graph: CompiledGraph, *, log: Log, metrics: Metrics | None = None, beside: Beside | None = None) -> None:
        self._beside = beside
        self._graph = graph
        self._log = log
        self._metrics = metrics
        self.draining = False

    async def __call__(self, request: Request) -> ServerAnswer | None:
        """Return the answer to *request*; None to break the connection, as Go's server does when its handler panics."""
        path = request.path
        if path == "/readyz":
            return _SHUTTING_DOWN if self.draining else _READY
        if path == "*":
            return ServerAnswer(200)
        if "//" in path or "/." in path or "%" in path:
            moved = _moved(request)
            if moved is not None:
                return moved
            path = unquote(path)
            if path == "/readyz":
                return _SHUTTING_DOWN if self.draining else _READY
        if self._metrics is None:
            return await self._run(request)
        if path == "/metrics":
            return ServerAnswer(200, self._metrics.text().encode(), metrics.CONTENT_TYPE)
        return await self._counted(request, self._metrics)

    async def _run(self, request: Request) -> ServerAnswer | None:
        try:
            outcome = await self._graph.run(request.body, request.headers)
        except NoAnswer as error:
            self._log("error", "the request ends without an answer", cause=str(error))
            return None
        if outcome.cause:
            self._log("error", "failed to process request", cause=outcome.cause, status=outcome.status)
        size = len(outcome.body) if isinstance(outcome.body, bytes) else 0
        answer = await done(self._beside, size, answer_of, outcome)
        body = answer.body if isinstance(answer.body, bytes) else self._watched(answer.body)
        return ServerAnswer(answer.status, body, answer.content_type)

    async def _watched(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield *body*; where it breaks off, say why in the log and break the client's connection: its head is gone already."""
        try:
            async for chunk in body:
                yield chunk
        except CallFailed as error:
            self._log("error", "the answer broke off", cause=str(error))
            raise ConnectionAbortedError from error
        finally:
            await body.aclose()  # type: ignore[attr-defined]  # bodies are async generators

    async def _counted(self, request: Request, counters: Metrics) -> ServerAnswer | None:
        counters.in_flight += 1
        begun = perf_counter()
        status = 0
        try:
            answer = await self._run(request)
            status = answer.status if answer is not None else 0
            return answer
        finally:
            counters.in_flight -= 1
            counters.request_done(status, perf_counter() - begun)


def _moved(request: Request) -> ServerAnswer | None:
    """Return the redirect to the clean form of an unclean path, as Go's ServeMux sends it; None if the path is clean.

    The path is cleaned in its escaped form, and the clean form is escaped once more, as that server does.
    """
    try:
        path = written_path(request.path.encode("latin-1").decode("utf-8", "surrogateescape"))
    except UrlFault:
        return ServerAnswer(400, b"400 Bad Request", _TEXT)
    clean = cleaned(path)
    if clean == path:
        return None
    location = escaped_path(clean) + (f"?{request.query}" if request.query else "")
    if request.method not in ("GET", "HEAD"):
        return ServerAnswer(301, headers=(("Location", location),))
    body = f'<a href="{html.escape(location)}">Moved Permanently</a>.\n\n'.encode()
    return ServerAnswer(301, body, "text/html; charset=utf-8", (("Location", location),))


def cleaned(path: str) -> str:
    """Return *path* without empty, `.` and `..` parts; a slash at the end stays."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(part)
    clean = "/" + "/".join(kept)
    return clean + "/" if path.endswith("/") and clean != "/" else clean
