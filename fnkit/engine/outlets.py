"""Read what `select_outlets` returned: which of the next steps an event goes to."""

from __future__ import annotations

from fnkit.lean import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.engine.node import Node


def choose(node: Node, names: object) -> tuple[Node, ...]:
    """Return the steps that *names* chooses among the outlets of *node*; an empty tuple drops the event.

    A string is one name. None and an empty selection mean all outlets for a plain class; for a `Choice` None is a TypeError and an
    empty selection drops the event. ValueError for a name that is no outlet, and for a name given twice.
    """
    if isinstance(names, str):
        names = (names,)
    elif not names and not node.strict:
        return node.targets
    if not isinstance(names, Iterable):
        raise TypeError(f"'{type(names).__name__}' object is not iterable")
    chosen = tuple(names)
    targets = tuple(_outlet(node, name) for name in chosen)
    if len(set(chosen)) != len(chosen):
        listed = ", ".join(chosen)
        raise ValueError(f"Invalid outlet selection for '{node.name}': duplicate outlet names were provided ({listed}).")
    return targets


def _outlet(node: Node, name: object) -> Node:
    target = node.outlets.get(name) if isinstance(name, str) else None
    if target is None:
        raise ValueError(f"Invalid outlet '{name}' for '{node.name}'. Allowed outlets are: {', '.join(node.outlets)}.")
    return target
