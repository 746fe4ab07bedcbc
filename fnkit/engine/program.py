"""A compiled flow, and what all its events share."""

from __future__ import annotations

from fnkit.engine.node import Node, identity
from fnkit.engine.trip import Trip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fnkit.engine.context import Context
    from fnkit.engine.event import Event


class Program:
    """The nodes of one flow.

    *start* is where events enter. *answers*: a step responds to the client. *looped*: a step can wait for an event loop. *sequential*: the
    flow has `engine="sync"`. *keyed*: a step can ask which visit of the event this is. *background* holds the tasks under way.
    """

    __slots__ = (
        "_fans",
        "answers",
        "background",
        "context",
        "keyed",
        "looped",
        "make_trip",
        "nodes",
        "sequential",
        "size",
        "start",
    )

    def __init__(
        self,
        nodes: dict[str, Node],
        starts: tuple[Node, ...],
        context: Context,
        *,
        size: int,
        answers: bool,
        looped: bool,
        sequential: bool,
        make_trip: Callable[..., Trip],
    ) -> None:
        self._fans: dict[tuple[Node, ...], Node] = {}
        self.nodes = nodes
        self.context = context
        self.answers = answers
        self.looped = looped
        self.sequential = sequential
        self.size = size
        self.keyed = any(node.takes_event or node.power == "remote" for node in nodes.values())
        self.background: set[object] = set()
        self.start = starts[0] if len(starts) == 1 else self.fan(starts)
        self.make_trip = make_trip

    def trip(self, *, whole: bool = False, collected: dict[Node, list[object]] | None = None) -> Trip:
        """Return a new trip."""
        return self.make_trip(self, whole=whole, collected=collected)

    def fan(self, targets: tuple[Node, ...]) -> Node:
        """Return a node that does nothing but go on to *targets*."""
        node = self._fans.get(targets)
        if node is None:
            node = self._fans[targets] = passage("start", identity, targets)
        return node

    def report(self, event: Event, error: BaseException) -> None:
        """Report an error that no client is told of."""
        self.context.push_error(event, error, source=event.origin_state or None)


def passage(name: str, call: Callable[..., object], targets: tuple[Node, ...], like: Node | None = None) -> Node:
    """Return a plain node between two others: it calls *call* and goes on to *targets*, or as *like* does."""
    node = Node(name, -1, call)
    node.aim(targets)
    node.lead((node,))
    if like is not None:
        node.index, node.handler, node.select, node.strict = like.index, like.handler, like.select, like.strict
    return node
