"""A TCP server whose every connection is handled by a function of the test."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    Handler = Callable[["Connection"], None]


class Connection:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.socket = sock
        self.number = number
        self._buffer = b""

    def head(self) -> bytes:
        """Read one request head; `b""` when the client has closed."""
        while b"\r\n\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                return b""
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head

    def body(self, size: int) -> bytes:
        """Read exactly *size* bytes, or what comes before the client closes."""
        while len(self._buffer) < size and (data := self.socket.recv(65536)):
            self._buffer += data
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return body

    def until(self, mark: bytes) -> bytes:
        """Read up to and including *mark*."""
        while mark not in self._buffer and (data := self.socket.recv(65536)):
            self._buffer += data
        before, found, self._buffer = self._buffer.partition(mark)
        return before + found

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def reset(self) -> None:
        """Tear the connection down instead of closing it."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


class TcpServer:
    """Listens on loopback while its `with` block runs; `accepted` counts connections, `failures` are the handlers' own."""

    def __init__(self, handler: Handler, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._ssl_context = ssl_context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self.accepted = 0
        self.failures: list[BaseException] = []
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        scheme = "http" if self._ssl_context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(60)
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
        if self.failures:
            raise self.failures[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            thread = threading.Thread(target=self._serve, args=(sock, self.accepted), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        self._open.add(sock)
        try:
            if self._ssl_context is not None:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wrapped = self._ssl_context.wrap_socket(sock, server_side=True)
                self._open.discard(sock)
                sock = wrapped
                self._open.add(sock)
            self._handler(Connection(sock, number))
        except OSError:
            pass  # the client is gone: what the test did
        except BaseException as error:
            self.failures.append(error)
        finally:
            self._open.discard(sock)
            sock.close()


def answering(*answers: bytes, calls: list[bytes] | None = None) -> Handler:
    """Return a handler that answers the n-th request of a connection with the n-th of *answers* and then closes."""

    def handle(connection: Connection) -> None:
        for answer in answers:
            head = connection.head()
            if not head:
                return
            if calls is not None:
                calls.append(head)
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    connection.body(int(line.partition(b":")[2]))
            connection.send(answer)

    return handle


def keeping_alive(answer: bytes, calls: list[bytes] | None = None) -> Handler:
    """Return a handler that answers every request alike, as long as the client asks."""

    def handle(connection: Connection) -> None:
        while head := connection.head():
            if calls is not None:
                calls.append(head)
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    connection.body(int(line.partition(b":")[2]))
            connection.send(answer)

    return handle
