"""Services in place of a network, for graphs under test."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from fnkit.inference_graph.calls import Answer, CallFailed
from fnkit.inference_graph.decode import read_graph_json
from fnkit.inference_graph.graph import CompiledGraph, Surroundings
from fnkit.net import aio
from fnkit.net.client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fnkit.inference_graph.calls import Headers
    from fnkit.inference_graph.graph import Outcome


class FakeService:
    """Answers with *answers* in turn, the last one again and again; notes what it got in *calls*.

    An answer is a body, a pair of status and body, or an exception. *gate* holds every answer back until it is set.
    """

    def __init__(self, *answers: bytes | tuple[int, bytes] | Exception, gate: asyncio.Event | None = None) -> None:
        self._answers = answers
        self._gate = gate
        self.calls: list[bytes] = []
        self.headers: list[Headers] = []
        self.cancelled = 0
        self.asked = asyncio.Event()

    async def __call__(self, body: bytes, headers: Headers, *, stream: bool) -> Answer:
        answer = self._answers[min(len(self.calls), len(self._answers) - 1)]
        self.calls.append(body)
        self.headers.append(headers)
        self.asked.set()
        if self._gate is not None:
            try:
                await self._gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if isinstance(answer, Exception):
            raise answer
        status, content = (200, answer) if isinstance(answer, bytes) else answer
        return Answer(status, content)


class StreamingService:
    """Streams *chunks* when it may."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.asked: list[bool] = []

    async def __call__(self, body: bytes, headers: Headers, *, stream: bool) -> Answer:
        self.asked.append(stream)
        if not stream:
            return Answer(200, b"".join(self._chunks))
        return Answer(200, self._pieces(), "text/event-stream")

    async def _pieces(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


def refused() -> CallFailed:
    return CallFailed("connection refused")


def compiled(
    nodes: dict[str, Any], services: dict[str, Any], *, fnkit: dict[str, Any] | None = None, **around: Any
) -> CompiledGraph:
    """Return the graph of *nodes*, whose service names lead to *services*."""
    graph = read_graph_json(json.dumps({"nodes": nodes, "fnkit": fnkit or {}}))
    return CompiledGraph(graph, Surroundings(client=Client(aio.connector()), resolve=services.get, **around))


def run_once(
    nodes: dict[str, Any],
    services: dict[str, Any],
    body: bytes = b"{}",
    headers: Headers = (),
    *,
    fnkit: dict[str, Any] | None = None,
    **around: Any,
) -> Outcome:
    """Run one request through a graph on a loop of its own."""

    async def scenario() -> Outcome:
        graph = compiled(nodes, services, fnkit=fnkit, **around)
        try:
            return await graph.run(body, headers)
        finally:
            await graph.close()

    return asyncio.run(scenario())


def step(service: str, **fields: Any) -> dict[str, Any]:
    return {"serviceName": service, **fields}


def node(kind: str, *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"routerType": kind, "steps": list(steps), **fields}
