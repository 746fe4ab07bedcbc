"""Compile a flow: construct its steps once, and work out in advance everything that no event should have to find out."""

from __future__ import annotations

from fnkit.engine.construct import Built, build_step, suspends
from fnkit.engine.edges import EVERYWHERE, Part, find_cycles, followers, homes_of, select_part
from fnkit.engine.node import COMPLETE, Node, identity
from fnkit.engine.program import Program, passage
from fnkit.engine.routes import build_routes
from fnkit.engine.trip import Trip
from fnkit.errors import GraphError
from fnkit.lean import import_module
from fnkit.manifest.model import NO_CALL_OPTIONS, Flow, Router
from fnkit.records import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fnkit.engine.answer import QueueWriter, RemoteStep
    from fnkit.engine.context import Context
    from fnkit.engine.guard import Guard
    from fnkit.engine.resolve import Namespace
    from fnkit.manifest.model import CallOptions, Manifest, Step

NO_LIMIT = 10_000
CYCLIC_LIMIT = 100


def flow_of(manifest: Manifest) -> Flow:
    """Return the flow of *manifest*; a router becomes a flow of one step that responds."""
    spec = manifest.spec
    if isinstance(spec, Flow):
        return spec
    if isinstance(spec, Router):
        return Flow(steps=(replace(spec.step, kind="router", responder=True, after=(), cycle_from=()),))
    raise GraphError(f"the engine runs flows and routers, not {manifest.topology}")


class Compiler:
    """Compiles the part of a flow that one function runs."""

    def __init__(
        self,
        manifest: Manifest,
        function: str,
        namespaces: Sequence[Namespace],
        context: Context,
        remote: Callable[[Step], RemoteStep] | None,
        queue: Callable[[Step], QueueWriter] | None,
    ) -> None:
        self._flow = flow_of(manifest)
        self._namespaces = namespaces
        self._context = context
        self._remote = remote
        self._queue = queue
        self._function = function
        self._homes = homes_of(manifest, function)
        self._part: Part = select_part(manifest, self._flow, function)
        self._follow = self._edges()
        self._looped = False
        self._calls_out = False
        self._guards: list[Guard] = []

    def _edges(self) -> dict[str, list[str]]:
        known = self._part.steps
        follow = followers(self._flow)
        ends = {
            name for name, step in known.items() if step.kind == "queue" and any(after not in known for after in follow[name])
        }
        return {name: [] if name in ends else [after for after in follow[name] if after in known] for name in known}

    def program(self) -> Program:
        """Return the compiled flow. Raises what is wrong with the graph, and what the constructors raise."""
        responders = self._responders()
        self._check_shape()
        nodes = {step.name: self._node(index, step) for index, step in enumerate(self._part.steps.values())}
        self._connect(nodes, responders)
        self._count_cycles(nodes)
        for node in nodes.values():
            _foresee(node)
            _release(node)
        for node in nodes.values():
            node.lead(_line(node))
        looped = self._looped or (self._calls_out and any(len(node.targets) > 1 for node in nodes.values()))
        for guard in self._guards if looped else ():
            guard.use_loop()
        make_trip: type[Trip] = import_module("fnkit.engine.loop").LoopTrip if looped else Trip
        return Program(
            nodes,
            tuple(nodes[name] for name in self._part.starts),
            self._context,
            size=len(nodes),
            answers=bool(responders),
            looped=looped,
            sequential=self._flow.engine == "sync",
            make_trip=make_trip,
        )

    def _responders(self) -> set[str]:
        flow, known = self._flow, self._part.steps
        named = [step.name for step in flow.steps if step.responder]
        if len(named) > 1:
            raise GraphError(f"there are more than one responder steps in the graph ({','.join(named)})")
        found = set(named) & set(known)
        if not named and flow.engine == "sync":
            found = {name for name, after in self._follow.items() if not after and name not in self._handlers()}
        if named or found:
            found |= {name for name in self._handlers() if name in known and not self._follow[name]}
        return found

    def _handlers(self) -> set[str]:
        return ({step.on_error for step in self._flow.steps} | {self._flow.on_error}) - {""}

    def _check_shape(self) -> None:
        flow, known = self._flow, self._part.steps
        if len({step.name for step in flow.steps}) != len(flow.steps):
            names = [step.name for step in flow.steps]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise GraphError(f"there are several steps called {', '.join(twice)}")
        for name in self._handlers() - {step.name for step in flow.steps}:
            raise GraphError(f"the error handler '{name}' does not exist")
        if not self._part.starts:
            raise GraphError("no step begins the graph" if known else "the graph has no steps")
        if not flow.allow_cyclic:
            for cycle in find_cycles(self._follow):
                if not self._handlers() & set(cycle):
                    raise GraphError(f"Error, loop detected in step {sorted(cycle)[0]}, graph must be acyclic (DAG)")
        if flow.engine == "sync":
            self._refuse_branches()

    def _refuse_branches(self) -> None:
        steps = self._part.steps.values()
        joins = [step.name for step in steps if len(step.after) > 1]
        splits = [after[1] for after in self._follow.values() if len(after) > 1]
        branches = [*joins, *splits, *self._part.starts[1:]]
        if branches:
            raise GraphError(f"synchronous flow engine doesnt support branches use async for step {branches[0]}")

    def _node(self, index: int, step: Step) -> Node:
        if step.name in self._part.elsewhere:
            return self._remote_node(index, step)
        if step.kind == "queue":
            return self._queue_node(index, step)
        more = {}
        if step.kind == "router":
            remote = self._remote if self._function != EVERYWHERE else None
            more["routes"] = build_routes(step, self._context, self._namespaces, remote, self._homes, guard=self._guarded)
            self._looped = self._looped or any(route.needs_loop for route in more["routes"].values())
        built = build_step(step, self._context, self._namespaces, **more)
        self._looped = self._looped or waits(built)
        return node_of(index, step, self._guarded(step.name, built, step.call))

    def _guarded(self, name: str, built: Built, call: CallOptions) -> Built:
        """Return *built* with the limits and retries of its call options; as it is where there are none."""
        if call == NO_CALL_OPTIONS or built.call is None:
            return built
        guards = import_module("fnkit.engine.guard")
        if not guards.is_guarded(call):
            return built
        found: tuple[Built, Guard] = guards.guarded(name, built, call)
        self._guards.append(found[1])
        return found[0]

    def _remote_node(self, index: int, step: Step) -> Node:
        if self._remote is None:
            raise GraphError(
                f"step '{step.name}' runs in function '{step.function}', and nothing says how to call it",
                hint="compile with function='*', or give remote=",
            )
        call = self._remote(step)
        self._calls_out = True
        self._looped = self._looped or getattr(call, "needs_loop", True)
        node = Node(step.name, index, call)
        node.power = "remote"
        return node

    def _queue_node(self, index: int, step: Step) -> Node:
        node = Node(step.name, index, identity)
        if self._queue is None or (self._function == EVERYWHERE and self._follow[step.name]):
            return node
        node.call = self._queue(step)
        node.power = "queue"
        node.takes_event = True
        self._looped = self._looped or getattr(node.call, "needs_loop", True)
        return node

    def _connect(self, nodes: dict[str, Node], responders: set[str]) -> None:
        handlers = self._handlers()
        for name, node in nodes.items():
            targets = tuple(nodes[after] for after in self._follow[name])
            if name in responders and COMPLETE.name in self._follow[name]:
                raise GraphError(
                    f"Ambiguous outlet name '{COMPLETE.name}' in step '{name}'", hint="give the next step another name"
                )
            node.aim((COMPLETE, *targets) if name in responders else targets)
            guard = self._part.steps[name].on_error or (self._flow.on_error if name not in handlers else "")
            node.handler = nodes.get(guard) if guard != name else None
            if node.power == "merge":
                node.expected = getattr(node.object, "expected", None) or self._incoming(name)

    def _incoming(self, name: str) -> int:
        step = self._part.steps[name]
        return max(1, len({before for before in step.after if before not in step.cycle_from and before in self._part.steps}))

    def _count_cycles(self, nodes: dict[str, Node]) -> None:
        edges = {
            name: [target.name for target in node.targets if target is not COMPLETE]
            + ([node.handler.name] if node.handler else [])
            for name, node in nodes.items()
        }
        for name in {name for cycle in find_cycles(edges) for name in cycle}:
            node = nodes[name]
            limit = self._part.steps[name].max_iterations or self._flow.max_iterations
            node.default_limit = not limit and not self._flow.allow_cyclic
            node.limit = limit or (CYCLIC_LIMIT if self._flow.allow_cyclic else NO_LIMIT)


