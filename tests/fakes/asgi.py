"""An ASGI server that is a test: requests go in as messages, and what the application sends is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from fnkit.engine.response import WireResponse
from fnkit.runtime.application import Application
from fnkit.runtime.asgi import Host, Limits
from fnkit.runtime.logs import Log
from fnkit.runtime.step_calls import StepCalls

PATIENCE_S = 30


class Exchange:
    """One request to *host*; `answered` has what it sent. The client takes what is sent only while `taking` is set."""

    def __init__(
        self,
        host: Host,
        body: bytes | Sequence[bytes] = b"",
        *,
        method: str = "POST",
        path: str = "/",
        query: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.sent: list[dict[str, Any]] = []
        self.taking = asyncio.Event()
        self.taking.set()
        self._begun = asyncio.Event()
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        parts = [body] if isinstance(body, bytes) else list(body)
        for number, part in enumerate(parts, 1):
            self._incoming.put_nowait({"type": "http.request", "body": part, "more_body": number < len(parts)})
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()], "http_version": "1.1",
        }  # fmt: skip
        self._task = asyncio.get_running_loop().create_task(host(scope, self._incoming.get, self._send))

    async def _send(self, message: Any) -> None:
        await self.taking.wait()
        self.sent.append(dict(message))
        if message.get("body"):
            self._begun.set()

    def leave(self) -> None:
        """Close the connection."""
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def begun(self) -> None:
        """Wait for the first piece of the body."""
        await asyncio.wait_for(self._begun.wait(), PATIENCE_S)

    async def finished(self) -> Exchange:
        """Wait until the application is done with the request."""
        await asyncio.wait_for(self._task, PATIENCE_S)
        return self

    @property
    def status(self) -> int:
        """The status, 0 for no answer."""
        return self.sent[0]["status"] if self.sent else 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def complete(self) -> bool:
        """Whether the last message was the last of an answer."""
        return bool(self.sent) and self.sent[-1]["type"] == "http.response.body" and not self.sent[-1].get("more_body")


class FakeTopology:
    """Answers with what *answer* makes of an event."""

    def __init__(self, answer: Callable[[Any], Awaitable[WireResponse]], *, needs_loop: bool) -> None:
        self.needs_loop = needs_loop
        self.closed = False
        self._answer = answer

    async def __call__(self, event: Any) -> WireResponse:
        return await self._answer(event)

    async def process(self, event: Any) -> None:
        """Run the event of a queue."""
        await self._answer(event)

    async def close(self) -> None:
        self.closed = True


def text(body: str, status: int = 200) -> WireResponse:
    """Return a whole answer."""
    return WireResponse(status, (("content-type", "text/plain"),), body.encode())


def streamed(pieces: AsyncIterator[bytes]) -> WireResponse:
    """Return an answer that streams."""
    return WireResponse(200, (("content-type", "text/plain"),), pieces)


def host(
    answer: Callable[[Any], Awaitable[WireResponse]] | None,
    *,
    needs_loop: bool = False,
    limits: Limits | None = None,
    steps: StepCalls | None = None,
    internal: bool = False,
) -> Host:
    """Return a host around a function: its graph answers with *answer* (None: it has none), others may call *steps* of it.

    Queues may wake it if it is *internal*.
    """
    topology = None if answer is None else FakeTopology(answer, needs_loop=needs_loop)
    log = Log({})
    none = StepCalls(_no_step, (), log)
    application = Application(topology, steps or none, needs_loop=needs_loop, log=log, environ={})
    return Host(application, limits or Limits(), internal=internal or steps is not None)


def _no_step(name: str) -> Any:
    raise AssertionError(f"nobody asked for the step {name}")
