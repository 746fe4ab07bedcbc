"""Function URLs: an HTTP request becomes an event, a function's answer becomes an HTTP response.

A streamed answer is passed on byte for byte as it comes in, in chunks; a fault in its middle cuts the connection, since the status has
been sent. A buffered answer is interpreted as AWS does. In the invoke mode RESPONSE_STREAM the JSON of a function that did not stream is
passed on as it is, `statusCode` included: only the head of a streamed answer sets status and headers there.
"""

from __future__ import annotations

import time
import uuid

from fnkit_emulator import limits
from fnkit_emulator.asgi import (
    ClientGone,
    Departure,
    Receive,
    Scope,
    Send,
    TooLarge,
    end_stream,
    header,
    read_body,
    respond,
    respond_json,
    send_part,
    start_stream,
)
from fnkit_emulator.invocation import Fault, Invocation
from fnkit_emulator.journal import Invoked, Journal, Notice
from fnkit_emulator.pool import Pool, Throttled, describe
from fnkit_emulator.url_event import HttpRequest, build_event, new_trace_id
from fnkit_emulator.url_response import (
    HTTP_INTEGRATION,
    SEPARATOR,
    BadAnswer,
    Head,
    parse_buffered,
    parse_prelude,
)

CLIENT_LEFT = 499
_WITHOUT_BODY = (204, 304)  # a client would take a body for the next answer
_BAD_GATEWAY = (b"Internal Server Error", [(b"content-type", b"text/plain")])


