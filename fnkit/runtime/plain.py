"""Connections of plain sockets, for functions whose steps need no event loop, and how their owner learns that the peer has gone.

Nothing here suspends: a coroutine over these connections runs to its end with one `send(None)`. While a step computes, or sleeps,
nobody reads from the connection. So the kernel is asked for a signal when something happens on it, and the signal's handler, which
Python runs in the main thread between two instructions (and which ends a `sleep`), raises `PeerGone` right there: for a generator of
the user that is the `GeneratorExit` of a `close()`.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
from _thread import get_native_id
from struct import pack

from fnkit.runtime.invocation import PeerGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType, TracebackType

    from fnkit.runtime.client import Transport

_READ_SIZE = 256 * 1024
_F_SETOWN_EX = 15  # Linux: fcntl(2), with the owner's type 0 (a thread) and its id
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


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
        sock = socket.create_connection((name.encode(), int(port)))  # type: ignore[arg-type]  # it takes bytes
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return PlainTransport(sock)

    return connect


class Attention:
    """Watches one connection at a time from the main thread, and raises `PeerGone` there when its peer closes it.

    `install` takes the signal `SIGIO`; `watch` gives the context in which the exception may come. A signal from before the
    context is noticed on entering, one from within raises at once, one from after its end does nothing.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._armed = False

    def install(self) -> None:
        """Take the signal for this process."""
        signal.signal(signal.SIGIO, self._notice)

    def watch(self, transport: Transport) -> _Watch:
        """Return the context during which *transport*, a plain one, is watched."""
        assert isinstance(transport, PlainTransport)
        return _Watch(self, transport.socket)

    def begin(self, sock: socket.socket) -> None:
        """Ask for signals about *sock*; raises `PeerGone` if its peer has gone already."""
        fd = sock.fileno()
        _own(fd)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
        self._socket = sock
        self._armed = True
        self._notice(0, None)

    def end(self) -> None:
        """Stop asking."""
        self._armed = False
        sock, self._socket = self._socket, None
        if sock is not None and sock.fileno() >= 0:
            fd = sock.fileno()
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_ASYNC)

    def _notice(self, _number: int, _frame: FrameType | None) -> None:
        sock = self._socket
        if self._armed and sock is not None and hung_up(sock):
            self._armed = False  # once: what the step does about it must not be interrupted again
            raise PeerGone


class _Watch:
    __slots__ = ("_attention", "_socket")

    def __init__(self, attention: Attention, sock: socket.socket) -> None:
        self._attention = attention
        self._socket = sock

    def __enter__(self) -> None:
        try:
            self._attention.begin(self._socket)
        except BaseException:
            self._attention.end()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._attention.end()


def hung_up(sock: socket.socket) -> bool:
    """Tell whether the peer of *sock* has closed the connection, whatever may still be unread."""
    if sock.fileno() < 0:
        return True
    waiting = select.poll()
    waiting.register(sock, _HUNG_UP)
    return bool(waiting.poll(0))


def _own(fd: int) -> None:
    """Direct the signals about *fd* to this thread; a signal that another thread takes would not end a sleep of this one."""
    try:
        fcntl.fcntl(fd, _F_SETOWN_EX, pack("ii", 0, get_native_id()))
    except OSError:
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
