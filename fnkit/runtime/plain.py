"""Connections of plain sockets, for functions whose steps need no event loop.

Nothing here suspends: a coroutine over these connections runs to its end with one `send(None)`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
else:
    try:
        import _socket as socket  # what `socket` is made of, without its enumerations and `selectors`
    except ImportError:
        import socket

_READ_SIZE = 256 * 1024


class PlainTransport:
    """A connection whose coroutines never suspend."""

    __slots__ = ("socket",)

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    async def read(self) -> bytes:
        return self.socket.recv(_READ_SIZE)

    async def write(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        self.socket.close()


def connector(host: str) -> Callable[[], Awaitable[PlainTransport]]:
    """Return what opens connections to *host* (`"127.0.0.1:9001"`)."""
    name, _, port = host.rpartition(":")

    async def connect() -> PlainTransport:
        # as bytes: the look-up of a str would load the encoding of international names, 3 ms of every cold start
        sock = _open(name.encode(), int(port))
        sock.settimeout(None)  # whatever the user's code has made the default: the next event may be hours away
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return PlainTransport(sock)

    return connect


def _open(name: bytes, port: int) -> socket.socket:
    """Return a connection to the first address of *name* that takes one; raise the last address's error where none does."""
    failure: OSError = ConnectionError(f"{name!r} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(name, port, 0, socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure
