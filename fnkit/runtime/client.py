"""A client of the Runtime API, written once for plain sockets and for asyncio.

It is asked in turn for an invocation and told how that ended. Whole answers and errors are kept back and leave with the next
question, in one packet. A streamed answer is written as it comes; then the connection is closed, unless the server asks to keep it.
"""

from __future__ import annotations

import sys

from fnkit.records import Protocol
from fnkit.runtime.invocation import EMPTY_BODY, Failure
from fnkit.runtime.protocol import (
    LAST_CHUNK,
    PAYLOAD_LIMIT,
    ChunkedBody,
    ProtocolError,
    Reply,
    Requests,
    chunk,
    error_trailers,
    read_head,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fnkit.runtime.invocation import Invocation, Streamed, Whole


class Transport(Protocol):
    """A connection to the Runtime API. Its methods raise `OSError` when it is broken."""

    async def read(self) -> bytes:
        """Return what has come, at least one byte; `b""` at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Send *data*; returns when there is room for more."""
        ...

    def close(self) -> None:
        """Close the connection at once."""
        ...


class RuntimeGone(Exception):
    """The Runtime API is no longer there: the environment is being shut down."""


class RuntimeClient:
    """One connection's worth of conversation with the Runtime API at *host* (`"127.0.0.1:9001"`); *connect* opens connections."""

    def __init__(self, connect: Callable[[], Awaitable[Transport]], host: str) -> None:
        self._connect = connect
        self._requests = Requests(host, f"fnkit python/{sys.version_info.major}.{sys.version_info.minor}")
        self._transport: Transport | None = None
        self._pending = b""
        self._kept = b""

    @property
    def transport(self) -> Transport | None:
        """The connection, if there is one."""
        return self._transport

    async def next(self) -> Invocation:
        """Deliver what is kept back, and wait for the next invocation. Raises `RuntimeGone` when there is none to come."""
        pending, self._pending = self._pending, b""
        for attempt in range(3):
            fresh = self._transport is None
            try:
                if pending:
                    reply = await self._exchange(pending + self._requests.next)
                    pending = b""
                    _check(reply)
                    reply = await self._reply()
                else:
                    reply = await self._exchange(self._requests.next)
            except OSError as error:
                self.drop()
                if (fresh and not isinstance(error, ConnectionResetError)) or attempt == 2:
                    raise RuntimeGone(str(error)) from error
                continue
            if reply.headers.get("connection", "").lower() == "close":
                kept = reply.invocation()
                self.drop()
                return kept
            return reply.invocation()
        raise RuntimeGone("the Runtime API closes every connection")

    def respond(self, invocation: Invocation, answer: Whole) -> None:
        """Answer *invocation*; leaves with the next question."""
        if len(answer.body) > PAYLOAD_LIMIT and not answer.streamed:
            self.fail(
                invocation,
                Failure(
                    "Function.ResponseSizeTooLarge",
                    f"the answer has {len(answer.body)} bytes, {PAYLOAD_LIMIT} are possible; stream it, or answer with less",
                ),
            )
        elif answer.streamed:
            self._pending = self._requests.stream(invocation, answer.content_type) + chunk(answer.body) + LAST_CHUNK
        else:
            self._pending = self._requests.response(invocation, answer.body, answer.content_type)

    def fail(self, invocation: Invocation, failure: Failure) -> None:
        """Report that *invocation* failed before anything was answered; leaves with the next question."""
        self._pending = self._requests.error(invocation, failure)

    async def post(self, invocation: Invocation, answer: Whole) -> None:
        """Answer *invocation* now."""
        self.respond(invocation, answer)
        pending, self._pending = self._pending, b""
        _check(await self._exchange(pending))

    async def stream(self, invocation: Invocation, answer: Streamed) -> Failure | None:
        """Answer *invocation* piece by piece; returns the failure that broke the answer off, if there was one.

        Nothing is sent before the first piece: a `Failure` until then is raised. So is `OSError` when the connection breaks.
        """
        try:
            first = await anext(answer.pieces)
        except StopAsyncIteration:
            first = b""
        data = answer.start + (first or EMPTY_BODY)
        await self._write(self._requests.stream(invocation, answer.content_type) + chunk(data))
        failure = await self._rest(answer) if first else None
        reply = await self._exchange(LAST_CHUNK if failure is None else error_trailers(failure))
        if reply.headers.get("connection", "").lower() != "keep-alive":
            self.drop()
        _check(reply)
        return failure

    async def _rest(self, answer: Streamed) -> Failure | None:
        write = self._write
        try:
            async for piece in answer.pieces:
                if piece:
                    await write(chunk(piece))
        except Failure as failure:
            return failure
        return None

    async def report_init_error(self, failure: Failure) -> None:
        """Say that the function cannot start."""
        _check(await self._exchange(self._requests.init_error(failure)))

    async def restore(self) -> None:
        """Wait until the process has been restored from a snapshot; `RuntimeClient` is connected anew after that."""
        _check(await self._exchange(self._requests.restore))
        self.drop()

    def drop(self) -> None:
        """Close the connection; what was being answered on it is abandoned."""
        transport, self._transport, self._kept = self._transport, None, b""
        if transport is not None:
            transport.close()

    async def open(self) -> Transport:
        """Return the connection, opened if need be."""
        if self._transport is None:
            self._transport = await self._connect()
        return self._transport

    async def _write(self, data: bytes) -> None:
        await (await self.open()).write(data)

    async def _exchange(self, data: bytes) -> Reply:
        await self._write(data)
        return await self._reply()

    async def _reply(self) -> Reply:
        """Read one whole answer."""
        data = self._kept
        while (head := read_head(data) if data else None) is None:
            data += await self._read()
        status, headers, at = head
        if "chunked" in headers.get("transfer-encoding", ""):
            body = ChunkedBody()
            body.feed(data[at:])
            while not body.done:
                body.feed(await self._read())
            self._kept = body.rest
            return Reply(status, headers, body.content)
        size = headers.get("content-length", "0")
        if not size.isdigit():
            raise ProtocolError(f"the Runtime API announced {size!r} bytes")
        return Reply(status, headers, await self._sized(data[at:], int(size)))

    async def _sized(self, data: bytes, size: int) -> bytes:
        parts, missing = [data], size - len(data)
        while missing > 0:
            data = await self._read()
            parts.append(data)
            missing -= len(data)
        whole = b"".join(parts) if len(parts) > 1 else parts[0]
        self._kept = whole[size:]
        return whole[:size]

    async def _read(self) -> bytes:
        if self._transport is None:
            raise ConnectionResetError("the connection to the Runtime API is closed")
        data = await self._transport.read()
        if not data:
            raise ConnectionResetError("the Runtime API closed the connection")
        return data


def _check(reply: Reply) -> None:
    """See that an answer was accepted. A refused one concerns its own event only; a server that gave up concerns the environment."""
    if reply.status >= 500:
        raise ProtocolError(f"the Runtime API cannot go on: status {reply.status}, {reply.body[:200]!r}")
    if reply.status == 403 and b"InvalidStateTransition" in reply.body:
        sys.stderr.write("[fnkit] nobody waits for the answer any more: its time was over, or its caller has left\n")
    elif reply.status >= 400:
        sys.stderr.write(f"[fnkit] the Runtime API refused the answer: status {reply.status}, {reply.body[:200]!r}\n")
