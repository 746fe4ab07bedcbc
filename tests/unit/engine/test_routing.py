"""`select_outlets`, choices, cycles and their limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fnkit.engine import DROP, Event, Many, Response
from fnkit.manifest.model import Step
from tests.fakes.engine import answer, execute, flow, wire


def branches(target: str, **options: Any) -> tuple[Step, ...]:
    """One step that routes to l and r, which join in a responder."""
    return (
        Step("p", target=target, **options),
        Step("l", target="Mark", after=("p",)),
        Step("r", target="Mark", after=("p",)),
        Step("j", target="Ident", after=("l", "r"), responder=True),
    )


@pytest.mark.parametrize("target", ["Pick", "PickOnly"])
@pytest.mark.parametrize("to", [["r"], ("r",), {"r"}, "r"])
def test_one_name_routes_there(target: str, to: object) -> None:
    assert answer(flow(*branches(target)), {"to": to})["marks"] == ["r"]


@pytest.mark.parametrize("target", ["Pick", "PickOnly"])
def test_several_names_fan_out_and_the_first_named_answers_first(target: str) -> None:
    assert answer(flow(*branches(target)), {"to": ["r", "l"]}) == {"to": ["r", "l"], "marks": ["r"]}
    assert answer(flow(*branches(target)), {"to": ["l", "r"]}) == {"to": ["l", "r"], "marks": ["l"]}


def test_a_long_string_is_one_name() -> None:
    topology = flow(Step("p", target="Pick"), Step("left", target="Mark", after=("p",), responder=True))

    assert answer(topology, {"to": "left"})["marks"] == ["left"]


@pytest.mark.parametrize("target", ["Pick", "PickOnly"])
def test_an_unknown_name_is_an_error_that_lists_the_outlets(target: str) -> None:
    with pytest.raises(ValueError, match=r"^Invalid outlet 'zz' for 'p'\. Allowed outlets are: l, r\.$"):
        answer(flow(*branches(target)), {"to": ["zz"]})


@pytest.mark.parametrize("target", ["Pick", "PickOnly"])
def test_a_name_given_twice_is_an_error(target: str) -> None:
    text = r"^Invalid outlet selection for 'p': duplicate outlet names were provided \(l, l\)\.$"
    with pytest.raises(ValueError, match=text):
        answer(flow(*branches(target)), {"to": ["l", "l"]})


def test_complete_is_no_outlet_of_a_step_that_does_not_respond() -> None:
    with pytest.raises(ValueError, match="Invalid outlet 'Complete' for 'p'"):
        answer(flow(*branches("Pick")), {"to": ["Complete"]})


@pytest.mark.parametrize("to", [None, [], ()])
def test_a_plain_class_that_selects_nothing_sends_to_all(to: object) -> None:
    assert answer(flow(*branches("Pick")), {"to": to})["marks"] == ["l"]


def test_a_choice_that_returns_none_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"^'NoneType' object is not iterable$"):
        answer(flow(*branches("PickOnly")), {"to": None})


def test_a_choice_that_selects_nothing_drops_the_event_and_answers_204() -> None:
    assert answer(flow(*branches("PickOnly")), {"to": []}) == Response(status_code=204)
    assert wire(flow(*branches("PickOnly")), {"to": []})[0] == 204


def test_a_number_is_no_selection() -> None:
    with pytest.raises(TypeError, match=r"^'int' object is not iterable$"):
        answer(flow(*branches("Pick")), {"to": 3})


def test_a_choice_with_full_event_sees_the_event() -> None:
    class ByPath:
        def select_outlets(self, event: Any) -> list[str]:
            return [event.path.strip("/")]

    topology = flow(*branches("ByPath", full_event=True), names={"ByPath": ByPath})

    assert answer(topology, {}, path="/r")["marks"] == ["r"]


def test_select_outlets_of_a_full_event_step_sees_the_body() -> None:
    class Both:
        def do(self, event: Any) -> Any:
            event.body = {**event.body, "to": ["r"]}
            return event

        def select_outlets(self, body: Any) -> Any:
            return body["to"]

    assert answer(flow(*branches("Both", full_event=True), names={"Both": Both}), {})["marks"] == ["r"]


def test_an_error_of_a_choice_reaches_its_error_handler_with_the_body_on_entry() -> None:
    steps = (*branches("Pick", on_error="h"), Step("h", target="Rescue", full_event=True))

    assert answer(flow(*steps), {"to": ["zz"]}) == {
        "rescued": "Invalid outlet 'zz' for 'p'. Allowed outlets are: l, r.",
        "kind": "ValueError",
        "from": "p",
        "was": {"to": ["zz"]},
    }


def test_dropping_an_event_answers_204() -> None:
    topology = flow(
        Step("f", handler="f"),
        Step("g", target="Ident", after=("f",), responder=True),
        names={"f": lambda b: b if b > 0 else DROP},
    )

    assert answer(topology, 3) == 3
    assert answer(topology, -3) == Response(status_code=204)


def test_each_of_many_goes_on_and_the_first_answers() -> None:
    seen: list[object] = []
    steps = (
        Step("f", handler="f"),
        Step("n", handler="note", after=("f",)),
        Step("g", handler="(event * 2)", after=("n",), responder=True),
    )

    def note(body: object) -> object:
        seen.append(body)
        return body

    topology = flow(*steps, names={"f": Many, "note": note})

    assert answer(topology, [1, 2, 3]) == 2
    assert seen == [1, 2, 3]
    assert answer(topology, [9]) == 18
    assert answer(topology, []) == Response(status_code=204)


# --- cycles


def spinning(target: str = "Spin", **options: Any) -> Any:
    return flow(Step("spin", target=target, after=("spin",), cycle_from=("spin",), responder=True), allow_cyclic=True, **options)


@pytest.mark.parametrize("target", ["Spin", "ASpin"])
def test_a_cycle_may_turn_a_hundred_times_by_default(target: str) -> None:
    topology = spinning(target)

    assert answer(topology, {"want": 100}) == {"want": 100, "turns": 100}
    with pytest.raises(RuntimeError, match=r"^Max iterations exceeded in step 'spin' for event E1$"):
        answer(topology, {"want": 101}, id="E1")
    assert answer(topology, {"want": 2})["turns"] == 2


def test_a_long_cycle_overflows_no_stack() -> None:
    assert answer(spinning(max_iterations=20_000), {"want": 20_000})["turns"] == 20_000


def draft(**limits: Any) -> Any:
    graph_limit = limits.pop("graph", None)
    steps = (
        Step("draft", handler="draft", after=("gate",), cycle_from=("gate",), max_iterations=limits.get("draft")),
        Step("review", handler="review", after=("draft",), max_iterations=limits.get("review")),
        Step("gate", target="Gate", after=("review",)),
        Step("publish", target="Ident", after=("gate",), responder=True),
    )

    class Gate:
        def select_outlets(self, body: Any) -> list[str]:
            return ["publish"] if body["drafts"] >= body["need"] else ["draft"]

    def write(body: Any) -> Any:
        return {**body, "drafts": body.get("drafts", 0) + 1}

    return flow(*steps, names={"Gate": Gate, "draft": write, "review": dict}, allow_cyclic=True, max_iterations=graph_limit)


def test_the_limit_of_a_step_goes_before_the_limit_of_the_graph() -> None:
    topology = draft(draft=3, graph=100)

    assert answer(topology, {"need": 3})["drafts"] == 3
    with pytest.raises(RuntimeError, match=r"^Max iterations exceeded in step 'draft' for event E1$"):
        answer(topology, {"need": 4}, id="E1")
    assert answer(topology, {"need": 2})["drafts"] == 2


def test_the_first_step_to_be_entered_too_often_is_named() -> None:
    with pytest.raises(RuntimeError, match="in step 'draft' for event"):
        answer(draft(graph=2), {"need": 3})
    with pytest.raises(RuntimeError, match="in step 'review' for event"):
        answer(draft(draft=10, graph=2), {"need": 3})


def test_too_many_iterations_reach_the_error_handler_with_the_body_on_entry() -> None:
    steps = (
        Step("spin", target="Spin", after=("spin",), cycle_from=("spin",), responder=True, max_iterations=2),
        Step("h", target="Rescue", full_event=True),
    )

    result = answer(flow(*steps, allow_cyclic=True, on_error="h"), {"want": 3}, id="E1")

    assert result == {
        "rescued": "Max iterations exceeded in step 'spin' for event E1",
        "kind": "RuntimeError",
        "from": "spin",
        "was": {"want": 3, "turns": 2},
    }


def test_a_loop_through_an_error_handler_has_the_default_limit_and_its_text() -> None:
    steps = (
        Step("s", target="Ident"),
        Step("a", target="Fuse", after=("s", "h"), responder=True, on_error="h"),
        Step("h", target="Ident"),
    )

    with pytest.raises(
        RuntimeError, match=r"^Step 'h' exceeded the default cycle limit of 10000 iterations for event E1\. This typically"
    ):
        answer(flow(*steps), "x", id="E1")


def test_events_in_a_cycle_do_not_share_their_counters() -> None:

    topology = spinning("ASpin", max_iterations=3)

    async def work() -> Any:
        return await asyncio.gather(*(topology.run(Event({"want": 3})) for _ in range(10)))

    assert all(result["turns"] == 3 for result in execute(work()))


def test_select_outlets_may_wait() -> None:
    class Later:
        async def select_outlets(self, body: Any) -> Any:
            await asyncio.sleep(0)
            return body["to"]

    class Chunks:
        def do(self, body: Any) -> Any:
            return ({"to": to} for to in body["all"])

        async def select_outlets(self, body: Any) -> Any:
            return [body["to"]]

    topology = flow(*branches("Later"), names={"Later": Later})

    assert topology.needs_loop
    assert answer(topology, {"to": ["r"]})["marks"] == ["r"]
    assert answer(topology, {"to": "l"})["marks"] == ["l"]
    assert [chunk["marks"] for chunk in answer(flow(*branches("Chunks"), names={"Chunks": Chunks}), {"all": "lr"})] == [
        ["l"],
        ["r"],
    ]