def node_of(index: int, step: Step, built: Built) -> Node:
    """Return the node of a step that runs here."""
    node = Node(step.name, index, built.call if built.call is not None else identity)
    node.object = built.object
    power = getattr(built.object, "fnkit_power", "")
    node.power = power if power in ("collector", "merge") else ""
    node.strict = power == "choice" or built.call is None
    node.takes_event = built.takes_event and built.call is not None
    node.select = built.select
    node.select_event = built.takes_event and built.call is None
    if not (node.takes_event or built.call is None or getattr(built.object, "keeps_body", False)):
        node.input_path, node.result_path = step.input_path, step.result_path
    return node


def waits(built: Built) -> bool:
    """Tell whether a step can wait for an event loop: it is declared `async`, or says so by `needs_loop`."""
    instance = built.object
    asked = getattr(instance, "needs_loop", None)
    if isinstance(asked, bool):
        return asked
    names = {"collector": "collect", "merge": "merge"}
    extra = getattr(instance, names.get(getattr(instance, "fnkit_power", ""), ""), None)
    return any(suspends(call) for call in (built.call, built.select, extra) if call is not None)


def _foresee(node: Node) -> None:
    """Work out what can be reached from *node*: the end without a merge, the end without a collector, and the collectors.

    An error handler that leads to the end makes no stream for the client out of one that is collected.
    """
    node.answers = _reaches(node, "merge")[0]
    node.streams = _reaches(node, "collector", by_errors=False)[0]
    node.collectors = _reaches(node, "collector")[1]


def _reaches(start: Node, barrier: str, *, by_errors: bool = True) -> tuple[bool, tuple[Node, ...]]:
    seen: set[Node] = set()
    barriers: list[Node] = []
    pending = [*start.targets] if start.power != barrier or barrier == "collector" else []
    while pending:
        node = pending.pop(0)
        if node in seen:
            continue
        seen.add(node)
        if node.power == barrier:
            barriers.append(node)
            continue
        pending += [*node.targets, *([node.handler] if node.handler and by_errors else [])]
    return COMPLETE in seen, tuple(barriers)


def _release(node: Node) -> None:
    if node.power == "merge":
        node.release = passage(node.name, node.object.merge, node.targets, node)  # type: ignore[attr-defined]  # its power says so
    elif node.power == "collector":
        collect = node.object.collect  # type: ignore[attr-defined]  # its power says so
        node.release = passage(node.name, lambda given: collect(*given), node.targets, node)


def _line(node: Node) -> tuple[Node, ...]:
    """Return the straight run of plain steps that begins at *node*. One that counts or chooses is a run of its own."""
    line: list[Node] = []
    while node.plain and node is not COMPLETE and not (line and (node.limit or node.select)) and node not in line:
        line.append(node)
        if node.limit or node.select or node.only is None:
            break
        node = node.only
    return tuple(line)
