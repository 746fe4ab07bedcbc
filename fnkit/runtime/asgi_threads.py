"""Run functions whose steps need no event loop beside the server's loop: one thread works on one request, from its start to its end.

The thread hands over the head of an answer, then piece after piece. It goes on while the client takes them, at most a window ahead.
When nobody waits any more, `PeerGone` is raised inside the step, wherever its Python code is, and a call to another function is broken
off. What blocks inside any other call of the system (a `sleep`, a read of the user's own socket) ends when that call returns; until then
the thread is left behind, and another one takes its place.
"""

from __future__ import annotations

import asyncio
from ctypes import c_ulong, py_object, pythonapi
from queue import SimpleQueue
from threading import Event as Flag
from threading import Lock, Thread, get_ident

from fnkit.engine.drive import drive, drive_iterator
from fnkit.engine.response import WireResponse
from fnkit.net.blocking import end_wait
from fnkit.runtime.invocation import Failure, PeerGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Work = Callable[[], Awaitable[WireResponse]]

_WINDOW = 64 * 1024  # bytes of an answer that may wait to be sent
_GRACE_S = 1.0  # how long an abandoned request keeps its place
_TRIES = 10


class Threads:
    """Runs one piece of work at a time in each thread; as many threads as there is work at once.

    *stuck* are the calls that were left behind and have not returned yet.
    """

    def __init__(self) -> None:
        self.stuck: set[_Call] = set()
        self._idle: list[SimpleQueue[_Call]] = []

    async def run(self, work: Work) -> WireResponse:
        """Run *work* in a thread and return its answer, whose stream comes from there.

        Cancelling this, or closing the stream, ends the work.
        """
        call = _Call(asyncio.get_running_loop(), work, self.stuck)
        (self._idle.pop() if self._idle else self._start()).put(call)
        try:
            response = await call.head
        except asyncio.CancelledError:
            await call.leave()
            raise
        if isinstance(response.body, bytes):
            return response
        return WireResponse(response.status, response.headers, _Pieces(call), response.cookies)

    def _start(self) -> SimpleQueue[_Call]:
        calls: SimpleQueue[_Call] = SimpleQueue()
        Thread(target=self._serve, args=(calls,), daemon=True, name="fnkit-step").start()
        return calls

    def _serve(self, calls: SimpleQueue[_Call]) -> None:
        while True:
            call = calls.get()
            call.work()
            self._idle.append(calls)
            call.finish()
            del call


class _Call:
    """One request, between the server's loop and the thread that works on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Work, stuck: set[_Call]) -> None:
        self._stuck = stuck
        self.head: asyncio.Future[WireResponse] = loop.create_future()
        self._finished: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._work = work
        self._interrupt = _Interrupt()
        self._lock = Lock()
        self._kept: list[bytes] = []
        self._size = 0
        self._room = Flag()
        self._ended = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None

    # ---- in the thread

    def work(self) -> None:
        """Do the work; nothing is raised but handed over."""
        try:
            try:
                self._interrupt.arm()
                self._answer()
            finally:
                self._interrupt.disarm()
        except PeerGone:
            pass
        except Exception as error:
            self._error = error
        except BaseException as error:  # a step that calls sys.exit() fails its own request only
            self._error = Failure.of(error)
        self._ended = True

    def _answer(self) -> None:
        response: object = None
        try:
            response = drive(self._work())
            assert isinstance(response, WireResponse)
            self._tell(self._begin, response)
            if not isinstance(response.body, bytes):
                for data in drive_iterator(response.body):
                    self._put(data)  # type: ignore[arg-type]  # the body of an answer is made of bytes
        finally:
            try:
                self._interrupt.disarm()  # closing is not interrupted any more
            finally:
                if isinstance(response, WireResponse):
                    drive(response.aclose())  # even if nothing was asked of it: its generators may have begun

    def _put(self, data: bytes) -> None:
        with self._lock:
            first = not self._kept
            self._kept.append(data)
            self._size += len(data)
            full = self._size >= _WINDOW
            if full:
                self._room.clear()
        if first:
            self._tell(self._wake)
        if full and not self._interrupt.gone:  # leave() first says that it is gone, then makes room
            self._room.wait()
        if self._interrupt.gone:
            raise PeerGone

    def finish(self) -> None:
        """Tell that the thread is done with this."""
        self._tell(self._end)

    def _tell(self, what: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the loop is closed: the process ends
            self._interrupt.gone = True

    # ---- in the loop

    def _begin(self, response: WireResponse) -> None:
        if not self.head.done():
            self.head.set_result(response)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _end(self) -> None:
        if not self._finished.done():
            self._finished.set_result(None)
        if not self.head.done() and self._error is not None:
            self.head.set_exception(self._error)
        self._wake()
        self._stuck.discard(self)

    async def next(self) -> bytes:
        """Return what has come of the body since, pieces that came together as one; b"" at its end. Raises what broke it off."""
        while not (data := self._take()) and not self._finished.done():
            self._reader = self._loop.create_future()
            await self._reader
        if not data and self._error is not None:
            raise self._error
        return data

    def _take(self) -> bytes:
        with self._lock:
            data = b"".join(self._kept)
            self._kept.clear()
            self._size = 0
            self._room.set()
        return data

    async def leave(self) -> None:
        """Tell the thread that nobody waits any more, and give it a moment to end what it does."""
        if self._ended:
            return
        for _ in range(_TRIES):  # the thread may just be about to wait for another function
            self._interrupt.fire()
            self._room.set()
            if (await asyncio.wait([self._finished], timeout=_GRACE_S / _TRIES))[0]:
                return
        self._stuck.add(self)


class _Pieces:
    """The stream of a call's answer; closing it ends the work, also where nothing was asked of it."""

    def __init__(self, call: _Call) -> None:
        self._call = call

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        data = await self._call.next()
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        await self._call.leave()


class _Interrupt:
    """Raises `PeerGone` in a thread that has armed it; at most once, and never after it is disarmed. Ends its calls to other functions."""

    def __init__(self) -> None:
        self.gone = False
        self._lock = Lock()
        self._thread = 0

    def arm(self) -> None:
        with self._lock:
            self._thread = get_ident()
        if self.gone:
            raise PeerGone

    def disarm(self) -> None:
        """End it. May itself raise the `PeerGone` that was on its way."""
        with self._lock:
            self._thread = 0
            if self.gone:
                _raise_in(get_ident(), None)  # takes back what has not been raised yet

    def fire(self) -> None:
        with self._lock:
            if self._thread:
                if not self.gone:
                    _raise_in(self._thread, PeerGone)
                end_wait(self._thread)
            self.gone = True


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    pythonapi.PyThreadState_SetAsyncExc(c_ulong(thread), None if kind is None else py_object(kind))
