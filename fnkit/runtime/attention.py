"""How the owner of a plain socket learns that its peer has gone, while a step computes or sleeps and nobody reads from the connection.

The kernel is asked for a signal when something happens on the connection. The signal's handler, which Python runs in the main thread
between two instructions (and which ends a `sleep`), raises `PeerGone` right there: for a generator of the user that is the
`GeneratorExit` of a `close()`.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
from _thread import get_native_id

from fnkit.runtime.invocation import PeerGone
from fnkit.runtime.plain import PlainTransport

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from types import FrameType, TracebackType

    from fnkit.runtime.client import Transport
else:
    try:
        import _signal as signal  # what `signal` is made of, without its enumerations
    except ImportError:
        import signal

_F_SETOWN_EX = 15  # Linux: fcntl(2), with the owner's type 0 (a thread) and its id
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


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
        fcntl.fcntl(fd, _F_SETOWN_EX, bytes(4) + get_native_id().to_bytes(4, sys.byteorder))
    except OSError:
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
