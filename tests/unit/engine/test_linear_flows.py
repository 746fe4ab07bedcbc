"""Steps one after the other."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from fnkit.engine import Event, compile_flow, drive
from fnkit.errors import GraphError
from fnkit.manifest.model import Manifest, Route, Router, Step
from tests.fakes.engine import Trail, answer, chain, context, execute, flow


def test_steps_run_in_order() -> None:
    topology = flow(*chain("Trail", "Trail", "Trail"))

    assert answer(topology, ["x"]) == ["x", "s0", "s1", "s2"]


def test_sync_and_async_steps_mix_in_one_line() -> None:
    topology = flow(*chain("Trail", "ATrail", "Trail", "ATrail"))

    assert answer(topology, []) == ["s0", "s1", "s2", "s3"]
    assert topology.needs_loop


def test_a_graph_of_sync_steps_runs_without_an_event_loop() -> None:
    topology = flow(*chain("Trail", "Trail"))

    assert not topology.needs_loop
    assert drive(topology.run(Event([]))) == ["s0", "s1"]


def test_before_and_after_decide_the_order_not_the_definition() -> None:
    topology = flow(
        Step("mid", target="Trail", after=("first",)),
        Step("first", target="Trail"),
        Step("last", target="Trail", after=("mid",), responder=True),
    )

    assert answer(topology, []) == ["first", "mid", "last"]


def test_without_a_responder_the_client_gets_the_id_and_the_work_is_done() -> None:
    seen: list[object] = []
    topology = flow(Step("a", handler="note"), names={"note": seen.append})

    assert answer(topology, "b", id="E1") == {"id": "E1"}
    assert seen == ["b"]


def test_without_a_responder_an_async_graph_answers_before_its_work_is_done() -> None:
    gate = asyncio.Event()
    done: list[object] = []

    async def slow(body: object) -> object:
        await gate.wait()
        done.append(body)
        return body

    topology = flow(Step("a", handler="slow"), names={"slow": slow})

    async def work() -> None:
        assert await topology.run(Event("b", id="E1")) == {"id": "E1"}
        assert not done
        gate.set()
        await topology.wait()
        assert done == ["b"]

    execute(work())


def test_a_responder_in_mid_graph_answers_and_the_rest_runs_on() -> None:
    seen: list[object] = []

    def note(body: Any) -> Any:
        seen.append(list(body))
        body.append("changed")
        return body

    steps = (Step("a", target="Trail", responder=True), Step("b", handler="note", after=("a",)))

    assert answer(flow(*steps, names={"note": note}), []) == ["a"]
    assert seen == [["a"]]


def test_two_responders_are_refused() -> None:
    with pytest.raises(GraphError, match=r"there are more than one responder steps in the graph \(a,b\)"):
        flow(Step("a", target="Trail", responder=True), Step("b", target="Trail", after=("a",), responder=True))


def test_a_step_behind_the_responder_cannot_be_called_complete() -> None:
    with pytest.raises(GraphError, match="Ambiguous outlet name 'Complete' in step 'a'"):
        flow(Step("a", target="Trail", responder=True), Step("Complete", target="Trail", after=("a",)))


def test_a_predecessor_that_does_not_exist_is_refused() -> None:
    with pytest.raises(GraphError, match="step 'a' comes after 'zz', which does not exist"):
        flow(Step("a", target="Trail", after=("zz",)))


def test_a_graph_without_steps_is_refused() -> None:
    with pytest.raises(GraphError, match="the graph has no steps"):
        flow()


def test_a_loop_is_refused_where_the_graph_is_not_cyclic() -> None:
    with pytest.raises(GraphError, match=r"Error, loop detected in step a, graph must be acyclic \(DAG\)"):
        flow(Step("s", target="Ident"), Step("a", target="Ident", after=("s", "b")), Step("b", target="Ident", after=("a",)))


def test_decorated_async_functions_are_recognised() -> None:
    async def inner(body: object) -> object:
        await asyncio.sleep(0)
        return [body]

    @functools.wraps(inner)
    def decorated(body: object) -> object:
        return inner(body)

    topology = flow(Step("a", handler="f", responder=True), names={"f": decorated})

    assert topology.needs_loop
    assert answer(topology, 1) == [1]
    assert answer(flow(Step("a", handler="f", responder=True), names={"f": functools.partial(inner)}), 2) == [2]


def test_an_undeclared_wait_is_a_clear_error() -> None:
    class Waits:
        def __await__(self) -> Any:
            yield self

    async def wait() -> None:
        await Waits()

    topology = flow(Step("a", handler="f", responder=True), names={"f": lambda body: wait()})

    with pytest.raises(RuntimeError, match="waits for an event loop"):
        drive(topology.run(Event(1)))


def test_the_sync_engine_answers_from_the_last_step() -> None:
    topology = flow(Step("a", target="Trail"), Step("b", target="Trail", after=("a",)), engine="sync")

    assert answer(topology, []) == ["a", "b"]


def test_the_sync_engine_awaits_async_steps() -> None:
    topology = flow(Step("a", target="ATrail"), engine="sync")

    assert answer(topology, []) == ["a"]


@pytest.mark.parametrize(
    "steps",
    [
        (Step("S", target="Trail"), Step("X", target="Trail", after=("S",)), Step("C", target="Trail", after=("S", "X"))),
        (Step("A", target="Trail"), Step("B", target="Trail"), Step("C", target="Trail", after=("A", "B"))),
        (Step("A", target="Trail"), Step("C", target="Trail")),
        (Step("A", target="Trail"), Step("B", target="Trail", after=("A",)), Step("C", target="Trail", after=("A",))),
    ],
)
def test_the_sync_engine_refuses_branches(steps: tuple[Step, ...]) -> None:
    with pytest.raises(GraphError, match="synchronous flow engine doesnt support branches use async for step C"):
        flow(*steps, engine="sync")


def test_a_terminated_event_ends_a_sync_graph() -> None:
    class Stop:
        def do_event(self, event: Event) -> Event:
            event.body, event.terminated = "stopped", True
            return event

    topology = flow(Step("a", target="Stop"), Step("b", target="Trail", after=("a",)), engine="sync", names={"Stop": Stop})

    assert answer(topology, []) == "stopped"


def test_a_router_at_the_root_is_constructed_with_its_routes() -> None:
    class Roads:
        def __init__(self, routes: Any) -> None:
            self.routes = routes

        async def do_event(self, event: Event) -> Event:
            event.body = await self.routes[event.path.strip("/")](event)
            return event

    class Route1:
        def __init__(self, name: str, by: int) -> None:
            self.name, self.by = name, by

        def do(self, body: Any) -> Any:
            return [self.name, body * self.by]

    step = Step(
        "r",
        kind="router",
        target="Roads",
        routes=(Route("m1", target="Route1", args={"by": 2}), Route("m2", handler="(event - 1)")),
    )
    spec = Manifest(name="g", topology="router", spec=Router(step))
    topology = compile_flow(spec, namespaces=[{"Roads": Roads, "Route1": Route1}], context=context())

    assert answer(topology, 4, path="/m1") == ["m1", 8]
    assert answer(topology, 4, path="/m2") == 3


def test_instances_are_made_once_and_shared_by_all_events() -> None:
    made: list[object] = []

    class Counted(Trail):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            made.append(self)

    topology = flow(*chain("Counted"), names={"Counted": Counted})
    answer(topology, [])
    answer(topology, [])

    assert len(made) == 1
    assert topology.step_objects == {"s0": made[0]}


def test_a_closed_flow_takes_no_events() -> None:
    topology = flow(*chain("Trail"))

    execute(topology.close())

    with pytest.raises(GraphError, match="closed"):
        answer(topology, [])
