"""The graphs of the engine's benchmark, built for one library; run by `bench_engine.py` under that library's own interpreter.

    python engine_worker.py LIBRARY

It reads lines `CASE N` from its standard input, runs N events through the graph of CASE, and writes the seconds that this took as a line
of JSON; `memory N` answers with the peak memory of the process in MB, an unknown case with null. Steps are as plain as they can be.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

Case = Callable[[int], Awaitable[None]]
TURNS = 100
BRANCHES = 8
AT_ONCE = 64
WAIT_S = 0.01


class Async:
    async def do(self, x: Any) -> Any:
        return x


class Sync:
    def do(self, x: Any) -> Any:
        return x


class Wait:
    async def do(self, x: Any) -> Any:
        await asyncio.sleep(WAIT_S)
        return x


class Turn:
    async def do(self, x: Any) -> Any:
        x["n"] += 1
        return x

    def select_outlets(self, x: Any) -> list[str]:
        return ["Complete"] if x["n"] >= TURNS else ["turn"]


def one_by_one(run: Callable[[Any], Awaitable[object]], body: Callable[[], Any] = lambda: 1) -> Case:
    async def case(count: int) -> None:
        for _ in range(count):
            await run(body())

    return case


def at_once(run: Callable[[Any], Awaitable[object]]) -> Case:
    async def case(count: int) -> None:
        for _ in range(max(1, count // AT_ONCE)):
            await asyncio.gather(*(run(1) for _ in range(AT_ONCE)))

    return case


def turning() -> dict[str, int]:
    return {"n": 0}


# --- what is possible without any graph


def plain_cases() -> dict[str, Case]:
    async def awaits(calls: list[Any], x: Any) -> Any:
        for call in calls:
            x = await call(x)
        return x

    def sync_line(length: int) -> Case:
        calls = [Sync().do for _ in range(length)]

        async def case(count: int) -> None:
            for _ in range(count):
                x: Any = 1
                for call in calls:
                    x = call(x)

        return case

    def async_line(length: int) -> Case:
        calls = [Async().do for _ in range(length)]

        async def case(count: int) -> None:
            for _ in range(count):
                x: Any = 1
                for call in calls:
                    x = await call(x)

        return case

    turn = Turn()

    async def loop(x: Any) -> Any:
        while True:
            x = await turn.do(x)
            if turn.select_outlets(x)[0] == "Complete":
                return x

    start, branches = Async(), [Async().do for _ in range(BRANCHES)]

    async def fan(x: Any) -> Any:
        x = await start.do(x)
        return await asyncio.gather(*(branch(x) for branch in branches))

    wait = Wait()
    five = [Async().do for _ in range(5)]
    return {
        **{f"async {length}": async_line(length) for length in (1, 5, 20)},
        **{f"sync {length}": sync_line(length) for length in (1, 5, 20)},
        "loop 100": one_by_one(loop, turning),
        "fan 8": one_by_one(fan),
        "64 at once, 5 steps": at_once(lambda x: awaits(five, x)),
        "64 at once, 10 ms": at_once(wait.do),
    }


# --- fnkit


def fnkit_cases() -> dict[str, Case]:
    from fnkit.engine import Context, Event, compile_flow
    from fnkit.manifest.model import Flow, Manifest, Step

    class Merge:
        fnkit_power = "merge"

        def merge(self, bodies: list[object]) -> object:
            return bodies

    namespace = {"Async": Async, "Sync": Sync, "Wait": Wait, "Turn": Turn, "Merge": Merge}

    def run(*steps: Step, cyclic: bool = False) -> Callable[[Any], Awaitable[object]]:
        manifest = Manifest(name="bench", spec=Flow(steps=steps, allow_cyclic=cyclic))
        topology = compile_flow(manifest, namespaces=[namespace], context=Context())
        return lambda body: topology.run(Event(body))

    def line(target: str, length: int) -> Callable[[Any], Awaitable[object]]:
        return run(
            *(Step(f"s{i}", target=target, after=(f"s{i - 1}",) if i else (), responder=i == length - 1) for i in range(length))
        )

    branches = tuple(f"b{index}" for index in range(BRANCHES))
    fan = run(
        Step("s", target="Async"),
        *(Step(name, target="Async", after=("s",)) for name in branches),
        Step("m", target="Merge", after=branches, responder=True),
    )
    loop = run(Step("turn", target="Turn", after=("turn",), cycle_from=("turn",), responder=True), cyclic=True)
    return {
        **{f"async {length}": one_by_one(line("Async", length)) for length in (1, 5, 20)},
        **{f"sync {length}": one_by_one(line("Sync", length)) for length in (1, 5, 20)},
        "loop 100": one_by_one(loop, turning),
        "fan 8": one_by_one(fan),
        "64 at once, 5 steps": at_once(line("Async", 5)),
        "64 at once, 10 ms": at_once(line("Wait", 1)),
    }


# --- storey: the engine of MLRun's flows


def storey_cases() -> dict[str, Case]:
    import storey  # type: ignore[import-not-found]  # a peer, installed in an environment of its own

    class Step(storey.MapClass):  # type: ignore[misc]  # its base is not typed here
        async def do(self, x: Any) -> Any:
            return x

    class WaitStep(storey.MapClass):  # type: ignore[misc]  # as above
        async def do(self, x: Any) -> Any:
            await asyncio.sleep(WAIT_S)
            return x

    class SyncStep(storey.MapClass):  # type: ignore[misc]  # as above
        def do(self, x: Any) -> Any:
            return x

    class Again(storey.MapClass):  # type: ignore[misc]  # as above
        async def do(self, x: Any) -> Any:
            x["n"] += 1
            return x

        def select_outlets(self, x: Any) -> list[str]:
            return ["Complete"] if x["n"] >= TURNS else ["turn"]

    class Join(storey.Flow):  # type: ignore[misc]  # storey has no join
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.seen: dict[str, int] = {}

        async def _do(self, event: Any) -> Any:
            if event is storey.dtypes._termination_obj:
                return await self._do_downstream(event)
            seen = self.seen.get(event.id, 0) + 1
            if seen < BRANCHES:
                self.seen[event.id] = seen
                return None
            self.seen.pop(event.id, None)
            return await self._do_downstream(event)

    controllers: dict[str, Any] = {}

    def started(name: str, build: Callable[[], Any]) -> Callable[[Any], Awaitable[object]]:
        async def run(body: Any) -> Any:
            if name not in controllers:
                controllers[name] = build().run()
            return await controllers[name].emit(storey.Event(body, id=str(time.perf_counter_ns())))

        return run

    def line(make: Callable[[], Any], length: int) -> Callable[[], Any]:
        return lambda: storey.build_flow([storey.AsyncEmitSource(), *(make() for _ in range(length)), storey.Complete()])

    def loop() -> Any:
        source, turn = storey.AsyncEmitSource(), Again(name="turn")
        source.to(turn)
        turn.to(turn)
        turn.to(storey.Complete(name="Complete"))
        return source

    def fan() -> Any:
        source, start, join = storey.AsyncEmitSource(), Step(), Join()
        source.to(start)
        for _ in range(BRANCHES):
            start.to(Step()).to(join)
        join.to(storey.Complete())
        return source

    return {
        **{f"async {n}": one_by_one(started(f"a{n}", line(Step, n))) for n in (1, 5, 20)},
        **{f"sync {n}": one_by_one(started(f"s{n}", line(SyncStep, n))) for n in (1, 5, 20)},
        "loop 100": one_by_one(started("loop", loop), turning),
        "fan 8": one_by_one(started("fan", fan)),
        "64 at once, 5 steps": at_once(started("c64", line(Step, 5))),
        "64 at once, 10 ms": at_once(started("wait", line(WaitStep, 1))),
    }


# --- MLRun's mock server, which is called synchronously


def mlrun_cases() -> dict[str, Case]:
    import mlrun  # type: ignore[import-not-found]  # a peer, installed in an environment of its own

    def server(build: Callable[[Any], Any], **options: Any) -> Callable[[Any], Awaitable[object]]:
        function = mlrun.new_function("bench", kind="serving", project="bench")
        build(function.set_topology("flow", engine="async", **options))
        mock = function.to_mock_server(namespace=globals())

        async def run(body: Any) -> Any:
            return mock.test(body=body)

        return run

    def line(target: str, length: int) -> Callable[[Any], Any]:
        def build(graph: Any) -> None:
            step = graph
            for index in range(length):
                step = step.to(name=f"s{index}", class_name=target)
            step.respond()

        return build

    def loop(graph: Any) -> None:
        graph.to(name="turn", class_name="Turn").cycle_to(["turn"]).respond()

    def fan(graph: Any) -> None:
        names = [f"b{index}" for index in range(BRANCHES)]
        graph.to(name="s", class_name="Async")
        for name in names:
            graph.add_step("Async", name=name, after="s")
        graph.add_step("mlrun.serving.merger.Merge", name="m", after=names).respond()

    return {
        **{f"async {n}": one_by_one(server(line("Async", n))) for n in (1, 5, 20)},
        **{f"sync {n}": one_by_one(server(line("Sync", n))) for n in (1, 5, 20)},
        "loop 100": one_by_one(server(loop, allow_cyclic=True, max_iterations=10 * TURNS), turning),
        "fan 8": one_by_one(server(fan)),
    }


# --- LangGraph


def langgraph_cases() -> dict[str, Case]:
    import operator
    from typing import Annotated, TypedDict

    from langgraph.graph import END, START, StateGraph  # type: ignore[import-not-found]  # a peer, as above

    # written as calls: LangGraph evaluates annotations, which knows nothing of the names of this function
    State = TypedDict("State", {"n": int})  # noqa: UP013
    Gathered = TypedDict("Gathered", {"n": Annotated[list[int], operator.add]})  # noqa: UP013

    async def step(state: Any) -> Any:
        return {"n": state["n"]}

    def sync_step(state: Any) -> Any:
        return {"n": state["n"]}

    async def wait(state: Any) -> Any:
        await asyncio.sleep(WAIT_S)
        return {"n": state["n"]}

    async def turn(state: Any) -> Any:
        return {"n": state["n"] + 1}

    async def branch(state: Any) -> Any:
        return {"n": [1]}

    def line(make: Any, length: int) -> Any:
        graph = StateGraph(State)
        names = [START, *(f"s{index}" for index in range(length)), END]
        for name in names[1:-1]:
            graph.add_node(name, make)
        for before, after in pairwise(names):
            graph.add_edge(before, after)
        return graph.compile()

    def loop() -> Any:
        graph = StateGraph(State)
        graph.add_node("turn", turn)
        graph.add_edge(START, "turn")
        graph.add_conditional_edges("turn", lambda state: END if state["n"] >= TURNS else "turn")
        return graph.compile()

    def fan() -> Any:
        graph = StateGraph(Gathered)
        for name in ("s", "join", *(f"b{index}" for index in range(BRANCHES))):
            graph.add_node(name, branch)
        graph.add_edge(START, "s")
        for index in range(BRANCHES):
            graph.add_edge("s", f"b{index}")
            graph.add_edge(f"b{index}", "join")
        graph.add_edge("join", END)
        return graph.compile()

    def run(graph: Any) -> Callable[[Any], Awaitable[object]]:
        settings = {"recursion_limit": 10 * TURNS}
        return lambda body: graph.ainvoke({"n": body if isinstance(body, int) else 0}, settings)

    def run_sync(graph: Any) -> Callable[[Any], Awaitable[object]]:
        async def call(body: Any) -> Any:
            return graph.invoke({"n": body})

        return call

    fanned = fan()
    return {
        **{f"async {n}": one_by_one(run(line(step, n))) for n in (1, 5, 20)},
        **{f"sync {n}": one_by_one(run_sync(line(sync_step, n))) for n in (1, 5, 20)},
        "loop 100": one_by_one(run(loop()), turning),
        "fan 8": one_by_one(lambda body: fanned.ainvoke({"n": []})),
        "64 at once, 5 steps": at_once(run(line(step, 5))),
        "64 at once, 10 ms": at_once(run(line(wait, 1))),
    }


LIBRARIES = {
    "plain": plain_cases,
    "fnkit": fnkit_cases,
    "storey": storey_cases,
    "mlrun": mlrun_cases,
    "langgraph": langgraph_cases,
}

WAITING = ("64 at once, 10 ms",)  # whose time is not the processor's


async def serve(cases: dict[str, Case], answers: Any) -> None:
    """Answer the lines of standard input until it ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, _, count = line.strip().rpartition(" ")
        answers.write(json.dumps(await measure(cases, name, int(count))) + "\n")
        answers.flush()


async def measure(cases: dict[str, Case], name: str, count: int) -> float | None:
    if name == "memory":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if name not in cases:
        return None
    clock = time.perf_counter if name in WAITING else time.process_time
    start = clock()
    await cases[name](count)
    return clock() - start


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print; the answers are for the benchmark alone
    asyncio.run(serve(LIBRARIES[sys.argv[1]](), answers))
