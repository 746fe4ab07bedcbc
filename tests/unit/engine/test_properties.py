"""Random graphs give what a direct interpreter of the graph gives, and leave nothing running.

The interpreter below knows nothing of nodes, lines, trips and tasks: it carries bodies from step to step by the words of `DESIGN.md`.
Bodies are dicts with a trail of the steps that they passed. Where branches run at the same time the order of arrival is not defined:
there the executed steps are compared as a multiset, and the answer must be one of the bodies that can arrive.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fnkit.engine import DROP, Event, Many, Response, drive, drive_iterator
from fnkit.manifest.model import Step
from tests.fakes.engine import context, execute, flow

Body = dict[str, Any]
KINDS = ("plain", "in_place", "route", "spin", "drop", "many", "stream", "collector", "merge", "fail")
CHUNKS = 3


# --- what each kind of step does, said once for the graph and for the interpreter


def visit(name: str, body: Body) -> Body:
    return {**body, "trail": [*body["trail"], name]}


def chunk_of(name: str, body: Body, number: int) -> Body:
    return {**visit(name, body), "chunk": number}


def chosen(name: str, outlets: list[str], body: Body) -> list[str]:
    """Return the outlets that a routing step chooses: some of them, by what the body went through."""
    weight = len(body["trail"]) + len(name) + int(body.get("chunk", 0))
    return [outlet for index, outlet in enumerate(outlets) if (weight + index) % 3]


def turns_again(name: str, body: Body) -> bool:
    return bool(body["trail"].count(name) < 3)


def drops(body: Body) -> bool:
    return len(body["trail"]) % 3 == 2


def fails(body: Body) -> bool:
    return len(body["trail"]) % 2 == 1


def gathered(name: str, bodies: list[Body]) -> Body:
    """Return what becomes of *bodies* at a collector or a merge, in whatever order they came."""
    return {"trail": [*min((body["trail"] for body in bodies), key=str), name], "of": len(bodies)}


def merged(name: str, bodies: list[Body]) -> Body:
    """Return what a merge makes of *bodies*: those of one chunk are still that chunk."""
    chunk = {"chunk": bodies[0]["chunk"]} if "chunk" in bodies[0] else {}
    return {**gathered(name, bodies), **chunk}


# --- the steps of the graph


@dataclass
class Ledger:
    """What the steps of one run did."""

    visits: Counter[str] = field(default_factory=Counter)
    open_generators: int = 0

    def note(self, name: str, body: object) -> None:
        self.visits[f"{name} {body}"] += 1


def noting(ledger: Ledger, name: str, generator: Any) -> Any:
    def do(body: Body) -> Any:
        ledger.note(name, body)
        return generator(body)

    return do


def make_step(kind: str, name: str, outlets: list[str], ledger: Ledger, awaits: bool) -> object:
    """Return the object of a step; *awaits* makes its method wait for the event loop."""

    def act(body: Any) -> Any:
        ledger.note(name, body)
        if kind == "in_place":
            body["trail"].append(name)
            return body
        if kind == "drop" and drops(body):
            return DROP
        if kind == "many":
            return Many([chunk_of(name, body, number) for number in range(CHUNKS)])
        if kind == "fail" and fails(body):
            raise ValueError(name)
        return visit(name, body)

    def stream(body: Body) -> Generator[Body, None, None]:
        ledger.open_generators += 1
        try:
            for number in range(CHUNKS):
                yield chunk_of(name, body, number)
        finally:
            ledger.open_generators -= 1

    async def act_later(body: Body) -> Any:
        await asyncio.sleep(0)
        return act(body)

    async def stream_later(body: Body) -> Any:
        chunks = stream(body)
        try:
            for chunk in chunks:
                await asyncio.sleep(0)
                yield chunk
        finally:
            chunks.close()

    class Made:
        pass

    made: Any = Made()
    if kind == "stream":
        made.do = noting(ledger, name, stream_later if awaits else stream)
        made.needs_loop = awaits
    elif kind == "collector":
        made.fnkit_power, made.collect = kind, lambda chunks, error: act(gathered(name, chunks) if chunks else {"trail": []})
    elif kind == "merge":
        made.fnkit_power, made.expected = kind, None
        made.merge = lambda bodies: act(merged(name, bodies))
    else:
        made.do = act_later if awaits else act
    if kind == "route":
        made.select_outlets = lambda body: chosen(name, outlets, body) or [outlets[0]]
    if kind == "spin":
        made.select_outlets = lambda body: [name] if turns_again(name, body) else [each for each in outlets if each != name]
    return made


# --- the interpreter


class Interpreter:
    """Runs a graph by carrying bodies, one path at a time, other branches afterwards in the order of their start."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.visits: Counter[str] = Counter()
        self.crowded = False  # a merge got more bodies than it waits for: which of them it takes together is a matter of timing

    def answers(self, body: Body) -> list[Any]:
        """Return everything that arrives, in order; a stream as the list of its chunks."""
        return self.run([(name, deepcopy(body)) for name in self.graph.starts], {})

    def run(self, paths: list[tuple[str, Body]], collected: dict[str, list[Body]]) -> list[Any]:
        paths.sort(key=lambda path: path[0] != "Complete")  # what leaves the graph leaves it first
        arrivals: list[Any] = []
        merges: dict[str, list[Body]] = {}
        arrived: set[str] = set()
        while paths or merges:
            if not paths:
                name = min(merges, key=self.graph.names.index)
                paths.append(("merged " + name, {"of": merges.pop(name)}))
            self.walk(*paths.pop(0), paths, merges, arrived, collected, arrivals)
        return arrivals

    def walk(
        self, name: str, body: Body, paths: list[Any], merges: Any, arrived: set[str], collected: Any, arrivals: list[Any]
    ) -> None:
        while True:
            if name == "Complete":
                arrivals.append(body)
                return
            outcome = self.apply(name, body, paths, merges, arrived, collected, arrivals)
            if outcome is None:
                return
            name, body, targets = outcome
            if not targets:
                return
            first = "Complete" if "Complete" in targets else targets[0]
            paths.extend((target, deepcopy(body)) for target in targets if target != first)
            name = first

    def apply(
        self, name: str, body: Body, paths: list[Any], merges: Any, arrived: set[str], collected: Any, arrivals: list[Any]
    ) -> Any:
        graph = self.graph
        released, name = name.startswith("merged "), name.removeprefix("merged ")
        kind = graph.kinds[name]
        if kind == "merge":
            waiting = body["of"] if released else merges.setdefault(name, [])
            if not released:
                waiting.append(body)
                self.crowded = self.crowded or name in arrived
                if len(waiting) < len(graph.after[name]):
                    return None
                del merges[name]
            arrived.add(name)
            return self.done(name, merged(name, waiting))
        if kind == "collector":
            if "chunk" in body and collected:
                collected[name].append(body)
                return None
            return name, body, graph.targets[name]
        self.visits[f"{name} {body}"] += 1
        if kind == "drop" and drops(body):
            return None
        if kind == "fail" and fails(body):
            return name, body, [graph.handler]
        if kind == "many":
            for number in range(CHUNKS):
                arrivals += self.run(
                    [(target, chunk_of(name, deepcopy(body), number)) for target in graph.targets[name]], collected
                )
            return None
        if kind == "stream":
            return self.stream(name, body, paths, arrivals)
        return name, visit(name, body), self.route(name, visit(name, body))

    def done(self, name: str, body: Body) -> Any:
        """Go on behind a merge or a collector."""
        self.visits[f"{name} {body}"] += 1
        return name, visit(name, body), self.graph.targets[name]

    def route(self, name: str, body: Body) -> list[str]:
        outlets = self.graph.targets[name]
        if self.graph.kinds[name] == "route":
            return chosen(name, outlets, body) or [outlets[0]]
        if self.graph.kinds[name] == "spin":
            return [name] if turns_again(name, body) else [each for each in outlets if each != name]
        return outlets

    def stream(self, name: str, body: Body, paths: list[Any], arrivals: list[Any]) -> Any:
        direct, collectors = self.graph.reach(name)
        collected: dict[str, list[Body]] = {collector: [] for collector in collectors}
        chunks: list[Any] = []
        for number in range(CHUNKS):
            targets = self.graph.targets[name]
            chunk = chunk_of(name, body, number)
            chunks += self.run([(target, deepcopy(chunk)) for target in targets], collected)
        emitted = [(collector, items) for collector, items in collected.items() if items] or list(collected.items())
        bodies = [(collector, gathered(collector, items) if items else {"trail": []}) for collector, items in emitted]
        if direct:
            arrivals.append(chunks)
            for collector, gathered_body in bodies:
                _, after, targets = self.done(collector, gathered_body)
                self.run([(target, deepcopy(after)) for target in targets], {})
            return None
        arrivals += chunks  # what the error handler answered
        if not bodies:
            return None
        for collector, gathered_body in bodies[1:]:
            _, after, targets = self.done(collector, gathered_body)
            paths.extend((target, deepcopy(after)) for target in targets)
        return self.done(*bodies[0])


