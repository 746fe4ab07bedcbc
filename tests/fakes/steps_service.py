"""A service that answers calls of steps as it is told, and keeps them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


class Reply:
    """The answer to one call, in *pieces*. *failed* marks it as the function's own failure; *cut* ends the connection in its middle."""

    def __init__(self, *pieces: bytes, status: int = 200, failed: bool = False, cut: bool = False) -> None:
        self.pieces = pieces
        self.status = status
        self.failed = failed
        self.cut = cut


@dataclass(frozen=True, slots=True)
class Call:
    """What came in; header names are lower-case."""

    path: str
    headers: dict[str, str]
    body: bytes


class StepsService:
    """The service; *answer* gets the number of a call, from 0 on."""

    def __init__(self, answer: Callable[[int], Reply]) -> None:
        self.calls: list[Call] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                service.calls.append(Call(self.path, headers, body))
                reply = answer(len(service.calls) - 1)
                self.send_response(reply.status)
                self.send_header("Transfer-Encoding", "chunked")
                if reply.failed:
                    self.send_header("Fnkit-Failure", "1")
                self.end_headers()
                for piece in reply.pieces:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                if reply.cut:
                    self.close_connection = True
                else:
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, format: str, *arguments: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> StepsService:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
