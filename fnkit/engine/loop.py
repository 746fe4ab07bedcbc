"""Trips on an event loop: branches are tasks. Imported only where a step of the graph can wait."""

from __future__ import annotations

import asyncio
import sys

from fnkit.engine.isolation import isolate
from fnkit.engine.node import COMPLETE, Node
from fnkit.engine.powers import DROP
from fnkit.engine.stream import Stream, drain
from fnkit.engine.trip import Trip
from fnkit.engine.walk import walk
from fnkit.errors import GraphError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine

    from fnkit.engine.event import Event

_EAGER = sys.version_info >= (3, 12)
_CALLERS = -1 if _EAGER else 0  # branches start in order: eager tasks before the path that the caller walks, others after it
_NESTED = 20  # eager starts inside each other; deeper ones wait for the loop, so that no stack overflows


class LoopTrip(Trip):
    """A trip whose branches run at the same time.

    *pending* counts the paths under way, the first one included. The trip is over for its client when it is decided; what is left
    goes on in the background. Cancelling the client's task, or closing its stream, cancels all branches.
    """

    pending = 1
    nested = 0
    tasks: list[asyncio.Task[None]] | None = None
    waiter: asyncio.Future[None] | None = None

    def fork(self, targets: tuple[Node, ...], event: Event) -> Node | None:
        """Start a task for each branch but the one that the caller may walk itself.

        That is the only one which can answer by itself: so the first answer is never kept waiting by another branch.
        """
        inline = self._inline(targets)
        body = event.body
        first = inline
        branches: list[tuple[Node, Event]] = []
        for target in targets:
            if target is inline:
                continue
            if first is None:
                first = target
                branches.append((target, event))
            else:
                branches.append((target, event.copy(isolate(body))))
        if self.program.keyed:
            trunk = event.lineage
            if inline is not None and inline is not COMPLETE:
                event.lineage = (*trunk, inline.name)
            for target, branch in branches:
                branch.lineage = (*trunk, target.name)
        for target, branch in branches:
            self.spawn(target, branch)
        return inline

    def _inline(self, targets: tuple[Node, ...]) -> Node | None:
        if COMPLETE in targets:
            return COMPLETE
        answering = () if self.whole else [target for target in targets if target.answers]
        if len(answering) > 1:
            return None
        return answering[0] if answering else targets[_CALLERS]

    def spawn(self, node: Node, event: Event) -> None:
        """Walk *event* from *node* in a task of its own."""
        self.split = True
        self.pending += 1
        self.start(self._branch(node, event))

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Run *work* as a task of this trip."""
        if _EAGER and self.nested < _NESTED:
            self.nested += 1
            task = asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)  # type: ignore[call-arg,unused-ignore]  # 3.12
            self.nested -= 1
            if task.done():
                return
        else:
            task = asyncio.get_running_loop().create_task(work)
        if self.tasks is None:
            self.tasks = []
        self.tasks.append(task)
        self.program.background.add(task)

    async def _branch(self, node: Node, event: Event) -> None:
        try:
            value = await walk(self, node, event)
            if value is not DROP:
                await self.arrive(value)
        except Exception as error:
            self.fail(event, error)
        except asyncio.CancelledError:
            if self.waiter is not None and not self.waiter.done():  # the flow is closed, and a client still waits
                self.fail(event, GraphError("the event was not finished: the flow has been closed"))
            raise
        finally:
            self._leave()
            self.program.background.discard(asyncio.current_task())

    def _leave(self) -> None:
        self.pending -= 1
        if not self.pending:
            path = self.overdue_merge()
            if path is None:
                self._wake()
            else:
                self.spawn(*path)

    def _wake(self) -> None:
        waiter = self.waiter
        if waiter is not None and not waiter.done() and self._over():
            waiter.set_result(None)

    def _over(self) -> bool:
        return not self.pending or (self.decided and not self.whole)

    async def arrive(self, value: object) -> None:
        """Take the result of one path, and wake the client if it waits for this."""
        if self.decided and not self.whole and value is not DROP:
            await drain(value)
            return
        await super().arrive(value)
        self._wake()

    def fail(self, event: Event, error: Exception) -> None:
        """Take the error of one path, and wake the client if it waits for this."""
        super().fail(event, error)
        self._wake()

    async def settle(self, value: object) -> object:
        """Go on after the first path: return the first answer as soon as it is there."""
        self._take(value)
        return await self._decide()

    async def _decide(self) -> object:
        self._leave()
        if not self._over():
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        if self.failure is not None:
            raise self.failure
        return self.arrivals[0] if self.arrivals else DROP

    def _take(self, value: object) -> None:
        if value is DROP:
            return
        if self.decided and not self.whole:
            if isinstance(value, Stream):
                self.start(self._drain(value))
        else:
            self.decided = True
            self.arrivals = [*self.arrivals, value]

    async def _drain(self, stream: Stream) -> None:
        try:
            await drain(stream)
        except Exception as error:
            self.program.context.logger.error(f"a stream that no client gets broke: {error}")
        finally:
            self.program.background.discard(asyncio.current_task())

    def cancel(self) -> None:
        """Cancel all branches."""
        super().cancel()
        background = self.program.background
        for task in self.tasks or ():
            if task.cancel():
                task.add_done_callback(background.discard)  # one that never started cannot leave by itself


class Gate:
    """Lets at most *limit* events in at once; the others wait in the order of their arrival."""

    __slots__ = ("_free", "_waiting")

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: list[asyncio.Future[None]] = []

    async def enter(self) -> None:
        """Wait for a place."""
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif turn.done() and not turn.cancelled():
                self.leave()  # the place was given to us while we were leaving
            raise

    def leave(self) -> None:
        """Give a place back."""
        while self._waiting:
            turn = self._waiting.pop(0)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


async def wait_for(tasks: set[asyncio.Task[None]]) -> None:
    """Wait until none of *tasks*, nor those that they start, is left."""
    while tasks:
        done, _ = await asyncio.wait(tuple(tasks))
        tasks -= done


def start_background(work: Coroutine[object, object, None], tasks: set[asyncio.Task[None]]) -> None:
    """Run *work* as a task that *tasks* keeps alive."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
