"""Branches, joins, merges; what is isolated, what runs at the same time, and what is left when an event is over."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from fnkit.engine import DROP, Event, Many
from fnkit.engine.isolation import isolate
from fnkit.errors import GraphError
from fnkit.manifest.model import Step
from tests.fakes.engine import Recorder, answer, context, execute, flow


def diamond(target: str, join: str = "Ident", **options: Any) -> tuple[Step, ...]:
    return (
        Step("s", target="Ident"),
        Step("a", target=target, after=("s",), **options),
        Step("b", target=target, after=("s",), **options),
        Step("j", target=join, after=("a", "b"), responder=True),
    )


class Gates:
    """Steps that wait until the test lets them go on."""

    def __init__(self, *names: str) -> None:
        self.gates = {name: asyncio.Event() for name in names}
        self.entered: list[str] = []
        self.left: list[str] = []
        self.cancelled: list[str] = []

    def step(self, name: str) -> Any:
        async def wait(body: Any) -> Any:
            self.entered.append(name)
            try:
                await self.gates[name].wait()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            self.left.append(name)
            return [*body, name]

        return wait

    @property
    def names(self) -> dict[str, object]:
        return {name: self.step(name) for name in self.gates}


def noting(seen: list[object], what: Any = lambda body: body) -> Any:
    def note(body: Any) -> Any:
        seen.append(what(body))
        return body

    return note


async def until(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never happened")


@pytest.mark.parametrize("target", ["Mark", "AMark"])
def test_branches_do_not_see_each_others_changes(target: str) -> None:
    assert answer(flow(*diamond(target, join="Merge")), {}) == [{"marks": ["a"]}, {"marks": ["b"]}]


@pytest.mark.parametrize("target", ["Mark", "AMark"])
def test_without_a_merge_the_first_branch_to_arrive_answers(target: str) -> None:
    assert answer(flow(*diamond(target)), {}) == {"marks": ["a"]}


def test_a_join_runs_once_for_each_branch() -> None:
    seen: list[object] = []
    steps = (*diamond("Mark")[:3], Step("j", handler="note", after=("a", "b"), responder=True))

    answer(flow(*steps, names={"note": noting(seen, lambda body: body["marks"])}), {})

    assert seen == [["a"], ["b"]]


def test_the_caller_sees_changes_of_the_first_branch_only() -> None:
    body: dict[str, object] = {}

    answer(flow(*diamond("Mark")), body)

    assert body == {"marks": ["a"]}


def test_several_start_steps_each_get_the_event() -> None:
    steps = (Step("a", target="Mark"), Step("b", target="Mark"), Step("m", target="Merge", after=("a", "b"), responder=True))

    assert answer(flow(*steps), {}) == [{"marks": ["a"]}, {"marks": ["b"]}]


def test_a_body_that_cannot_be_copied_is_an_error_of_the_event() -> None:
    with pytest.raises(TypeError, match=r"cannot pickle '_thread\.lock' object"):
        answer(flow(*diamond("Ident")), {"lock": threading.Lock()})


def test_copies_keep_what_deepcopy_keeps() -> None:
    shared = [1]
    loop: list[object] = []
    loop.append(loop)
    deep: object = "end"
    for _ in range(200):
        deep = [deep]

    copied: Any = isolate({"a": shared, "b": shared, "t": ({"x": 1},), "text": "t"})
    looped: Any = isolate(loop)

    assert copied == {"a": [1], "b": [1], "t": ({"x": 1},), "text": "t"}
    assert copied["a"] is copied["b"] is not shared
    assert looped[0] is looped is not loop
    assert isolate(deep) == deep
    assert isolate("text") == "text"


def test_a_custom_object_is_copied_by_its_own_rules() -> None:
    class Own:
        def __deepcopy__(self, memo: object) -> Own:
            return self

    own = Own()

    assert isolate({"own": own}) == {"own": own}


def test_the_first_answer_does_not_wait_for_slow_branches() -> None:
    async def work() -> None:
        gates = Gates("slow", "quick")
        steps = (
            Step("s", target="Ident"),
            Step("slow", handler="slow", after=("s",)),
            Step("quick", handler="quick", after=("s",)),
            Step("j", target="Ident", after=("slow", "quick"), responder=True),
        )
        topology = flow(*steps, names=gates.names)
        run = asyncio.ensure_future(topology.run(Event([])))
        await until(lambda: len(gates.entered) == 2)

        gates.gates["quick"].set()

        assert await run == ["quick"]
        assert gates.left == ["quick"]
        gates.gates["slow"].set()
        await topology.wait()
        assert gates.left == ["quick", "slow"]

    execute(work())


def test_a_branch_without_an_answer_outlives_the_answer_and_its_error_is_reported() -> None:
    errors = Recorder()

    async def late(body: object) -> object:
        await asyncio.sleep(0)
        raise LookupError("too late")

    steps = (
        Step("s", target="AIdent"),
        Step("side", handler="late", after=("s",)),
        Step("main", target="Ident", after=("s",), responder=True),
    )

    assert answer(flow(*steps, names={"late": late}, with_context=context(errors=errors)), "b", id="E") == "b"
    assert [(record["source"], record["event"]["id"]) for record in errors.records] == [("side", "E")]
    assert "LookupError: too late" in errors.records[0]["message"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_error_before_the_answer_fails_the_event(kind: str) -> None:
    async def awaiting(body: object) -> object:
        raise LookupError("first")

    def plain(body: object) -> object:
        raise LookupError("first")

    steps = (
        Step("s", target="Ident"),
        Step("a", handler="bad", after=("s",)),
        Step("b", target="Ident", after=("s",)),
        Step("j", target="Ident", after=("a", "b"), responder=True),
    )

    with pytest.raises(LookupError, match="first"):
        answer(flow(*steps, names={"bad": plain if kind == "sync" else awaiting}), 1)


def test_all_branches_of_many_bodies_and_nested_splits_are_merged() -> None:
    steps = (
        Step("s", target="Ident"),
        Step("a", target="AMark", after=("s",)),
        Step("b", target="Ident", after=("s",)),
        Step("b1", target="AMark", after=("b",)),
        Step("b2", target="Mark", after=("b",)),
        Step("m1", target="Merge", after=("b1", "b2")),
        Step("m", target="Merge", after=("a", "m1"), responder=True),
    )

    result = answer(flow(*steps), {})

    assert sorted(map(str, result)) == ["[{'marks': ['b1']}, {'marks': ['b2']}]", "{'marks': ['a']}"]


@pytest.mark.parametrize("ident", ["Ident", "AIdent"])
def test_a_merge_does_not_wait_for_a_branch_that_was_not_chosen(ident: str) -> None:
    steps = (
        Step("p", target="Pick"),
        Step("a", target=ident, after=("p",)),
        Step("b", target=ident, after=("p",)),
        Step("m", target="Merge", after=("a", "b"), responder=True),
    )
    topology = flow(*steps)

    assert answer(topology, {"to": ["b"]}) == [{"to": ["b"]}]
    assert len(answer(topology, {"to": ["a", "b"]})) == 2


def test_a_merge_does_not_wait_for_a_branch_that_dropped_its_event() -> None:
    steps = (
        Step("s", target="AIdent"),
        Step("a", handler="drop", after=("s",)),
        Step("b", target="Ident", after=("s",)),
        Step("m", target="Merge", after=("a", "b"), responder=True),
    )

    assert answer(flow(*steps, names={"drop": lambda body: DROP}), 1) == [1]


def test_a_merge_can_expect_another_number() -> None:
    steps = (
        *(Step(name, target="Ident") for name in "abc"),
        Step("m", target="Merge", args={"expected": 2}, after=("a", "b", "c"), responder=True),
    )

    assert answer(flow(*steps), 1) == [1, 1]


def test_a_merge_in_a_cycle_starts_afresh_each_time() -> None:
    class Again:
        def do(self, body: Any) -> Any:
            return body

        def select_outlets(self, body: Any) -> list[str]:
            return ["Complete"] if sum(part["n"] for part in body) >= 12 else ["s"]

    steps = (
        Step("s", handler="add", after=("g",), cycle_from=("g",)),
        Step("a", target="Ident", after=("s",)),
        Step("b", target="Ident", after=("s",)),
        Step("m", target="Merge", after=("a", "b")),
        Step("g", target="Again", after=("m",), responder=True),
    )

    def add(body: Any) -> Any:
        return {"n": body["n"] + 1} if isinstance(body, dict) else {"n": sum(part["n"] for part in body)}

    assert answer(flow(*steps, names={"Again": Again, "add": add}, allow_cyclic=True), {"n": 0}) == [{"n": 8}, {"n": 8}]


def test_an_error_of_a_merge_reaches_its_error_handler() -> None:
    class Bad:
        fnkit_power = "merge"

        def merge(self, bodies: list[object]) -> object:
            raise ValueError("cannot merge")

    steps = (
        *diamond("Ident")[:3],
        Step("j", target="Bad", after=("a", "b"), responder=True, on_error="h"),
        Step("h", target="RescueBody"),
    )

    assert answer(flow(*steps, names={"Bad": Bad}), 1) == {"rescued_body": [1, 1]}


def test_many_bodies_each_split_and_merge_by_themselves() -> None:
    steps = (
        Step("f", handler="f"),
        Step("a", target="AIdent", after=("f",)),
        Step("b", target="Ident", after=("f",)),
        Step("m", target="Merge", after=("a", "b")),
        Step("n", handler="note", after=("m",), responder=True),
    )
    seen: list[object] = []

    result = answer(flow(*steps, names={"f": Many, "note": noting(seen)}), [1, 2])

    assert result == [1, 1]
    assert seen == [[1, 1], [2, 2]]


def test_events_run_at_the_same_time() -> None:
    running: list[int] = []
    most: list[int] = []

    async def slow(body: object) -> object:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.01)
        running.pop()
        return body

    topology = flow(Step("a", handler="slow", responder=True), names={"slow": slow})

    async def work() -> list[object]:
        return await asyncio.gather(*(topology.run(Event(number)) for number in range(64)))

    assert execute(work()) == list(range(64))
    assert max(most) == 64


def test_a_limit_on_what_is_in_flight_makes_the_others_wait_their_turn() -> None:
    running: list[int] = []
    most: list[int] = []

    async def slow(body: object) -> object:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0)
        running.pop()
        if body == 3:
            raise ValueError("three")
        return body

    topology = flow(Step("a", handler="slow", responder=True), names={"slow": slow}, max_in_flight=2)

    async def work() -> list[object]:
        return await asyncio.gather(*(topology.run(Event(number)) for number in range(8)), return_exceptions=True)

    results = execute(work())

    assert [result for result in results if isinstance(result, int)] == [0, 1, 2, 4, 5, 6, 7]
    assert max(most) == 2


def test_one_who_gives_up_waiting_for_a_turn_takes_no_place() -> None:
    async def work() -> None:
        gates = Gates("a")
        topology = flow(Step("a", handler="a", responder=True), names=gates.names, max_in_flight=1)
        first = asyncio.ensure_future(topology.run(Event([1])))
        await until(lambda: gates.entered)
        second = asyncio.ensure_future(topology.run(Event([2])))
        await asyncio.sleep(0)
        second.cancel()
        gates.gates["a"].set()

        assert await first == [1, "a"]
        assert await topology.run(Event([3])) == [3, "a"]

    execute(work())


def test_cancelling_an_event_cancels_its_branches() -> None:
    async def work() -> None:
        gates = Gates("a", "b", "c")
        steps = (Step("s", target="Ident"), *(Step(name, handler=name, after=("s",), responder=name == "a") for name in "abc"))
        topology = flow(*steps, names=gates.names)
        run = asyncio.ensure_future(topology.run(Event([])))
        await until(lambda: len(gates.entered) == 3)

        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await topology.wait()

        assert sorted(gates.cancelled) == ["a", "b", "c"]

    execute(work())


def test_closing_a_flow_cancels_what_is_under_way() -> None:
    async def work() -> None:
        gates = Gates("side")
        steps = (Step("s", target="Ident", responder=True), Step("side", handler="side", after=("s",)))
        topology = flow(*steps, names=gates.names)
        assert await topology.run(Event([])) == []
        await until(lambda: gates.entered)

        await topology.close()

        assert gates.cancelled == ["side"]

    execute(work())


def test_a_client_that_still_waits_when_the_flow_is_closed_gets_an_error() -> None:
    async def work() -> None:
        gates = Gates("a", "b")
        steps = (
            Step("s", target="Ident"),
            *(Step(name, handler=name, after=("s",)) for name in "ab"),
            Step("j", target="Ident", after=("a", "b"), responder=True),
        )
        topology = flow(*steps, names=gates.names)
        run = asyncio.ensure_future(topology.run(Event([])))
        await until(lambda: len(gates.entered) == 2)

        await topology.close()

        with pytest.raises(GraphError, match="the flow has been closed"):
            await run

    execute(work())


def test_a_timeout_inside_a_branch_hits_only_this_branch() -> None:
    async def impatient(body: Any) -> Any:
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(30)
        except TimeoutError:
            return [*body, "timed out"]
        return body

    steps = (
        Step("s", target="Ident"),
        *(Step(name, handler="impatient", after=("s",)) for name in "ab"),
        Step("m", target="Merge", after=("a", "b"), responder=True),
    )

    assert answer(flow(*steps, names={"impatient": impatient}), []) == [["timed out"], ["timed out"]]


def test_processing_runs_everything_to_its_end_and_raises_the_first_error() -> None:
    async def work() -> None:
        gates = Gates("a", "b")
        steps = (Step("s", target="Ident"), *(Step(name, handler=name, after=("s",)) for name in "ab"))
        topology = flow(*steps, names=gates.names)
        run = asyncio.ensure_future(topology.process(Event([])))
        await until(lambda: len(gates.entered) == 2)
        gates.gates["a"].set()
        await until(lambda: gates.left)
        assert not run.done()
        gates.gates["b"].set()
        await run

    execute(work())
    with pytest.raises(OSError, match="fuse blown on x"):
        execute(flow(Step("f", target="Fuse")).process(Event("x")))


def test_a_step_that_holds_events_sends_them_on_later() -> None:
    class Batch:
        needs_loop = True

        def __init__(self) -> None:
            self.held: list[object] = []

        def attach(self, emit: Any) -> None:
            self.emit = emit

        def do(self, body: object) -> object:
            self.held.append(body)
            if len(self.held) == 2:
                self.emit(self.held)
                self.held = []
            return DROP

        def finish(self) -> object:
            return self.held or DROP

    seen: list[object] = []
    steps = (Step("b", target="Batch"), Step("n", handler="note", after=("b",)))
    topology = flow(*steps, names={"Batch": Batch, "note": seen.append})

    async def work() -> object:
        for number in range(3):
            await topology.run(Event(number))
            await topology.wait()
        return await topology.finish()

    assert execute(work()) is None
    assert seen == [[0, 1], [2]]


def test_finishing_returns_the_result_of_a_last_step() -> None:
    class Sum:
        total = 0

        def do(self, body: Any) -> object:
            self.total += body
            return DROP

        async def finish(self) -> object:
            return self.total

    topology = flow(Step("s", target="Sum"), names={"Sum": Sum})

    async def work() -> object:
        for number in range(4):
            await topology.run(Event(number))
        return await topology.finish()

    assert execute(work()) == 6
