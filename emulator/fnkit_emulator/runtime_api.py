"""The Lambda Runtime API: what a worker asks for its events and where it posts its answers.

Plain HTTP/1.1 on a port of its own for every environment, so a request needs no credentials to be told apart. The protocol is written
by hand because a round trip of it is the price of every event: requests may be pipelined (an answer and the next poll in one packet),
`next` is a long poll, and a streamed answer is passed on as its bytes come in. The answers are those of Amazon's own implementation,
status, body and error names alike.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Protocol, cast

from fnkit_emulator import limits
from fnkit_emulator.chunked import BadChunk, ChunkedBody
from fnkit_emulator.invocation import Fault, Invocation

_BASE = "/2018-06-01/runtime/"
_ERROR_TYPE = re.compile(r"(?:Runtime|Function)\.[A-Z][a-zA-Z]+")
_NEXT = b"GET " + _BASE.encode("ascii") + b"invocation/next "
_HOLD_S = 0.002
_LONGEST_HEAD = 1 * limits.MIB
_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Request Entity Too Large"}
_ACCEPTED = (202, b'{"status":"OK"}\n')


class Host(Protocol):
    """The environment that a connection belongs to."""

    @property
    def function_arn(self) -> str: ...

    def poll(self, connection: RuntimeConnection) -> bool:
        """Take note that *connection* waits for an event; False if the environment may not ask now."""
        ...

    def unpoll(self, connection: RuntimeConnection) -> None:
        """Take note that the waiting *connection* is lost."""
        ...

    def lost(self, connection: RuntimeConnection) -> None:
        """Take note that *connection*, which was not waiting, is lost."""
        ...

    def find(self, request_id: str) -> Invocation | None:
        """Return the event called *request_id* if this environment has had it."""
        ...

    def broke_off(self, invocation: Invocation) -> None:
        """Take note that the connection was lost in the middle of the answer to *invocation*."""
        ...

    def failed_to_start(self, fault: Fault) -> None:
        """Take note that the runtime has given up, because of *fault*."""
        ...


def _answer(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


def _refusal(status: int, error_type: str, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"errorMessage": message, "errorType": error_type}, separators=(",", ":")).encode() + b"\n"


_ACCEPTED_BYTES = _answer(*_ACCEPTED)
_BAD_STATE = _refusal(403, "InvalidStateTransition", "State transition is not allowed")
_BAD_ID = _refusal(400, "InvalidRequestID", "Invalid request ID")
_BAD_MODE = _refusal(400, "InvalidFunctionResponseMode", "Invalid function response mode")
_TOO_LARGE = _refusal(413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({limits.PAYLOAD} bytes).")


class _Post:
    """A POST whose body is being read: where its bytes go, and how it is answered at its end."""

    __slots__ = ("chunked", "collected", "headers", "invocation", "kind", "left", "refused", "size")

    def __init__(self, kind: str, headers: Mapping[str, str]) -> None:
        self.kind = kind  # "response", "stream", "error", "init", or "" for one that is refused
        self.headers = headers
        self.invocation: Invocation | None = None
        self.refused: tuple[int, bytes] | None = None
        self.chunked = ChunkedBody() if "chunked" in headers.get("transfer-encoding", "").lower() else None
        length = headers.get("content-length", "0")
        self.left = int(length) if length.isdigit() and len(length) < 16 else 0
        self.collected: list[bytes] = []
        self.size = 0

    def take(self, data: bytes) -> None:
        """Take *data*, a part of the body."""
        if self.refused is not None:
            return
        if self.kind == "stream":
            assert self.invocation is not None
            self.invocation.feed(data)
            return
        self.size += len(data)
        if self.size > limits.PAYLOAD:
            self.refuse_as_too_large()
        else:
            self.collected.append(data)

    def refuse_as_too_large(self) -> None:
        """Answer 413, and fail the event as Lambda does."""
        self.refused = _TOO_LARGE
        self.collected.clear()
        if self.invocation is not None:
            message = f"Response payload size exceeded maximum allowed payload size ({limits.PAYLOAD} bytes)."
            self.invocation.finish(Fault("Function.ResponseSizeTooLarge", message))


class RuntimeConnection(asyncio.Protocol):
    """One connection of a worker to its environment."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._closed = False
        self._buffer = b""
        self._held = b""  # an acknowledgement that may leave with the next event
        self._post: _Post | None = None
        self._polling = False

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._closed:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._polling:
            self._polling = False
            self._host.unpoll(self)
        else:
            self._host.lost(self)
        post, self._post, self._transport = self._post, None, None
        if post is not None and post.invocation is not None and not post.invocation.done:
            self._host.broke_off(post.invocation)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while self._buffer and not self._polling and self._transport is not None:
            if not (self._read_body() if self._post is not None else self._read_head()):
                return

    # ---- the front's reins on a streamed answer

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._post = None
            self._transport.abort()

    # ---- events

    def hand_out(self, invocation: Invocation) -> None:
        """Answer the waiting poll with *invocation*."""
        assert self._polling
        assert self._transport is not None
        self._polling = False
        lines = [
            "HTTP/1.1 200 OK",
            "Content-Type: application/json",
            f"Lambda-Runtime-Aws-Request-Id: {invocation.request_id}",
            f"Lambda-Runtime-Deadline-Ms: {invocation.deadline_ms}",
            f"Lambda-Runtime-Invoked-Function-Arn: {self._host.function_arn}",
        ]
        if invocation.trace_id:
            lines.append(f"Lambda-Runtime-Trace-Id: {invocation.trace_id}")
        if invocation.client_context:
            lines.append(f"Lambda-Runtime-Client-Context: {invocation.client_context}")
        lines.append(f"Content-Length: {len(invocation.payload)}\r\n\r\n")
        self._write("\r\n".join(lines).encode("latin-1") + invocation.payload)
        if self._buffer:  # pipelined behind the poll
            asyncio.get_running_loop().call_soon(self.data_received, b"")

    def close(self) -> None:
        """Close the connection, for an environment that ends; also one that has been accepted and is not there yet."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    # ---- requests

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                self.close()
            return False
        head, self._buffer = self._buffer[:end].decode("latin-1"), self._buffer[end + 4 :]
        request_line, *header_lines = head.split("\r\n")
        method, _, rest = request_line.partition(" ")
        path = rest.rpartition(" ")[0]
        headers = {}
        for line in header_lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if method == "GET":
            self._get(path)
        elif method == "POST":
            self._post = self._route(path, headers)
            if headers.get("expect", "").lower() == "100-continue":
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return self._read_body()
        else:
            self._reply(*_refusal(404, "NotFound", f"no {method} {path} here"))
        return True

    def _get(self, path: str) -> None:
        if path == _BASE + "invocation/next":
            self._polling = True
            if not self._host.poll(self):
                self._polling = False
                self._reply(*_BAD_STATE)
        elif path == "/2018-06-01/ping":
            self._reply(200, b"pong")
        else:
            self._reply(*_refusal(404, "NotFound", f"no GET {path} here"))

    def _route(self, path: str, headers: Mapping[str, str]) -> _Post:
        if path == _BASE + "init/error":
            return _Post("init", headers)
        prefix, _, verb = path.rpartition("/")
        request_id = prefix.removeprefix(_BASE + "invocation/")
        post = _Post("response" if verb == "response" else "error", headers)
        if verb not in ("response", "error") or not prefix.startswith(_BASE + "invocation/"):
            post.refused = _refusal(404, "NotFound", f"no POST {path} here")
        elif (invocation := self._host.find(request_id)) is None:
            post.refused = _BAD_ID
        else:
            self._admit(post, invocation)
        return post

    def _admit(self, post: _Post, invocation: Invocation) -> None:
        mode = post.headers.get("lambda-runtime-function-response-mode", "")
        content_type = post.headers.get("content-type", "application/octet-stream" if mode else "application/json")
        if invocation.done or (invocation.begun and post.kind == "error"):
            post.refused = _BAD_STATE
        elif mode not in ("", "streaming"):
            post.refused = _BAD_MODE
            invocation.finish(Fault("Runtime.InvalidResponseModeHeader", f"response mode {mode!r}"))
        elif post.kind == "response":
            post.invocation = invocation
            if mode:
                post.kind = "stream"
                invocation.begin(streaming=True, content_type=content_type, source=self)
                if invocation.abandoned:
                    invocation.abandon()
        else:
            post.invocation = invocation
        if post.left > limits.PAYLOAD and post.kind != "stream" and post.refused is None:
            post.refuse_as_too_large()

    # ---- bodies

    def _read_body(self) -> bool:
        """Read what there is of the open POST's body; True when it has ended and more requests may follow."""
        post = self._post
        if post is None:  # the front gave it up
            return False
        data, self._buffer = self._buffer, b""
        if post.chunked is not None:
            try:
                piece = post.chunked.feed(data) if data else b""
            except BadChunk as error:
                self._break_off(post, str(error))
                return False
            if piece:
                post.take(piece)
            ended, rest = post.chunked.done, post.chunked.rest
        else:
            piece, rest = data[: post.left], data[post.left :]
            post.left -= len(piece)
            if piece:
                post.take(piece)
            ended = post.left == 0
        if self._post is None:  # given up while it took the data
            return False
        if ended:
            self._post, self._buffer = None, rest
            self._end(post)
        return ended

    def _break_off(self, post: _Post, why: str) -> None:
        self._post = None
        if post.invocation is not None:
            post.invocation.finish(Fault("Runtime.TruncatedResponse", f"the runtime's answer is broken: {why}"))
        self._reply(*_refusal(400, "TruncatedHTTPRequest", why))
        self.close()

    def _end(self, post: _Post) -> None:
        if post.refused is not None:
            self._reply(*post.refused)
            return
        self._accept()
        body = b"".join(post.collected)
        if post.kind == "init":
            self._host.failed_to_start(_posted_fault(body, post.headers, "Runtime.Unknown"))
            return
        invocation = post.invocation
        assert invocation is not None
        if post.kind == "stream":
            assert post.chunked is not None or not post.left
            invocation.finish(_trailing_fault(post.chunked.trailers if post.chunked else {}))
        elif post.kind == "response":
            invocation.begin(streaming=False, content_type=post.headers.get("content-type", "application/json"))
            invocation.feed(body)
            invocation.finish()
        else:
            invocation.finish(_posted_fault(body, post.headers, "Function.Unknown"))

    def _accept(self) -> None:
        """Acknowledge a POST. A worker that has polled again in the same packet gets it with its next event, if that comes at once:
        one packet and one waking of the worker instead of two."""
        if not self._buffer.startswith(_NEXT):
            self._write(_ACCEPTED_BYTES)
            return
        self._held = _ACCEPTED_BYTES
        asyncio.get_running_loop().call_later(_HOLD_S, self._flush)

    def _flush(self) -> None:
        if self._held:
            self._write(b"")

    def _reply(self, status: int, body: bytes) -> None:
        self._write(_answer(status, body))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            held, self._held = self._held, b""
            self._transport.write(held + data)


def _posted_fault(body: bytes, headers: Mapping[str, str], unknown: str) -> Fault:
    category = headers.get("lambda-runtime-function-error-type", "")
    category = category if _ERROR_TYPE.fullmatch(category) else unknown
    return _fault_of(body, category)


def _fault_of(body: bytes, category: str) -> Fault:
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return Fault(category, body.decode("utf-8", "replace")[:1000], body=b"")
    stack = fields.get("stackTrace")
    return Fault(
        str(fields.get("errorType") or category),
        str(fields.get("errorMessage") or ""),
        tuple(str(line) for line in stack) if isinstance(stack, list) else (),
        body,
    )


def _trailing_fault(trailers: Mapping[str, str]) -> Fault | None:
    error_type = trailers.get("lambda-runtime-function-error-type")
    if not error_type:
        return None
    try:
        body = b64decode(trailers.get("lambda-runtime-function-error-body", ""))
    except ValueError:
        body = b""
    return _fault_of(body, error_type)
