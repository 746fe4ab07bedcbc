"""What the bytes of the Lambda Runtime API mean, without any I/O.

A function asks with `GET .../next` and is answered when there is an event. It posts the answer to `.../<id>/response`, whole or as
chunks, or an error to `.../<id>/error`, and asks again. The post and the next question may go out in one packet: the server answers
them in order.

A streamed answer is chunked and announces two trailers. For a front end that speaks HTTP it begins with a prelude: the status, the
headers and the cookies as JSON, then eight NUL bytes. What fails in the middle is reported by the trailers, after the last chunk.
"""

from __future__ import annotations

from fnkit.lean import dumps, import_module
from fnkit.runtime.invocation import Failure, Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.engine.response import Head

PAYLOAD_LIMIT = 6 * 1024 * 1024 + 100  # bytes of a whole answer, as the Runtime API counts
HEAD_LIMIT = 4 * 1024 * 1024  # a client context may be large
_BASE = "/2018-06-01/runtime"
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
_ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
LAST_CHUNK = b"0\r\n\r\n"


class ProtocolError(Exception):
    """The Runtime API answered with something that is not HTTP, or refused what it must accept."""


class Requests:
    """Renders the requests to the Runtime API at *host*; *agent* is how the client calls itself."""

    def __init__(self, host: str, agent: str) -> None:
        if not host.isascii() or any(char <= " " for char in host + agent.replace(" ", "")):
            raise ProtocolError(f"AWS_LAMBDA_RUNTIME_API is not a host and a port: {host!r}")
        self._tail = f" HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n"
        self.next = f"GET {_BASE}/invocation/next{self._tail}\r\n".encode()
        self.restore = f"GET {_BASE}/restore/next{self._tail}\r\n".encode()

    def response(self, invocation: Invocation, body: bytes, content_type: str) -> bytes:
        """Return the request that delivers a whole answer."""
        head = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        return (self._post(invocation, "response") + head).encode() + body

    def stream(self, invocation: Invocation, content_type: str) -> bytes:
        """Return the head of the request that delivers an answer in chunks."""
        return (
            f"{self._post(invocation, 'response')}Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n"
            f"Lambda-Runtime-Function-Response-Mode: streaming\r\nTrailer: {_ERROR_TYPE}, {_ERROR_BODY}\r\n\r\n"
        ).encode()

    def error(self, invocation: Invocation, failure: Failure) -> bytes:
        """Return the request that reports a failed invocation."""
        return self._error(self._post(invocation, "error"), failure, invocation.request_id)

    def init_error(self, failure: Failure) -> bytes:
        """Return the request that reports a function that cannot start."""
        return self._error(f"POST {_BASE}/init/error{self._tail}", failure, "")

    def _post(self, invocation: Invocation, what: str) -> str:
        receipt = f"Lambda-Runtime-Invocation-Id: {invocation.receipt}\r\n" if invocation.receipt else ""
        return f"POST {_BASE}/invocation/{invocation.request_id}/{what}{self._tail}{receipt}"

    @staticmethod
    def _error(start: str, failure: Failure, request_id: str) -> bytes:
        body = error_document(failure, request_id)
        head = (
            f"Content-Type: application/json\r\n{_ERROR_TYPE}: {header_text(failure.kind)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return (start + head).encode() + body


def error_document(failure: Failure, request_id: str = "") -> bytes:
    """Return the JSON that describes *failure*."""
    fields = {"errorMessage": failure.message, "errorType": failure.kind, "stackTrace": failure.stack}
    return dumps(fields | {"requestId": request_id} if request_id else fields).encode()


def error_trailers(failure: Failure) -> bytes:
    """Return the end of a chunked answer that broke off."""
    document = import_module("binascii").b2a_base64(error_document(failure), newline=False).decode()
    return f"0\r\n{_ERROR_TYPE}: {header_text(failure.kind)}\r\n{_ERROR_BODY}: {document}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    """Return *data*, at least one byte, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def prelude(head: Head) -> bytes:
    """Return what a front end reads first: status, headers and cookies, then eight NULs. Repeated headers are joined by commas."""
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    fields: dict[str, object] = {"statusCode": head.status, "headers": headers}
    if head.cookies:
        fields["cookies"] = head.cookies
    return dumps(fields).encode() + b"\0" * 8


def header_text(text: str) -> str:
    """Return *text* without what a header's value may not hold."""
    return "".join(char if " " <= char <= "~" else "?" for char in text) or "Unknown"


class Reply:
    """One answer of the Runtime API; header names in lower case."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def invocation(self) -> Invocation:
        """Return what an answer to `next` says. Raises `ProtocolError` without a request id."""
        get = self.headers.get
        request_id = get("lambda-runtime-aws-request-id", "")
        if self.status != 200 or not request_id:
            raise ProtocolError(f"no invocation from the Runtime API: status {self.status}, {self.body[:200]!r}")
        deadline = get("lambda-runtime-deadline-ms", "")
        return Invocation(
            request_id,
            self.body,
            content_type=get("content-type", "application/json"),
            deadline_ms=int(deadline) if deadline.isdigit() else 0,
            trace_id=get("lambda-runtime-trace-id", ""),
            function_arn=get("lambda-runtime-invoked-function-arn", ""),
            client_context=get("lambda-runtime-client-context", ""),
            identity=get("lambda-runtime-cognito-identity", ""),
            tenant_id=get("lambda-runtime-aws-tenant-id", ""),
            receipt=get("lambda-runtime-invocation-id", ""),
            cancels=get("fnkit-cancel") == "connection",
        )


def read_head(data: bytes) -> tuple[int, dict[str, str], int] | None:
    """Return status, headers and where the body begins; None while the head is incomplete. Raises `ProtocolError`."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > HEAD_LIMIT:
            raise ProtocolError("the Runtime API sent a head without an end")
        return None
    start, *lines = data[:end].decode("latin-1").split("\r\n")
    code = start[9:12]
    if not start.startswith("HTTP/1.") or not code.isdigit():
        raise ProtocolError(f"the Runtime API did not answer in HTTP: {start[:80]!r}")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(code), headers, end + 4


class ChunkedBody:
    """Decodes a chunked body; `rest` is what came after it. Trailers are skipped."""

    __slots__ = ("_kept", "_parts", "done", "rest")

    def __init__(self) -> None:
        self._kept = b""
        self._parts: list[bytes] = []
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> None:
        """Take what has come. Raises `ProtocolError` for what is not chunked."""
        kept = self._kept + data
        at = 0
        while (end := kept.find(b"\r\n", at)) >= 0:
            try:
                size = int(kept[at:end].partition(b";")[0], 16)
            except ValueError:
                raise ProtocolError("the Runtime API sent a body that is not chunked as announced") from None
            if size == 0:
                self._finish(kept, end)
                break
            if len(kept) < end + 4 + size:
                break
            self._parts.append(kept[end + 2 : end + 2 + size])
            at = end + 4 + size
        if not self.done:
            self._kept = kept[at:]

    def _finish(self, kept: bytes, end: int) -> None:
        """Take the last chunk, if its trailers are complete: they end with an empty line."""
        if kept[end + 2 : end + 4] == b"\r\n":
            after = end + 4
        else:
            after = kept.find(b"\r\n\r\n", end) + 4
            if after < 4:
                return
        self.done, self.rest = True, kept[after:]

    @property
    def content(self) -> bytes:
        """The body so far."""
        return b"".join(self._parts)
