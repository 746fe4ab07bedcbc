"""The edges of a flow: which part of it a function runs, what follows what, and where the cycles are. Names only."""

from __future__ import annotations

from fnkit.errors import GraphError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fnkit.manifest.model import Flow, Manifest, Step

EVERYWHERE = "*"


class Part:
    """The part of a flow that one function runs: its *steps* by name, those it starts with, and those that run *elsewhere*."""

    __slots__ = ("elsewhere", "starts", "steps")

    def __init__(self, steps: dict[str, Step], starts: tuple[str, ...], elsewhere: frozenset[str]) -> None:
        self.steps = steps
        self.starts = starts
        self.elsewhere = elsewhere


def select_part(manifest: Manifest, flow: Flow, function: str) -> Part:
    """Return what *function* runs: `"*"` runs everything in one place; `""`, or the entry function's name, runs the graph up to its queues;
    any other runs what lies behind the queue that wakes it.

    GraphError for a function that no step names.
    """
    steps = {step.name: step for step in flow.steps}
    handlers = {step.on_error for step in flow.steps} | {flow.on_error}
    starts = tuple(step.name for step in flow.steps if is_start(step, handlers))
    if function == EVERYWHERE:
        return Part(steps, starts, frozenset())
    homes = homes_of(manifest, function)
    if "" in homes:
        return _reachable(flow, steps, starts, homes)
    mine = {step.name for step in flow.steps if step.function == function}
    if not mine:
        raise GraphError(f"did not find steps pointing to current function ({function})")
    woken = tuple(name for name in steps if name in mine and mine.isdisjoint(steps[name].after) and name not in handlers)
    behind = tuple(
        name for name in woken if any(steps[before].kind == "queue" for before in steps[name].after if before in steps)
    )
    return _reachable(flow, steps, behind or woken, homes)


def homes_of(manifest: Manifest, function: str) -> set[str]:
    """Return what `function=` says of the steps that run in *function*; the entry function has those that say nothing."""
    entry = next((each.name for each in manifest.functions if each.kind == "entry"), "")
    return {"", EVERYWHERE, entry} if function in ("", entry) else {function, EVERYWHERE}


def is_start(step: Step, handlers: Iterable[str]) -> bool:
    """Tell whether events enter the graph at *step*: nothing precedes it but what closes a cycle, and it handles no errors."""
    return set(step.after) <= set(step.cycle_from) and step.name not in handlers


def _reachable(flow: Flow, steps: Mapping[str, Step], starts: tuple[str, ...], homes: set[str]) -> Part:
    """Return the steps that *starts* lead to, stopping at queues; error handlers are led to by what they guard."""
    follow = followers(flow)
    found: dict[str, Step] = {}
    pending = [*starts, *([flow.on_error] if flow.on_error else [])]
    while pending:
        name = pending.pop()
        if name in found or name not in steps:
            continue
        found[name] = step = steps[name]
        pending += [step.on_error] if step.on_error else []
        pending += follow[name] if step.kind != "queue" or not _crosses(step, follow, steps, homes) else []
    elsewhere = frozenset(name for name, step in found.items() if step.function not in homes and step.kind != "queue")
    return Part({name: step for name, step in steps.items() if name in found}, starts, elsewhere)


def _crosses(queue: Step, follow: Mapping[str, list[str]], steps: Mapping[str, Step], homes: set[str]) -> bool:
    """Tell whether a queue leads into another function."""
    return any(steps[name].function not in homes for name in follow[queue.name])


def followers(flow: Flow) -> dict[str, list[str]]:
    """Return the names of the next steps of each step, in the order of definition. GraphError for a predecessor that does not exist."""
    follow: dict[str, list[str]] = {step.name: [] for step in flow.steps}
    for step in flow.steps:
        for before in dict.fromkeys(step.after):
            if before not in follow:
                raise GraphError(f"step '{step.name}' comes after '{before}', which does not exist", where=f"step '{step.name}'")
            follow[before].append(step.name)
    return follow


def find_cycles(edges: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Return the sets of steps that can reach themselves (Tarjan's strongly connected components, without recursion)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    held: set[str] = set()
    cycles: list[tuple[str, ...]] = []
    for root in edges:
        if root in order:
            continue
        work = [(root, iter(edges[root]))]
        order[root] = low[root] = len(order)
        stack.append(root)
        held.add(root)
        while work:
            name, targets = work[-1]
            step = next((target for target in targets if target not in order or target in held), None)
            if step is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == order[name]:
                    cycles += _pop_component(name, stack, held, edges)
            elif step in order:
                low[name] = min(low[name], order[step])
            else:
                order[step] = low[step] = len(order)
                stack.append(step)
                held.add(step)
                work.append((step, iter(edges[step])))
    return tuple(cycles)


def _pop_component(name: str, stack: list[str], held: set[str], edges: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    cut = stack.index(name)
    component = tuple(stack[cut:])
    del stack[cut:]
    held.difference_update(component)
    return [component] if len(component) > 1 or name in edges[name] else []
