"""A gate in front of a Kafka broker that asks for a user name and a password (SASL/PLAIN), and lets through who has them.

Until a client has authenticated, its requests are read one by one: the broker answers for its versions, the gate for the handshake and
the credentials (Kafka protocol, requests 18, 17 and 36); every other request ends the connection, as brokers do.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

_VERSIONS, _HANDSHAKE, _AUTHENTICATE = 18, 17, 36
_UNSUPPORTED_MECHANISM, _FAILED = 33, 58


class SaslGate:
    """Listens on a port of its own; `open` says where the broker is. *password* may be exchanged while it runs."""

    def __init__(self, username: str, password: str) -> None:
        self.username, self.password = username, password
        self.refused = 0
        self.admitted = 0
        self._target = ("", 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._links: set[socket.socket] = set()

    def open(self, target: str) -> None:
        """Let clients through to *target* ("host:port")."""
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Break every connection, and take no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in list(self._links):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), client, socket.create_connection(self._target) as broker:
            self._links |= {client, broker}
            try:
                if self._admit(client, broker):
                    back = threading.Thread(target=_relay, args=(broker, client), daemon=True)
                    back.start()
                    _relay(client, broker)
                    back.join()
            finally:
                self._links -= {client, broker}

    def _admit(self, client: socket.socket, broker: socket.socket) -> bool:
        while True:
            request = _read(client)
            kind, _, number = struct.unpack(">hhi", request[:8])
            text = request[10 + max(0, struct.unpack(">h", request[8:10])[0]) :]  # behind the client's id
            if kind == _VERSIONS:
                _write(broker, request)
                _write(client, _read(broker))
            elif kind == _HANDSHAKE:
                known = text[2:] == b"PLAIN"
                code = 0 if known else _UNSUPPORTED_MECHANISM
                _write(client, struct.pack(">ihih", number, code, 1, 5) + b"PLAIN")
            elif kind == _AUTHENTICATE:
                good = text[4:] == f"\0{self.username}\0{self.password}".encode()
                self.admitted, self.refused = self.admitted + good, self.refused + (not good)
                said = b"" if good else b"no such user, or not this password"
                answer = struct.pack(">ihh", number, 0 if good else _FAILED, len(said) if said else -1) + said
                _write(client, answer + struct.pack(">iq", 0, 0))
                if good:
                    return True
            else:
                return False


def _read(link: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", _exactly(link, 4))
    return _exactly(link, size)


def _exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = link.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _write(link: socket.socket, message: bytes) -> None:
    link.sendall(struct.pack(">i", len(message)) + message)


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
