"""One event's trip through a graph whose steps never wait: the paths are walked one after the other."""

from __future__ import annotations

from fnkit.engine.isolation import isolate
from fnkit.engine.node import COMPLETE, Node
from fnkit.engine.powers import DROP
from fnkit.engine.stream import drain
from fnkit.engine.walk import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fnkit.engine.event import Event
    from fnkit.engine.program import Program

Merges = dict[Node, tuple["Event", list[object]]]


class Trip:
    """What one event (or one chunk) has under way: branches to be walked, merges that wait, chunks that are collected.

    *whole*: every answer is wanted and everything is waited for (a chunk, an event of a queue). Otherwise the first answer counts.
    """

    # Most events go straight through and need none of this: it is kept in the class until it is set.
    whole = False
    collected: dict[Node, list[object]] | None = None
    merges: Merges | None = None
    arrivals: Sequence[object] = ()
    failure: Exception | None = None
    decided = False
    split = False
    """Whether there may be more to this trip than the path that it began with."""
    later: list[tuple[Node, Event]] | None = None

    def __init__(self, program: Program, *, whole: bool = False, collected: dict[Node, list[object]] | None = None) -> None:
        self.program = program
        if whole:
            self.whole = self.split = True
            self.collected = collected

    def fork(self, targets: tuple[Node, ...], event: Event) -> Node | None:
        """Send *event* to all *targets*; return the one that the caller walks on to, or None. The others get copies."""
        inline = COMPLETE if COMPLETE in targets else targets[0]
        body = event.body
        keyed = self.program.keyed
        for target in targets:
            if target is not inline:
                branch = event.copy(isolate(body))
                if keyed:
                    branch.lineage = (*event.lineage, target.name)
                self.spawn(target, branch)
        if keyed and inline is not COMPLETE:
            event.lineage = (*event.lineage, inline.name)
        return inline

    def spawn(self, node: Node, event: Event) -> None:
        """Walk *event* from *node* once the path under way has ended."""
        if self.later is None:
            self.split = True
            self.later = []
        self.later.append((node, event))

    def wait_for_merge(self, node: Node, event: Event) -> list[object] | None:
        """Note that *event* arrived at the merge *node*; return all bodies once the last one is there."""
        if self.merges is None:
            self.split = True
            self.merges = {}
        first, bodies = self.merges.setdefault(node, (event, []))
        bodies.append(event.body)
        if first is not event and first.lineage != event.lineage:
            event.lineage = first.lineage = _common(first.lineage, event.lineage)
        if len(bodies) < node.expected:
            return None
        del self.merges[node]
        return bodies

    def overdue_merge(self) -> tuple[Node, Event] | None:
        """Return the first merge that still waits although nothing is under way any more: it goes on with what it has."""
        if not self.merges:
            return None
        node = min(self.merges, key=lambda merge: merge.index)
        event, bodies = self.merges.pop(node)
        event.body = bodies
        return node.release, event

    async def run(self, node: Node, event: Event) -> object:
        """Walk *event* from *node* with all its branches; return the first answer, or NOTHING. Raises the first error before it.

        Where this is cancelled, all branches are.
        """
        try:
            try:
                value = await walk(self, node, event)
            except Exception as error:
                return await self.settle_error(event, error)
            return await self.settle(value) if self.split else value
        except BaseException as error:
            if not isinstance(error, Exception):
                self.cancel()
            raise

    async def settle(self, value: object) -> object:
        """Go on after the first path of a trip that has others, or whose answers are all wanted: it ended with *value*."""
        await self.arrive(value)
        return await self._decide()

    async def settle_error(self, event: Event, error: Exception) -> object:
        """Go on after the first path has failed."""
        if not self.split:
            raise error
        self.fail(event, error)
        return await self._decide()

    async def _decide(self) -> object:
        await self._walk_others()
        if self.failure is not None:
            raise self.failure
        return self.arrivals[0] if self.arrivals else DROP

    async def _walk_others(self) -> None:
        while True:
            path = self.later.pop(0) if self.later else self.overdue_merge()
            if path is None:
                return
            node, event = path
            try:
                await self.arrive(await walk(self, node, event))
            except Exception as error:
                self.fail(event, error)

    async def arrive(self, value: object) -> None:
        """Take the result of one path. Where only the first counts, a later stream is run to its end unheard."""
        if value is DROP:
            return
        if self.whole or not self.decided:
            self.decided = True
            self.arrivals = [*self.arrivals, value]
        else:
            await drain(value)

    def fail(self, event: Event, error: Exception) -> None:
        """Take the error of one path: the first thing that happens is what the client gets, later errors are reported."""
        if self.failure is None and (self.whole or not self.decided):
            self.decided = True
            self.failure = error
        else:
            self.program.report(event, error)

    def cancel(self) -> None:
        """Stop what is under way."""
        self.later = None
        self.merges = None


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Return what two branches have in common: after a merge it does not matter which of them arrived first."""
    same = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        same += 1
    return one[:same]
