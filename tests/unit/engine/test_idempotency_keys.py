"""The key that names one visit of one event to one step."""

from __future__ import annotations

from typing import Any

import pytest

from fnkit.engine import Event, drive
from fnkit.engine.answer import Answer
from fnkit.functions.envelope import read_call, render_call
from fnkit.manifest.model import Function, Step
from tests.fakes.engine import execute, flow


class Keys:
    """Notes the key of each visit; `a` makes it wait for an event loop."""

    seen: list[str]

    def __init__(self, name: str) -> None:
        self.name = name

    def do_event(self, event: Event) -> Event:
        self.seen.append(event.idempotency_key)
        return event


class AKeys(Keys):
    async def do_event(self, event: Event) -> Event:  # type: ignore[override]  # the engine takes either
        return super().do_event(event)


class Again:
    def do(self, body: int) -> int:
        return body + 1

    def select_outlets(self, body: int) -> list[str]:
        return ["k"] if body < 3 else ["end"]


class Join:
    fnkit_power = "merge"

    def merge(self, bodies: list[object]) -> object:
        return bodies


def keys_of(*steps: Step, body: object = 0, **options: Any) -> list[str]:
    """Run an event called `e` and return the keys that its steps have seen, sorted."""
    seen: list[str] = []
    names: dict[str, type] = {kind.__name__: kind for kind in (Again, Join)}
    names |= {kind.__name__: type(kind.__name__, (kind,), {"seen": seen}) for kind in (Keys, AKeys)}
    topology = flow(*steps, names=names, **options)

    async def work() -> None:
        value: Any = await topology.run(Event(body, id="e"))
        if hasattr(value, "__anext__"):
            async for _ in value:
                pass
        await topology.wait()

    execute(work()) if topology.needs_loop else drive(work())
    return sorted(seen)


@pytest.mark.parametrize("target", ["Keys", "AKeys"])
def test_branches_that_meet_in_a_step_are_visits_of_their_own(target: str) -> None:
    steps = (
        Step("a", target="Ident"),
        Step("b", target="Ident", after=("a",)),
        Step("c", target="Ident", after=("a",)),
        Step("k", target=target, after=("b", "c"), responder=True),
    )

    assert keys_of(*steps) == ["e:b/k/1", "e:c/k/1"]


@pytest.mark.parametrize("target", ["Keys", "AKeys"])
def test_after_a_merge_it_does_not_matter_which_branch_came_first(target: str) -> None:
    steps = (
        Step("a", target="Split"),
        Step("b", target="Ident", after=("a",)),
        Step("c", target="Ident", after=("a",)),
        Step("join", target="Join", after=("b", "c")),
        Step("k", target=target, after=("join",), responder=True),
    )

    assert keys_of(*steps) == ["e:a.0/k/1", "e:a.1/k/1"]


def test_chunks_are_told_apart() -> None:
    steps = (Step("t", target="Ticks"), Step("k", target="Keys", after=("t",), responder=True))

    assert keys_of(*steps) == ["e/k/t.0/1", "e/k/t.1/1"]


def test_the_rounds_of_a_cycle_are_counted() -> None:
    steps = (
        Step("k", target="Keys", after=("again",), cycle_from=("again",)),
        Step("again", target="Again", after=("k",)),
        Step("end", target="Ident", after=("again",), responder=True),
    )

    assert keys_of(*steps, allow_cyclic=True) == ["e/k/1", "e/k/2", "e/k/3"]


def test_a_step_of_another_function_is_called_with_the_key_that_it_would_have_here() -> None:
    steps = (
        Step("a", target="Ident"),
        Step("b", target="Ident", after=("a",)),
        Step("c", target="Ident", after=("a",)),
        Step("k", target="Keys", function="far", after=("b", "c"), responder=True),
    )
    received: list[str] = []

    class Far:
        needs_loop = False

        async def __call__(self, event: Event) -> Answer:
            _, there = read_call(render_call("k", event))
            received.append(there.idempotency_key)
            return Answer(event.body)

    functions = (Function("g", "entry"), Function("far", "child"))
    seen = keys_of(*steps, functions=functions, function="g", remote=lambda _step: Far())

    assert seen == []
    assert sorted(received) == ["e:b/k/1", "e:c/k/1"]


def test_the_calls_of_a_router_to_its_routes_are_named_after_both() -> None:
    event = Event(1, id="e")
    event.visit = "e/router/1"

    keys = [read_call(render_call(route, event))[1].idempotency_key for route in ("m1", "m2", "m1")]

    assert keys == ["e/router/1/m1/1", "e/router/1/m2/1", "e/router/1/m1/2"]


def test_outside_of_a_graph_the_key_is_the_id() -> None:
    assert Event(id="e").idempotency_key == "e"
