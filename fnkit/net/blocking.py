"""Connections of plain sockets: their coroutines do all their work at once and never suspend.

`run` drives such a coroutine without an event loop, so a worker that has no other use for asyncio need not import it. What a thread
waits for here another thread can end.
"""

from __future__ import annotations

import socket
from _thread import allocate_lock, get_ident
from select import POLLIN, poll
from time import monotonic

from fnkit.net.errors import ConnectError, TimeoutReached

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine
    from typing import TypeVar

    from fnkit.net.stream import Connector

    T = TypeVar("T")

_READ_SIZE = 256 * 1024
_waiting: dict[int, socket.socket] = {}  # by thread
_ending = allocate_lock()  # a connection that is being broken is not closed meanwhile: its number could be another's by then


def run(coroutine: Coroutine[object, object, T]) -> T:
    """Return the result of a coroutine that never suspends; `RuntimeError` if it does."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine on blocking connections wanted to wait for something else")


def end_wait(thread: int) -> None:
    """Break the connection that *thread* reads from or writes to at the moment, if it does."""
    with _ending:
        sock = _waiting.get(thread)
        if sock is not None:
            try:  # noqa: SIM105  # contextlib is an import that few functions need
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below TLS, if there is some
            except OSError:
                pass  # it has ended by itself


class SocketStream:
    """A `Stream` on one connected socket."""

    __slots__ = ("_socket", "_until")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._until: float | None = None
        sock.settimeout(None)

    def limit(self, seconds: float | None) -> None:
        self._until = None if seconds is None else monotonic() + seconds
        if seconds is None:
            self._socket.settimeout(None)

    async def read(self) -> bytes:
        self._arm()
        thread = get_ident()
        _waiting[thread] = self._socket
        try:
            return self._socket.recv(_READ_SIZE)
        except TimeoutError:
            raise TimeoutReached from None
        finally:
            with _ending:
                _waiting.pop(thread, None)

    async def write(self, data: bytes) -> None:
        self._arm()
        thread = get_ident()
        _waiting[thread] = self._socket
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise TimeoutReached from None
        finally:
            with _ending:
                _waiting.pop(thread, None)

    def reusable(self) -> bool:
        if self._socket.fileno() < 0:
            return False
        waiting = poll()
        waiting.register(self._socket, POLLIN)
        return not waiting.poll(0)

    def close(self) -> None:
        self._socket.close()

    async def wait_closed(self) -> None:
        """Nothing to wait for: closing a socket is immediate."""

    def _arm(self) -> None:
        if self._until is not None:
            left = self._until - monotonic()
            if left <= 0:
                raise TimeoutReached
            self._socket.settimeout(left)


def connector(*, ssl_context: ssl.SSLContext | None = None) -> Connector:
    """Return what opens connections of plain sockets; *ssl_context* replaces the system's certificates."""

    async def connect(host: str, port: int, *, tls: bool, timeout_s: float) -> SocketStream:
        try:
            sock = socket.create_connection((host, port), timeout_s)
        except TimeoutError:
            raise TimeoutReached(f"no connection to {host}:{port} in {timeout_s:g} s", phase="connect") from None
        except (OSError, UnicodeError) as error:
            raise ConnectError(f"cannot connect to {host}:{port}: {error}") from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                # Lazy: ssl costs milliseconds of import, and most connections of a worker are plain.
                from fnkit.net.tls import wrap

                sock = wrap(sock, host, ssl_context)
        except OSError as error:
            sock.close()
            raise ConnectError(f"cannot establish TLS with {host}:{port}: {error}") from error
        return SocketStream(sock)

    return connect
