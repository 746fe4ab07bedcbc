"""A server for one answer: raw bytes, sent in pieces, each released by the test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Answering:
    """What the server knows: its *url*, and the bytes of the request that it *received*."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received = b""
        self.gates: list[threading.Event] = []


@contextmanager
def answering(pieces: Sequence[bytes], *, gated: bool = False) -> Iterator[Answering]:
    """Serve *pieces* to one client on a port of its own, then close. *gated*: each piece but the first waits for its gate."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Answering(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        server.gates = [threading.Event() for _ in pieces]
        if gated:
            server.gates[0].set()
        else:
            for gate in server.gates:
                gate.set()
        thread = threading.Thread(target=_serve, args=(listener, server, pieces))
        thread.start()
        try:
            yield server
        finally:
            for gate in server.gates:
                gate.set()
            thread.join(60)


def _serve(listener: socket.socket, server: Answering, pieces: Sequence[bytes]) -> None:
    listener.settimeout(60)
    try:
        client, _ = listener.accept()
    except TimeoutError:
        return
    with client:
        client.settimeout(60)
        server.received = _request(client)
        try:
            for gate, piece in zip(server.gates, pieces, strict=True):
                gate.wait(60)
                client.sendall(piece)
        except OSError:
            return


def _request(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body
