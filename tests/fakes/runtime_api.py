"""A Lambda Runtime API for tests: strict about what it is sent, and remembering all of it."""

from __future__ import annotations

import base64
import json
import queue
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass
class Posted:
    """What a function posted for one invocation."""

    kind: str  # "response" or "error"
    headers: dict[str, str]
    body: bytes = b""
    chunks: list[tuple[float, bytes]] = field(default_factory=list)  # seconds since the invocation was handed out
    trailers: dict[str, str] = field(default_factory=dict)
    complete: bool = False

    @property
    def streaming(self) -> bool:
        return self.headers.get("lambda-runtime-function-response-mode") == "streaming"

    @property
    def json(self) -> object:
        return json.loads(self.body)

    @property
    def prelude(self) -> dict[str, object]:
        head, separator, _ = self.body.partition(b"\0" * 8)
        assert separator, self.body
        found = json.loads(head)
        assert isinstance(found, dict)
        return found

    @property
    def content(self) -> bytes:
        """The body behind the prelude."""
        return self.body.partition(b"\0" * 8)[2]

    @property
    def error(self) -> dict[str, object]:
        """The error document of the trailers."""
        found = json.loads(base64.b64decode(self.trailers["lambda-runtime-function-error-body"], validate=True))
        assert isinstance(found, dict)
        return found


class Exchange:
    """One invocation and what became of it."""

    def __init__(self, request_id: str, payload: bytes, headers: dict[str, str]) -> None:
        self.request_id = request_id
        self.payload = payload
        self.headers = headers
        self.started = threading.Event()  # something of the answer has come
        self.given = threading.Event()  # the function has been handed the event
        self.ended = threading.Event()  # the answer is complete, or its connection is closed
        self.given_at = 0.0
        self.posted: Posted | None = None
        self.connection: socket.socket | None = None

    def wait(self, timeout_s: float = 60.0) -> Posted:
        """Return what was posted, complete or broken off."""
        assert self.ended.wait(timeout_s), "no answer to the invocation"
        assert self.posted is not None
        return self.posted

    def hang_up(self) -> None:
        """Close the connection by which the event was handed out or by which the answer comes."""
        assert self.connection is not None
        self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


class FakeRuntimeApi:
    """Listens on a port of its own. *keeps*: streamed answers may keep their connection; *cancels*: a closed connection cancels."""

    def __init__(self, *, keeps: bool = False, cancels: bool = False) -> None:
        self._keeps = keeps
        self._cancels = cancels
        self._waiting: queue.SimpleQueue[Exchange | None] = queue.SimpleQueue()
        self._exchanges: dict[str, Exchange] = {}
        self.init_errors: queue.SimpleQueue[tuple[str, dict[str, object]]] = queue.SimpleQueue()
        self.polls = 0
        self.connections = 0
        self.statuses: dict[str, int] = {}  # request id -> status to refuse its answer with
        self._closing = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> FakeRuntimeApi:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def invoke(self, payload: object, **headers: str) -> Exchange:
        """Queue an invocation; *payload* that is not bytes is written as JSON."""
        request_id = f"request-{len(self._exchanges) + 1}"
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        exchange = Exchange(request_id, body, headers)
        self._exchanges[request_id] = exchange
        self._waiting.put(exchange)
        return exchange

    def call(self, payload: object, **headers: str) -> Posted:
        """Invoke and wait."""
        return self.invoke(payload, **headers).wait()

    def close(self) -> None:
        """Close everything: functions see that the Runtime API is gone."""
        if self._closing:
            return
        self._closing = True
        self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._acceptor.join(60)
        self._server.close()
        for _ in range(self.connections + 1):
            self._waiting.put(None)
        with self._lock:
            for connection in list(self._open):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        for thread in self._threads:
            thread.join(60)

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            with self._lock:
                self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        try:
            while self._handle(connection, reader):
                pass
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            reader.close()
            connection.close()

    def _handle(self, connection: socket.socket, reader: BinaryIO) -> bool:
        start = reader.readline()
        if not start:
            return False
        method, path, version = start.decode().split()
        assert version == "HTTP/1.1"
        headers = _headers(reader)
        base = "/2018-06-01/runtime"
        assert path.startswith(base), path
        path = path[len(base) :]
        if method == "GET" and path == "/invocation/next":
            return self._next(connection)
        if method == "GET" and path == "/restore/next":
            _answer(connection, 200, b"{}")
            return True
        if path == "/init/error":
            document = json.loads(_body(reader, headers))
            self.init_errors.put((headers["lambda-runtime-function-error-type"], document))
            _answer(connection, 202, b'{"status":"OK"}\n')
            return True
        _, _, request_id, kind = path.split("/")
        return self._take(connection, reader, self._exchanges[request_id], Posted(kind, headers))

    def _next(self, connection: socket.socket) -> bool:
        self.polls += 1
        exchange = self._waiting.get()
        if exchange is None:
            return False
        exchange.connection = connection
        exchange.given_at = time.monotonic()
        fields = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": exchange.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 60) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:f",
            "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
            **({"Fnkit-Cancel": "connection"} if self._cancels else {}),
            **exchange.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        connection.sendall(
            f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(exchange.payload)}\r\n\r\n".encode() + exchange.payload
        )
        exchange.given.set()
        return True

    def _take(self, connection: socket.socket, reader: BinaryIO, exchange: Exchange, posted: Posted) -> bool:
        assert exchange.posted is None, "an invocation was answered twice"
        exchange.posted, exchange.connection = posted, connection
        try:
            if posted.headers.get("transfer-encoding") == "chunked":
                for data in _chunks(reader, posted.trailers):
                    posted.chunks.append((time.monotonic() - exchange.given_at, data))
                    posted.body += data
                    exchange.started.set()
            else:
                posted.body = _body(reader, posted.headers)
            posted.complete = True
        finally:
            exchange.started.set()
            exchange.ended.set()
        status = self.statuses.get(exchange.request_id, 202)
        body = b'{"errorType":"InvalidStateTransition"}\n' if status == 403 else b'{"status":"OK"}\n'
        _answer(connection, status, body, keeps=self._keeps)
        return True


def _headers(reader: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    while (line := reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return headers


def _body(reader: BinaryIO, headers: dict[str, str]) -> bytes:
    return reader.read(int(headers["content-length"]))


def _chunks(reader: BinaryIO, trailers: dict[str, str]):  # type: ignore[no-untyped-def]  # a generator of bytes
    while True:
        line = reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError
        size = int(line, 16)
        if size == 0:
            trailers.update(_headers(reader))
            return
        data = reader.read(size + 2)
        if len(data) < size + 2:
            raise ConnectionResetError
        yield data[:-2]


def _answer(connection: socket.socket, status: int, body: bytes, *, keeps: bool = False) -> None:
    keep = "Connection: keep-alive\r\n" if keeps else ""
    connection.sendall(
        f"HTTP/1.1 {status} X\r\n{keep}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
