"""A Lambda API for tests: answers each invocation with what a test has prepared, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from fnkit.functions.eventstream import render_chunk, render_complete


@dataclass(frozen=True, slots=True)
class Call:
    """One request: which operation, for which function and version, with which headers and payload."""

    operation: str
    function: str
    query: str
    headers: Mapping[str, str]
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no 200."""

    status: int
    kind: str = ""
    message: str = "no"


Reply = Iterable[bytes] | Refusal


class FakeLambdaApi:
    """Listens on a port of its own. *answer* gives the pieces of a function's answer, or a refusal.

    *streams*: False for a server that does not know `InvokeWithResponseStream`. *report* is the document of `InvokeComplete`.
    """

    def __init__(self, answer: Callable[[Call], Reply], *, streams: bool = True, report: bytes = b"{}", error: str = "") -> None:
        self.calls: list[Call] = []
        self.connections: set[tuple[str, int]] = set()
        self.hung_up = threading.Event()
        self.answer, self.streams, self.report, self.error = answer, streams, report, error
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_POST(self) -> None:
                fake._serve(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeLambdaApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        self.connections.add(request.client_address)
        payload = json.loads(request.rfile.read(int(request.headers["content-length"])))
        path, _, query = request.path.partition("?")
        _, _, _, function, operation = path.split("/")
        call = Call(operation, function, query, {k.lower(): v for k, v in request.headers.items()}, payload)
        self.calls.append(call)
        streaming = operation == "response-streaming-invocations"
        reply = Refusal(404, "", "Not yet implemented") if streaming and not self.streams else self.answer(call)
        if isinstance(reply, Refusal):
            body = json.dumps({"Message": reply.message, "Type": reply.kind}).encode()
            request.send_response(reply.status)
            if reply.kind:
                request.send_header("x-amzn-ErrorType", reply.kind)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        elif streaming:
            self._stream(request, reply)
        else:
            body = b"".join(reply)
            request.send_response(200)
            if self.error:
                request.send_header("X-Amz-Function-Error", self.error)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        try:
            request.wfile.flush()
        except OSError:
            self._left(request)

    def _left(self, request: BaseHTTPRequestHandler) -> None:
        """Note that the caller has gone: what was meant for it is dropped."""
        self.hung_up.set()
        request.close_connection = True
        with suppress(OSError):
            request.wfile.close()
        request.wfile = BytesIO()

    def _stream(self, request: BaseHTTPRequestHandler, pieces: Iterable[bytes]) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/vnd.amazon.eventstream")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        try:
            for piece in pieces:
                self._chunk(request, render_chunk(piece))
            if self.report:
                self._chunk(request, render_complete(self.report))
            request.wfile.write(b"0\r\n\r\n")
        except OSError:
            self._left(request)

    @staticmethod
    def _chunk(request: BaseHTTPRequestHandler, data: bytes) -> None:
        request.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        request.wfile.flush()
