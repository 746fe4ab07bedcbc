"""The compiled form of a step: what the engine looks at while an event passes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


COMPLETE_NAME = "Complete"


class Node:
    """One step, compiled.

    *call* takes body (or event, where *takes_event*) and returns the result. *line* is the straight run of plain steps that begins here,
    empty where the step needs more than a call; *calls* are its calls, *last* is its last node. *targets* are the next nodes, *only*
    the single one of them, *outlets* are they by name.
    *handler* is the error handler. *limit* is how often one event may enter (0: not counted, because the step is on no cycle).
    *answers*: the end of the graph can be reached without waiting for a merge. *streams*: it can be reached without a collector.
    *collectors* are those that a stream of this step can reach. *release* goes on after a merge or a collector.
    """

    __slots__ = (
        "answers",
        "call",
        "calls",
        "collectors",
        "default_limit",
        "expected",
        "handler",
        "index",
        "input_path",
        "last",
        "limit",
        "line",
        "name",
        "object",
        "only",
        "outlets",
        "power",
        "release",
        "result_path",
        "select",
        "select_event",
        "streams",
        "strict",
        "takes_event",
        "targets",
    )

    def __init__(self, name: str, index: int, call: Callable[..., object]) -> None:
        self.name = name
        self.index = index
        self.call = call
        self.object: object = None
        self.power = ""
        self.takes_event = False
        self.input_path = ""
        self.result_path = ""
        self.select: Callable[..., object] | None = None
        self.select_event = False
        self.strict = False
        self.targets: tuple[Node, ...] = ()
        self.only: Node | None = None
        self.outlets: dict[str, Node] = {}
        self.handler: Node | None = None
        self.limit = 0
        self.default_limit = False
        self.line: tuple[Node, ...] = ()
        self.calls: tuple[Callable[..., object], ...] = ()
        self.last: Node = self
        self.expected = 0
        self.release: Node = self
        self.answers = False
        self.streams = False
        self.collectors: tuple[Node, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the step is nothing but a call from body to body."""
        return not (self.power or self.takes_event or self.input_path or self.result_path)

    def aim(self, targets: tuple[Node, ...]) -> None:
        """Let events go on to *targets*."""
        self.targets = targets
        self.only = targets[0] if len(targets) == 1 else None
        self.outlets = {target.name: target for target in targets}

    def lead(self, line: tuple[Node, ...]) -> None:
        """Let *line* be the straight run that begins here."""
        self.line = line
        self.calls = tuple(node.call for node in line)
        self.last = line[-1] if line else self

    def __repr__(self) -> str:
        return f"Node({self.name})"


def identity(body: object) -> object:
    """Return *body*."""
    return body


COMPLETE = Node(COMPLETE_NAME, -1, identity)
"""Where an event leaves the graph with the response."""
COMPLETE.answers = COMPLETE.streams = True