# --- random graphs


@dataclass(frozen=True)
class Graph:
    kinds: dict[str, str]
    after: dict[str, tuple[str, ...]]
    responder: str
    awaits: frozenset[str]

    handler = "handler"

    @property
    def names(self) -> list[str]:
        return list(self.kinds)

    @property
    def starts(self) -> list[str]:
        return [name for name in self.names if not self.after[name] and name != self.handler]

    @property
    def targets(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {name: [] for name in self.names}
        for name in self.names:
            for before in self.after[name]:
                found[before].append(name)
            if self.kinds[name] == "spin":
                found[name].append(name)
        for name in (self.responder, self.handler):
            found[name].append("Complete")
        return found

    def reach(self, name: str) -> tuple[bool, list[str]]:
        """Tell whether chunks of *name* can reach the client without an error, and which collectors they can reach, nearest first."""
        return self._reach(name, [])[0], self._reach(name, [self.handler])[1]

    def _reach(self, name: str, by_errors: list[str]) -> tuple[bool, list[str]]:
        seen: list[str] = []
        collectors: list[str] = []
        pending = list(self.targets[name])
        while pending:
            each = pending.pop(0)
            if each in seen:
                continue
            seen.append(each)
            if each == "Complete":
                continue
            if self.kinds[each] == "collector":
                collectors.append(each)
                continue
            pending += [*self.targets[each], *by_errors]
        return "Complete" in seen, collectors

    def steps(self) -> tuple[Step, ...]:
        return tuple(
            Step(
                name,
                target=name,
                after=(*self.after[name], *([name] if kind == "spin" else [])),
                cycle_from=(name,) if kind == "spin" else (),
                responder=name == self.responder,
            )
            for name, kind in self.kinds.items()
        )


@st.composite
def graphs(draw: Any) -> Graph:
    count = draw(st.integers(1, 7))
    names = [f"s{index}" for index in range(count)]
    kinds: dict[str, str] = {}
    after: dict[str, tuple[str, ...]] = {}
    for index, name in enumerate(names):
        allowed = [kind for kind in KINDS if not (kind in ("stream", "many") and {"stream", "many"} & set(kinds.values()))]
        kinds[name] = draw(st.sampled_from(allowed))
        before = draw(st.lists(st.sampled_from(names[:index]), unique=True, max_size=3)) if index else []
        after[name] = tuple(sorted(before)) or ((names[index - 1],) if index and draw(st.booleans()) else ())
    responder = draw(st.sampled_from(names))
    for name in names:  # a step that routes needs somewhere to route to
        outlets = [other for other in names if name in after[other]]
        if kinds[name] in ("route", "spin") and not outlets and name != responder:
            kinds[name] = "plain"
    kinds["handler"], after["handler"] = "plain", ()
    awaits = frozenset(draw(st.sets(st.sampled_from(names))))
    return Graph(kinds, after, responder, awaits)


def compiled(graph: Graph, ledger: Ledger, awaits: frozenset[str]) -> Any:
    objects = {name: make_step(kind, name, graph.targets[name], ledger, name in awaits) for name, kind in graph.kinds.items()}
    return flow(*graph.steps(), names=objects, on_error="handler", allow_cyclic=True, with_context=context())


def expected(graph: Graph, *, timed: bool = False) -> tuple[list[Any], Counter[str]]:
    """Return all answers and what the steps did. Where it is *timed*, graphs whose result depends on timing are passed over."""
    interpreter = Interpreter(graph)
    answers = interpreter.answers({"trail": []})
    assume(not (timed and interpreter.crowded))
    return answers, interpreter.visits


PROPERTY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PROPERTY
@given(graphs())
def test_a_graph_of_sync_steps_does_exactly_what_the_interpreter_does(graph: Graph) -> None:
    ledger = Ledger()
    topology = compiled(graph, ledger, frozenset())

    result: Any = drive(topology.run(Event({"trail": []})))
    if hasattr(result, "__anext__"):
        result = list(drive_iterator(result))

    arrivals, visits = expected(graph)
    assert not topology.needs_loop
    assert ledger.visits == visits
    assert result == (arrivals[0] if arrivals else Response(status_code=204))
    assert ledger.open_generators == 0


@PROPERTY
@given(graphs())
def test_a_graph_whose_steps_wait_does_the_same_work_and_leaves_nothing_running(graph: Graph) -> None:
    ledger = Ledger()
    topology = compiled(graph, ledger, graph.awaits)

    async def work() -> Any:
        result = await topology.run(Event({"trail": []}))
        if hasattr(result, "__anext__"):
            result = [chunk async for chunk in result]
        await topology.wait()
        return result

    result = execute(work())

    arrivals, visits = expected(graph, timed=True)
    assert ledger.visits == visits
    assert ordered(result) in [ordered(each) for each in arrivals] or (not arrivals and result == Response(status_code=204))
    assert ledger.open_generators == 0


def ordered(result: Any) -> str:
    """A stream's chunks in an order of our own: the branches of one chunk run at the same time."""
    return str(sorted(map(str, result))) if isinstance(result, list) else str(result)


@settings(max_examples=80, deadline=None)
@given(graphs(), st.integers(0, 2))
def test_a_stream_that_is_left_closes_its_generator_and_leaves_nothing_running(graph: Graph, taken: int) -> None:
    ledger = Ledger()
    topology = compiled(graph, ledger, graph.awaits)

    async def work() -> None:
        result: Any = await topology.run(Event({"trail": []}))
        if hasattr(result, "__anext__"):
            for _ in range(taken):
                await anext(result, None)
            await result.aclose()
        await topology.wait()

    execute(work())

    assert ledger.open_generators == 0


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_events_at_the_same_time_do_not_disturb_each_other(graph: Graph) -> None:
    ledger = Ledger()
    topology = compiled(graph, ledger, graph.awaits)

    async def one() -> Any:
        result: Any = await topology.run(Event({"trail": []}))
        return [chunk async for chunk in result] if hasattr(result, "__anext__") else result

    async def work() -> None:
        await asyncio.gather(*(one() for _ in range(3)))
        await topology.wait()

    execute(work())

    _, visits = expected(graph, timed=True)
    assert ledger.visits == Counter({visit: 3 * count for visit, count in visits.items()})
