"""A flow over several functions: remote steps, queues, and one step alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from fnkit.engine import DROP, Answer, Event, Many, compile_flow, drive, drive_iterator, load_step
from fnkit.errors import GraphError
from fnkit.manifest.model import Function, Manifest, Route, Step
from tests.fakes import engine as steps_of
from tests.fakes.engine import answer, context, flow, manifest

FUNCTIONS = (Function("g", "entry", ("a", "c")), Function("fb", "step", ("b",)))
SPLIT = (
    Step("a", target="Trail", function="g"),
    Step("b", target="Trail", after=("a",), function="fb"),
    Step("c", target="Trail", after=("b",), function="g", responder=True),
)


class Elsewhere:
    """Runs steps of other functions as their functions would."""

    needs_loop = False

    def __init__(self, graph: Manifest, step: Step) -> None:
        self.step = load_step(graph, step.name, namespaces=[vars(steps_of)], context=context())
        self.events: list[Event] = []

    async def __call__(self, event: Event) -> Answer:
        self.events.append(event)
        return await self.step(Event(event.body, id=event.id))


def over_functions(*steps: Step, functions: tuple[Function, ...] = FUNCTIONS, function: str = "g", **options: Any) -> Any:
    graph = manifest(*steps, functions=functions)
    return compile_flow(
        graph,
        function=function,
        namespaces=[vars(steps_of)],
        context=context(),
        remote=lambda step: Elsewhere(graph, step),
        **options,
    )


def test_steps_of_other_functions_are_called() -> None:
    topology = over_functions(*SPLIT)

    assert not topology.needs_loop
    assert answer(topology, []) == ["a", "b", "c"]
    assert set(topology.step_objects) == {"a", "b", "c"}
    assert topology.step_objects["b"] is None


def test_everything_runs_in_one_place_where_nothing_is_said() -> None:
    topology = compile_flow(manifest(*SPLIT, functions=FUNCTIONS), namespaces=[vars(steps_of)], context=context())

    assert answer(topology, []) == ["a", "b", "c"]


def test_a_remote_step_without_a_way_to_call_it_is_refused() -> None:
    with pytest.raises(GraphError, match="step 'b' runs in function 'fb', and nothing says how to call it"):
        compile_flow(manifest(*SPLIT, functions=FUNCTIONS), function="g", namespaces=[vars(steps_of)], context=context())


def test_branches_that_call_other_functions_need_an_event_loop_to_run_at_the_same_time() -> None:
    branches = (
        Step("a", target="Ident", function="g"),
        Step("b", target="Mark", after=("a",), function="fb"),
        Step("c", target="Mark", after=("a",), function="fb"),
        Step("m", target="Merge", after=("b", "c"), function="g", responder=True),
    )
    topology = over_functions(*branches)

    assert topology.needs_loop
    assert answer(topology, {}) == [{"marks": ["b"]}, {"marks": ["c"]}]


def test_a_remote_step_streams() -> None:
    words = (
        SPLIT[0],
        Step("b", target="AWords", after=("a",), function="fb"),
        Step("c", target="Loud", after=("b",), responder=True),
    )

    assert answer(over_functions(*words), ["x"]) == ["['X',!", "'A']!"]


def test_a_remote_step_chooses_its_outlets_for_chunks_and_events() -> None:
    picks = (
        Step("b", target="Pick", function="fb"),
        Step("l", target="Mark", after=("b",), function="g"),
        Step("r", target="Mark", after=("b",), function="g"),
        Step("j", target="Ident", after=("l", "r"), function="g", responder=True),
    )
    topology = over_functions(*picks)

    assert answer(topology, {"to": "r"})["marks"] == ["r"]
    assert answer(topology, {"to": ["l", "r"]})["marks"] == ["l"]
    with pytest.raises(ValueError, match="Invalid outlet 'zz' for 'b'"):
        answer(topology, {"to": ["zz"]})


def test_a_remote_error_reaches_the_error_handler_of_its_step() -> None:
    steps = (Step("b", target="Fuse", function="fb", responder=True, on_error="h"), Step("h", target="Rescue", full_event=True))

    assert answer(over_functions(*steps), "x")["rescued"] == "fuse blown on x"


def test_a_route_of_another_function_is_called_there() -> None:
    class Roads:
        def __init__(self, routes: Any) -> None:
            self.routes = routes

        async def do_event(self, event: Event) -> Event:
            event.body = [await self.routes[key](event) for key in sorted(self.routes)]
            return event

    class Far:
        needs_loop = False

        def __init__(self, step: Step) -> None:
            self.step = step

        async def __call__(self, event: Event) -> Answer:
            return Answer(f"{self.step.name} in {self.step.function}")

    routes = (
        Route("far", target="Trail", function="fb"),
        Route("near", handler="(1)"),
        Route("own", handler="(2)", function="g"),
    )
    graph = manifest(Step("r", kind="router", target="Roads", routes=routes, function="g", responder=True), functions=FUNCTIONS)
    topology = compile_flow(graph, function="g", namespaces=[{"Roads": Roads}], context=context(), remote=Far)

    assert answer(topology) == ["far in fb", 1, 2]


# --- queues

QUEUED_FUNCTIONS = (Function("g", "entry", ("A", "q")), Function("child", "child", ("B", "C")))
QUEUED = (
    Step("A", target="Trail"),
    Step("q", kind="queue", after=("A",), args={"path": "t"}),
    Step("B", target="Trail", after=("q",), function="child"),
    Step("C", target="Trail", after=("B",), function="child", responder=True),
)


class Queue:
    needs_loop = False

    def __init__(self) -> None:
        self.bodies: list[object] = []

    def __call__(self, step: Step) -> Any:
        async def write(event: Event) -> None:
            self.bodies.append((step.name, event.body))

        write.needs_loop = False  # type: ignore[attr-defined]  # says that it never waits
        return write


def test_a_queue_with_followers_passes_events_on_where_all_is_in_one_place() -> None:
    queue = Queue()

    assert answer(flow(*QUEUED, queue=queue), []) == ["A", "B", "C"]
    assert queue.bodies == []


def test_a_last_queue_is_written_to() -> None:
    queue = Queue()

    assert answer(flow(*QUEUED[:2], queue=queue), [], id="E") == {"id": "E"}
    assert queue.bodies == [("q", ["A"])]


def test_a_queue_that_responds_answers_what_it_was_given() -> None:
    queue = Queue()
    steps = (QUEUED[0], Step("q", kind="queue", after=("A",), responder=True))

    assert answer(flow(*steps, queue=queue), []) == ["A"]
    assert queue.bodies == [("q", ["A"])]


def test_the_entry_function_ends_at_the_queue() -> None:
    queue = Queue()
    topology = over_functions(*QUEUED, functions=QUEUED_FUNCTIONS, queue=queue)

    assert answer(topology, [], id="E") == {"id": "E"}
    assert queue.bodies == [("q", ["A"])]
    assert set(topology.step_objects) == {"A", "q"}


@pytest.mark.parametrize("name", ["", "g"])
def test_the_entry_function_may_be_left_unnamed(name: str) -> None:
    assert set(over_functions(*QUEUED, functions=QUEUED_FUNCTIONS, function=name).step_objects) == {"A", "q"}


def test_the_function_behind_the_queue_runs_only_what_lies_there() -> None:
    topology = over_functions(*QUEUED, functions=QUEUED_FUNCTIONS, function="child")

    assert answer(topology, []) == ["B", "C"]


def test_a_function_that_no_step_names_is_refused() -> None:
    with pytest.raises(GraphError, match=r"^did not find steps pointing to current function \(ghost\)$"):
        over_functions(*QUEUED, functions=QUEUED_FUNCTIONS, function="ghost")


# --- one step alone


def lone(step: Step, *others: Step, names: dict[str, object] | None = None) -> Any:
    return load_step(manifest(step, *others), step.name, namespaces=[{**vars(steps_of), **(names or {})}], context=context())


def run(step: Any, body: object) -> Answer:
    result = drive(step(Event(body)))
    assert isinstance(result, Answer)
    return result


def test_a_lone_step_answers_with_its_result() -> None:
    step = lone(Step("a", target="Trail"))

    assert not step.needs_loop
    assert run(step, []) == Answer(["a"], None)


def test_a_lone_step_knows_whether_it_waits() -> None:
    assert lone(Step("a", target="ATrail")).needs_loop


def test_a_lone_step_names_the_outlets_that_it_chose() -> None:
    step = lone(Step("a", target="Pick"), Step("l", target="Ident", after=("a",)), Step("r", target="Ident", after=("a",)))

    assert run(step, {"to": "r"}).outlets == ("r",)
    assert run(step, {"to": None}).outlets is None
    with pytest.raises(ValueError, match=r"Invalid outlet 'zz' for 'a'\. Allowed outlets are: l, r\."):
        run(step, {"to": "zz"})


def test_a_lone_responder_may_choose_complete() -> None:
    assert run(lone(Step("a", target="Pick", responder=True)), {"to": ["Complete"]}).outlets == ("Complete",)


def test_a_lone_step_streams_with_outlets_for_each_chunk() -> None:
    class Numbers:
        def do(self, body: int) -> Iterator[int]:
            yield from range(body)

        def select_outlets(self, chunk: int) -> list[str]:
            return ["odd" if chunk % 2 else "even"]

    step = lone(
        Step("n", target="Numbers"),
        Step("even", target="Ident", after=("n",)),
        Step("odd", target="Ident", after=("n",)),
        names={"Numbers": Numbers},
    )

    result = run(step, 2)

    assert result.streaming
    assert list(drive_iterator(result.value)) == [(0, ("even",)), (1, ("odd",))]  # type: ignore[arg-type]  # a stream


def test_closing_the_stream_of_a_lone_step_closes_its_generator() -> None:
    ended: list[str] = []

    def endless(body: object) -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append("closed")

    chunks: Any = run(lone(Step("n", handler="f"), names={"f": endless}), None).value
    drive(chunks.__anext__())
    drive(chunks.aclose())

    assert ended == ["closed"]


def test_a_lone_step_applies_its_paths_and_whole_events() -> None:
    def look(event: Event) -> Event:
        event.body = {"seen": event.body}
        return event

    assert run(lone(Step("a", handler="(event + 1)", input_path="x", result_path="y")), {"x": 1}).value == {"x": 1, "y": 2}
    assert run(lone(Step("a", handler="f", full_event=True), names={"f": look}), 1).value == {"seen": 1}
    with pytest.raises(TypeError, match="must return an event"):
        run(lone(Step("a", handler="(1)", full_event=True)), 1)


def test_a_lone_step_can_drop_and_multiply() -> None:
    assert run(lone(Step("a", handler="f"), names={"f": lambda body: DROP}), 1) == Answer(None, ())
    assert run(lone(Step("a", handler="f"), names={"f": Many}), [1, 2]) == Answer([1, 2], many=True)


def test_many_bodies_of_a_remote_step_go_on_one_by_one() -> None:
    class Each:
        needs_loop = False

        async def __call__(self, event: Event) -> Answer:
            return Answer([1, 2], many=True)

    seen: list[object] = []
    graph = manifest(
        Step("b", target="X", function="fb"), Step("n", handler="note", after=("b",), function="g"), functions=FUNCTIONS
    )
    topology = compile_flow(
        graph, function="g", namespaces=[{"note": seen.append}], context=context(), remote=lambda step: Each()
    )

    answer(topology)

    assert seen == [1, 2]


def test_a_step_that_gathers_cannot_run_alone() -> None:
    with pytest.raises(GraphError, match="cannot run in a function of its own"):
        lone(Step("a", target="Merge"))


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(GraphError, match="the graph has no step called 'zz'"):
        load_step(manifest(Step("a", target="Ident")), "zz", context=context())


def test_closing_the_answer_closes_the_stream_of_the_other_function() -> None:
    ended: list[str] = []

    class Far:
        needs_loop = True

        async def __call__(self, event: Event) -> Answer:
            return Answer(self.chunks(), streaming=True)

        async def chunks(self) -> AsyncIterator[tuple[object, None]]:
            try:
                while True:
                    yield "chunk", None
            finally:
                ended.append("closed")

    graph = manifest(Step("b", target="X", function="fb", responder=True), functions=FUNCTIONS)
    topology = compile_flow(graph, function="g", context=context(), remote=lambda step: Far())

    async def work() -> None:
        stream: Any = await topology.run(Event())
        assert await stream.__anext__() == "chunk"
        await stream.aclose()

    steps_of.execute(work())
    assert ended == ["closed"]
