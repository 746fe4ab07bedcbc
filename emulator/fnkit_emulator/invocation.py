"""One event on its way through a function, and its answer as a stream.

Two sides meet here. The Runtime API says what the worker answers: `begin`, `feed`, `finish`. The front reads it: `started`, `read`. A
buffered answer is a stream of one piece. What the worker sends faster than the front can pass on is held back at the worker's
connection, so that one answer never takes more than `limits.BUFFER` bytes and one read. `abandon` says that the client has left.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fnkit_emulator import limits


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an event failed. *type* and *message* as Lambda names them; *stack* are lines of a traceback, for people."""

    type: str
    message: str
    stack: tuple[str, ...] = ()
    body: bytes = b""

    def as_json(self, request_id: str = "") -> bytes:
        """Return the error object that callers of the Lambda API get: what the runtime posted, or one made of our fields."""
        if self.body:
            return self.body
        fields: dict[str, object] = {"errorType": self.type, "errorMessage": self.message}
        if request_id:
            fields["requestId"] = request_id
        if self.stack:
            fields["stackTrace"] = list(self.stack)
        return json.dumps(fields).encode()


class Source(Protocol):
    """The worker's connection that an answer comes in by."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abort(self) -> None: ...


class Invocation:
    """An event and its answer; see the module's text for who calls what.

    `chunks` counts what the front has sent on of a streamed answer. `seconds` is the time from the hand-over to the worker to the end
    of the answer. `cold` tells that the environment was started for this event, and `init_ms` how long that took.
    """

    __slots__ = (
        "_finish_listener",
        "_paused",
        "_pieces",
        "_size",
        "_source",
        "_waiter",
        "abandoned",
        "answered_bytes",
        "begun",
        "chunks",
        "client_context",
        "cold",
        "content_type",
        "deadline_ms",
        "done",
        "ended_at",
        "fault",
        "init_ms",
        "log_tail",
        "memory_mb",
        "payload",
        "request_id",
        "started_at",
        "streaming",
        "trace_id",
        "want_log_tail",
    )

    def __init__(
        self,
        payload: bytes,
        *,
        request_id: str = "",
        trace_id: str = "",
        client_context: str = "",
        want_log_tail: bool = False,
    ) -> None:
        self.payload = payload
        self.request_id = request_id or str(uuid.uuid4())
        self.trace_id = trace_id
        self.client_context = client_context
        self.want_log_tail = want_log_tail
        self.begun = self.done = self.streaming = self.abandoned = self.cold = False
        self.content_type = ""
        self.fault: Fault | None = None
        self.answered_bytes = self.chunks = self.deadline_ms = self.memory_mb = 0
        self.started_at = self.ended_at = self.init_ms = 0.0
        self.log_tail = b""
        self._pieces: list[bytes] = []
        self._size = 0
        self._paused = False
        self._source: Source | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._finish_listener: Callable[[Invocation], None] | None = None

    @property
    def seconds(self) -> float:
        """How long the worker took, in seconds; 0 before it had the event."""
        return (self.ended_at or time.perf_counter()) - self.started_at if self.started_at else 0.0

    # ---- the worker's side

    def hand_over(self, *, timeout_s: float, on_finish: Callable[[Invocation], None]) -> None:
        """Note that a worker has the event now; *on_finish* is called once, when the answer has ended."""
        self.started_at = time.perf_counter()
        self.deadline_ms = int((time.time() + timeout_s) * 1000)
        self._finish_listener = on_finish

    def begin(self, *, streaming: bool, content_type: str, source: Source | None = None) -> None:
        """Note the start of the answer, which comes in by *source*."""
        self.begun, self.streaming, self.content_type, self._source = True, streaming, content_type, source
        self._wake()

    def feed(self, data: bytes) -> None:
        """Take *data*, the next part of the answer."""
        if self.done or not data:
            return
        self.answered_bytes += len(data)
        if self.streaming and self.answered_bytes > limits.STREAM:
            self._cut_off()
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > limits.BUFFER and not self._paused and self._source is not None:
            self._paused = True
            self._source.pause()
        self._wake()

    def finish(self, fault: Fault | None = None) -> None:
        """End the answer, with *fault* if it failed; later calls change nothing."""
        if self.done:
            return
        self.done, self.fault = True, fault
        self.ended_at = time.perf_counter()
        listener, self._finish_listener, self._source = self._finish_listener, None, None
        if listener is not None:
            listener(self)
        self._wake()

    # ---- the front's side

    async def started(self) -> None:
        """Wait until the answer has begun, or has failed before that."""
        while not self.begun and not self.done:
            await self._wait()

    async def read(self) -> bytes:
        """Return all of the answer that has come in since the last call, waiting for some; b"" at its end, good or bad."""
        while not self._pieces:
            if self.done:
                return b""
            await self._wait()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._paused and self._source is not None:
            self._source.resume()
        self._paused = False
        return data

    async def read_all(self) -> bytes:
        """Return the whole answer."""
        parts = []
        while data := await self.read():
            parts.append(data)
        return b"".join(parts)

    def abandon(self) -> None:
        """Give the answer up because the client has left: what still waits is dropped, the worker's connection is closed."""
        if self.done:
            return
        self.abandoned = True
        self._pieces.clear()
        if self._source is not None:
            source = self._source
            self.finish(Fault("Client.Disconnected", "the client left before the answer ended"))
            source.abort()

    def _cut_off(self) -> None:
        source = self._source
        self.finish(
            Fault("Function.ResponseSizeTooLarge", f"a streamed answer may have {limits.STREAM} bytes; it was cut off there")
        )
        if source is not None:
            source.abort()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