class FunctionUrl:
    """The function URL of one function."""

    def __init__(self, pool: Pool, journal: Journal) -> None:
        self._pool = pool
        self._journal = journal
        self._deployed = pool.deployed

    async def __call__(self, scope: Scope, receive: Receive, send: Send, *, prefix: str = "") -> None:
        """Answer the request of *scope*; *prefix* is the part of its path that led here."""
        try:
            body = await read_body(receive, limit=limits.PAYLOAD, discard=limits.DISCARD)
            invocation = self._invocation(scope, body, prefix)
            self._pool.submit(invocation)
        except ClientGone:
            return
        except TooLarge as error:
            text = str(error) or f"the request is larger than {limits.PAYLOAD} bytes"
            await self._refuse(send, 413, "Request Too Long", text)
            return
        except Throttled as error:
            await self._refuse(send, 429, "Rate Exceeded.", error.message)
            return
        await invocation.started()
        status = await self._answer(invocation, receive, send)
        self._report(invocation, status)

    def _invocation(self, scope: Scope, body: bytes, prefix: str) -> Invocation:
        now, request_id = time.time(), str(uuid.uuid4())
        client, server = scope.get("client"), scope.get("server")
        trace_id = header(scope, b"x-amzn-trace-id") or new_trace_id(request_id, now)
        request = HttpRequest(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1")[len(prefix) :] or "/",
            query=scope["query_string"].decode("latin-1"),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            body=body,
            source_ip=client[0] if client else "127.0.0.1",
            protocol=f"HTTP/{scope['http_version']}",
            scheme=scope.get("scheme", "http"),
            port=(server[1] if server else None) or 80,
        )
        event = build_event(request, url_id=self._deployed.name, request_id=request_id, trace_id=trace_id, now=now)
        if len(event) > limits.PAYLOAD:
            counted = f"a body of {len(body)} bytes is an event of {len(event)}: text is escaped, all else is base64"
            raise TooLarge(f"{counted}; {limits.PAYLOAD} are possible")
        return Invocation(event, request_id=request_id, trace_id=trace_id)

    async def _answer(self, invocation: Invocation, receive: Receive, send: Send) -> int:
        if not invocation.begun:
            return await self._failed(send, invocation)
        if self._deployed.streaming and invocation.streaming:
            return await self._stream(invocation, receive, send)
        payload = await invocation.read_all()
        if invocation.fault is not None:
            return await self._failed(send, invocation)
        return await self._buffered(invocation, payload, send)

    # ---- streamed

    async def _stream(self, invocation: Invocation, receive: Receive, send: Send) -> int:
        with Departure(receive, invocation.abandon) as departure:
            try:
                head, data = await self._head(invocation)
            except BadAnswer as error:
                invocation.abandon()
                return CLIENT_LEFT if departure.left else await self._bad_answer(send, str(error))
            if invocation.done and invocation.fault is not None and not data:
                return CLIENT_LEFT if departure.left else await self._failed(send, invocation)
            await start_stream(send, head.status, [*head.headers, _request_id(invocation)])
            while data or (data := await invocation.read()):
                if head.status not in _WITHOUT_BODY:
                    await send_part(send, data)
                    invocation.chunks += 1
                data = b""
            if departure.left:
                return CLIENT_LEFT
            if invocation.fault is None:
                await end_stream(send)
            # Otherwise the answer is left without its end: the server then closes the connection, and the client notices.
            return head.status

    async def _head(self, invocation: Invocation) -> tuple[Head, bytes]:
        """Return the head of a streamed answer and what has come in behind it."""
        if invocation.content_type.partition(";")[0].strip().lower() != HTTP_INTEGRATION:
            return Head(200, [(b"content-type", invocation.content_type.encode("latin-1", "replace"))]), b""
        collected = b""
        while (at := collected.find(SEPARATOR)) < 0:
            data = await invocation.read()
            if not data:
                if invocation.fault is not None:
                    return Head(502, []), b""
                raise BadAnswer("the streamed answer ended inside its head")
            collected += data
            if len(collected) > limits.PRELUDE:
                raise BadAnswer("the head of the streamed answer has no end")
        return parse_prelude(collected[:at]), collected[at + len(SEPARATOR) :]

    # ---- buffered

    async def _buffered(self, invocation: Invocation, payload: bytes, send: Send) -> int:
        try:
            if invocation.streaming:
                head, body = self._joined(invocation, payload)
            elif self._deployed.streaming:
                content_type = invocation.content_type or "application/octet-stream"
                head, body = Head(200, [(b"content-type", content_type.encode("latin-1", "replace"))]), payload
            else:
                answer = parse_buffered(payload)
                head, body = answer.head, answer.body
        except BadAnswer as error:
            return await self._bad_answer(send, str(error))
        body = b"" if head.status in _WITHOUT_BODY else body
        await respond(send, head.status, body, [*head.headers, _request_id(invocation)])
        return head.status

    def _joined(self, invocation: Invocation, payload: bytes) -> tuple[Head, bytes]:
        """Return a streamed answer as a whole, for a URL whose invoke mode is BUFFERED."""
        if len(payload) > limits.PAYLOAD:
            raise BadAnswer(f"a buffered answer may have {limits.PAYLOAD} bytes, this one has {len(payload)}")
        if invocation.content_type.partition(";")[0].strip().lower() != HTTP_INTEGRATION:
            answer = parse_buffered(payload)
            return answer.head, answer.body
        prelude, separator, body = payload.partition(SEPARATOR)
        if not separator:
            raise BadAnswer("the streamed answer ended inside its head")
        return parse_prelude(prelude), body

    # ---- failures

    async def _failed(self, send: Send, invocation: Invocation) -> int:
        body, headers = _BAD_GATEWAY
        await respond(send, 502, body, [*headers, _request_id(invocation)])
        return 502

    async def _bad_answer(self, send: Send, why: str) -> int:
        self._journal(Notice(why, self._deployed.name, "failure"))
        await respond(send, 502, *_BAD_GATEWAY)
        return 502

    async def _refuse(self, send: Send, status: int, message: str, why: str) -> None:
        self._journal(Notice(f"{status}: {why}", self._deployed.name, "refused"))
        await respond_json(send, status, {"Message": message})

    def _report(self, invocation: Invocation, status: int) -> None:
        self._journal(report(self._pool, invocation, status))


def report(pool: Pool, invocation: Invocation, status: int, *, queue: str = "", batch: int = 0, failed: int = 0) -> Invoked:
    """Return the line of *invocation* for the journal; *queue* brought it, as a batch of *batch* messages, *failed* of which failed."""
    fault = invocation.fault
    return Invoked(
        function=pool.deployed.name,
        request_id=invocation.request_id,
        status=status,
        ms=invocation.seconds * 1000,
        cold=invocation.cold,
        init_ms=invocation.init_ms,
        chunks=invocation.chunks,
        size=invocation.answered_bytes,
        memory_mb=invocation.memory_mb,
        error=_short(fault, pool) if fault else "",
        queue=queue,
        batch=batch,
        failed=failed,
    )


def _short(fault: Fault, pool: Pool) -> str:
    return describe(fault, pool.deployed) if fault.stack else f"{fault.type}: {fault.message}"


def _request_id(invocation: Invocation) -> tuple[bytes, bytes]:
    return b"x-amzn-requestid", invocation.request_id.encode("ascii")
