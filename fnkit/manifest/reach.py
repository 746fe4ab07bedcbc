"""Which steps follow which, which are reached by events, and where a flow runs in circles."""

from __future__ import annotations

from fnkit.manifest.model import Flow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def followers_of(flow: Flow) -> dict[str, list[str]]:
    """Return for each step the steps that come directly after it."""
    behind: dict[str, list[str]] = {step.name: [] for step in flow.steps}
    for step in flow.steps:
        for name in step.after:
            behind.setdefault(name, []).append(step.name)
    return behind


def starts_of(flow: Flow) -> list[str]:
    """Return the steps that events enter first: those after nothing, cycles that lead back to them aside."""
    handlers = {flow.on_error, *(step.on_error for step in flow.steps)}
    return [step.name for step in flow.steps if set(step.after) <= set(step.cycle_from) and step.name not in handlers]


def reachable(flow: Flow, starts: Iterable[str] | None = None) -> set[str]:
    """Return the names of the steps that an event, or the error of a step that is reached, can get to from *starts*.

    Without *starts*: from where events come in.
    """
    behind = followers_of(flow)
    handlers = {step.name: step.on_error for step in flow.steps}
    pending = [*starts_of(flow), flow.on_error] if starts is None else [*starts]
    reached: set[str] = set()
    while pending:
        name = pending.pop()
        if name in reached or name not in handlers:
            continue
        reached.add(name)
        pending += [*behind[name], handlers[name]]
    return reached


def find_cycle(flow: Flow) -> tuple[str, ...]:
    """Return the steps of one cycle, in their order, starting with the step defined first; () if there is none."""
    behind = followers_of(flow)
    order = {step.name: index for index, step in enumerate(flow.steps)}
    done: set[str] = set()
    for first in order:
        cycle = _cycle_from(first, behind, done)
        if cycle:
            start = cycle.index(min(cycle, key=lambda name: order.get(name, 0)))
            return (*cycle[start:], *cycle[:start])
    return ()


def _cycle_from(first: str, behind: dict[str, list[str]], done: set[str]) -> tuple[str, ...]:
    path: dict[str, None] = {}  # in order, and quick to ask
    pending = [(first, False)]
    while pending:
        name, leaving = pending.pop()
        if leaving:
            del path[name]
            done.add(name)
        elif name in path:
            names = tuple(path)
            return names[names.index(name) :]
        elif name not in done:
            path[name] = None
            pending.append((name, True))
            pending += [(follower, False) for follower in behind.get(name, ())]
    return ()


def resolve_function(wanted: str, known: Iterable[str]) -> str:
    """Return the function of *known* that a step's `function=wanted` means, `""` if none.

    A function may have been declared under a longer name ("nuclio-log-ds" for "log-ds"): where exactly one ends so, it is meant.
    """
    known = tuple(known)
    if wanted in known:
        return wanted
    longer = [name for name in known if name.endswith(f"-{wanted}")]
    return longer[0] if len(longer) == 1 else ""
