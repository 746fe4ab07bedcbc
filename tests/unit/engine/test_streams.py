"""Generators anywhere in a graph: chunks, collectors, errors, backpressure and cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from fnkit.engine import Context, End, Event, Fault, Head, Response, Stream, drive, drive_iterator
from fnkit.engine.context import Logger
from fnkit.engine.response import Chunk
from fnkit.errors import StreamingError
from fnkit.manifest.model import Step
from tests.fakes.engine import answer, chain, execute, flow


class Tap:
    """Counts what it has produced, and notes how it ended."""

    def __init__(self, limit: int = 1000) -> None:
        self.limit = limit
        self.made = 0
        self.ended = ""

    def plain(self, body: Any) -> Iterator[int]:
        try:
            while self.made < self.limit:
                self.made += 1
                yield self.made
            self.ended = "finished"
        except GeneratorExit:
            self.ended = "closed"
            raise

    async def waiting(self, body: Any) -> AsyncIterator[int]:
        try:
            while self.made < self.limit:
                await asyncio.sleep(0)
                self.made += 1
                yield self.made
            self.ended = "finished"
        except (GeneratorExit, asyncio.CancelledError) as error:
            self.ended = "closed" if isinstance(error, GeneratorExit) else "cancelled"
            raise

    @property
    def names(self) -> dict[str, object]:
        return {"plain": self.plain, "waiting": self.waiting}


@pytest.mark.parametrize("target", ["Words", "AWords"])
def test_a_generator_streams_its_items(target: str) -> None:
    assert answer(flow(*chain(target)), "a b c") == ["a", "b", "c"]


@pytest.mark.parametrize("target", ["Words", "AWords"])
def test_steps_behind_a_generator_run_for_each_chunk(target: str) -> None:
    assert answer(flow(*chain("Ident", target, "Loud", "Loud")), "a b") == ["A!!", "B!!"]


def test_a_stream_without_chunks_is_an_empty_stream() -> None:
    assert answer(flow(*chain("Words", "Loud")), "") == []


def test_a_handler_function_can_be_a_generator() -> None:
    def count(body: int) -> Iterator[int]:
        yield from range(body)

    assert answer(flow(Step("a", handler="count", responder=True), names={"count": count}), 3) == [0, 1, 2]


def test_an_async_method_can_return_a_generator() -> None:
    async def later(body: int) -> Iterator[int]:
        await asyncio.sleep(0)
        return (number for number in range(body))

    assert answer(flow(Step("a", handler="later", responder=True), names={"later": later}), 3) == [0, 1, 2]


def test_chunks_are_handed_over_unchanged() -> None:
    items = [{"a": 1}, b"\x01", 5, None, [1, 2]]

    assert answer(flow(Step("a", handler="f", responder=True), names={"f": lambda body: (item for item in items)})) == items


def test_a_graph_of_sync_steps_streams_without_an_event_loop() -> None:
    topology = flow(*chain("Words", "Loud"))

    stream: Any = drive(topology.run(Event("a b")))

    assert not topology.needs_loop
    assert isinstance(stream, Stream)
    assert list(drive_iterator(stream)) == ["A!", "B!"]


def test_each_chunk_knows_its_stream_and_its_number() -> None:
    def look(event: Event) -> Event:
        event.body = (event.body, event.streaming_step, event.chunk_id, event.id)
        return event

    steps = (Step("w", target="Words"), Step("look", handler="look", full_event=True, after=("w",), responder=True))

    assert answer(flow(*steps, names={"look": look}), "a b", id="E") == [("a", "w", 0, "E"), ("b", "w", 1, "E")]


def test_a_full_event_generator_yields_events() -> None:
    def words(event: Event) -> Iterator[Event]:
        for word in event.body.split():  # type: ignore[attr-defined]  # the body is a text
            event.body = word
            yield event

    steps = (Step("w", handler="words", full_event=True), Step("l", target="Loud", after=("w",), responder=True))

    assert answer(flow(*steps, names={"words": words}), "a b") == ["A!", "B!"]


def test_a_result_path_gives_each_chunk_a_body_of_its_own() -> None:
    steps = (Step("w", target="Words", input_path="text", result_path="word", responder=True),)

    assert answer(flow(*steps), {"text": "a b"}) == [{"text": "a b", "word": "a"}, {"text": "a b", "word": "b"}]


def test_each_chunk_is_routed_by_itself() -> None:
    class Numbers:
        def do(self, body: int) -> Iterator[int]:
            yield from range(body)

        def select_outlets(self, chunk: int) -> list[str]:
            return ["odd" if chunk % 2 else "even"]

    steps = (
        Step("n", target="Numbers"),
        Step("even", handler="('e' + str(event))", after=("n",)),
        Step("odd", handler="('o' + str(event))", after=("n",)),
        Step("j", target="Ident", after=("even", "odd"), responder=True),
    )

    assert answer(flow(*steps, names={"Numbers": Numbers}), 4) == ["e0", "o1", "e2", "o3"]


@pytest.mark.parametrize("ident", ["Ident", "AIdent"])
def test_chunks_split_and_merge_one_after_the_other(ident: str) -> None:
    steps = (
        Step("w", target="Words"),
        Step("a", target=ident, after=("w",)),
        Step("b", target="Loud", after=("w",)),
        Step("m", target="Merge", after=("a", "b"), responder=True),
    )

    result = answer(flow(*steps), "x y")

    assert [sorted(pair) for pair in result] == [["X!", "x"], ["Y!", "y"]]


def test_streaming_is_decided_for_each_event() -> None:
    steps = (
        Step("p", target="PickOnly"),
        Step("words", handler="words", after=("p",)),
        Step("plain", target="Ident", after=("p",)),
        Step("out", target="Ident", after=("words", "plain"), responder=True),
    )
    topology = flow(*steps, names={"words": lambda body: (word for word in "ab")})

    assert answer(topology, {"to": ["words"]}) == ["a", "b"]
    assert answer(topology, {"to": ["plain"]}) == {"to": ["plain"]}


def test_chunks_that_are_routed_away_leave_an_empty_stream() -> None:
    class Away:
        def do(self, body: object) -> Iterator[int]:
            yield from range(3)

        def select_outlets(self, chunk: object) -> list[str]:
            return ["side"]

    seen: list[object] = []
    steps = (Step("a", target="Away", responder=True), Step("side", handler="note", after=("a",)))

    assert answer(flow(*steps, names={"Away": Away, "note": seen.append})) == []
    assert seen == [0, 1, 2]


def test_a_stream_beside_the_answer_is_run_to_its_end() -> None:
    tap = Tap(limit=5)
    seen: list[object] = []
    steps = (
        Step("s", target="Ident"),
        Step("t", handler="waiting", after=("s",)),
        Step("n", handler="note", after=("t",)),
        Step("r", target="Ident", after=("s",), responder=True),
    )

    assert answer(flow(*steps, names={**tap.names, "note": seen.append}), "b") == "b"
    assert seen == [1, 2, 3, 4, 5]
    assert tap.ended == "finished"


def test_a_stream_on_a_stream_is_refused_with_both_names() -> None:
    text = r"^Streaming on top of streaming is not allowed\. Step 's1' received a streaming event from 's0'\.$"
    with pytest.raises(StreamingError, match=text):
        answer(flow(*chain("Words", "Words")), "a b")


# --- collectors


@pytest.mark.parametrize("target", ["Words", "AWords"])
@pytest.mark.parametrize(("body", "collected"), [("a b", ["a", "b"]), ("a", "a"), ("", [])])
def test_a_collector_waits_for_the_stream(target: str, body: str, collected: object) -> None:
    assert answer(flow(*chain(target, "Collect")), body) == collected


@pytest.mark.parametrize("of_graph", [False, True])
@pytest.mark.parametrize("target", ["Words", "AWords"])
def test_a_handler_takes_the_error_of_a_stream_on_a_chunk(target: str, of_graph: bool) -> None:
    steps = (
        Step("w", target="Words"),
        Step("i", target="Ident", after=("w",)),
        Step("again", target=target, after=("i",), on_error="" if of_graph else "h"),
        Step("last", target="Ident", after=("again",), responder=True),
        Step("h", target="RescueBody"),
    )

    assert answer(flow(*steps, on_error="h" if of_graph else ""), "a b") == [{"rescued_body": "a"}, {"rescued_body": "b"}]


def guarded(target: str, **graph: Any) -> tuple[Step, ...]:
    """A stream of words through a fuse, whose errors a handler takes, to a collector and on to the client."""
    return (
        Step("w", target=target),
        Step("f", target="Fuse", args={"blow_on": "x"}, after=("w",), **graph),
        Step("c", target="Collect", after=("f",)),
        Step("last", target="Ident", after=("c", "h") if graph.get("shape") else ("c",), responder=True),
        Step("h", target="RescueBody"),
    )


@pytest.mark.parametrize("target", ["Words", "AWords"])
@pytest.mark.parametrize("where", [{"on_error": "h"}, {"on_error": "h", "shape": "before"}, {}])
def test_a_handler_of_errors_makes_no_stream_of_what_is_collected(target: str, where: dict[str, str]) -> None:
    of_graph: dict[str, Any] = {} if where else {"on_error": "h"}

    assert answer(flow(*guarded(target, **where), **of_graph), "a b c") == ["a", "b", "c"]


@pytest.mark.parametrize("target", ["Words", "AWords"])
@pytest.mark.parametrize("where", [{"on_error": "h"}, {"on_error": "h", "shape": "before"}, {}])
def test_what_a_handler_answers_for_a_chunk_is_the_answer_of_a_collected_stream(target: str, where: dict[str, str]) -> None:
    of_graph: dict[str, Any] = {} if where else {"on_error": "h"}
    topology = flow(*guarded(target, **where), **of_graph)

    assert answer(topology, "a x c") == {"rescued_body": "x"}
    assert answer(topology, "a b") == ["a", "b"]


def test_after_a_collector_streaming_is_allowed_again() -> None:
    steps = (
        Step("a", target="Words"),
        Step("c", target="Collect", after=("a",)),
        Step("r", handler='(" ".join(reversed(event)))', after=("c",)),
        Step("b", target="AWords", after=("r",), responder=True),
    )

    assert answer(flow(*steps), "a b c") == ["c", "b", "a"]


def test_an_event_that_is_no_chunk_passes_a_collector() -> None:
    assert answer(flow(*chain("Ident", "Collect")), {"a": 1}) == {"a": 1}


def test_an_error_of_the_generator_is_what_is_collected() -> None:
    steps = (Step("h", target="HalfWay", args={"ok_items": 2}), Step("c", target="Collect", after=("h",), responder=True))

    assert answer(flow(*steps), "q") == {"error": "LookupError: stopped half way"}


def test_a_stream_can_be_answered_and_collected_at_once() -> None:
    seen: list[object] = []
    steps = (
        Step("w", target="Words"),
        Step("out", target="Loud", after=("w",), responder=True),
        Step("c", target="Collect", after=("w",)),
        Step("n", handler="note", after=("c",)),
    )

    assert answer(flow(*steps, names={"note": seen.append}), "a b") == ["A!", "B!"]
    assert seen == [["a", "b"]]


def test_only_the_collectors_that_got_chunks_go_on() -> None:
    steps = (
        Step("w", handler="chunks"),
        Step("p", target="PickOnly", after=("w",)),
        Step("c1", target="Collect", after=("p",)),
        Step("c2", target="Collect", after=("p",)),
        Step("j", target="Ident", after=("c1", "c2"), responder=True),
    )

    result = answer(flow(*steps, names={"chunks": lambda body: ({"to": ["c2"], "n": n} for n in range(2))}))

    assert result == [{"to": ["c2"], "n": 0}, {"to": ["c2"], "n": 1}]


def test_chunks_do_not_count_as_iterations() -> None:
    steps = (Step("g", handler="ints"), Step("d", handler="(event * 2)", after=("g",), responder=True))
    names = {"ints": lambda body: (number for number in range(20_000))}

    assert len(answer(flow(*steps, names=names))) == 20_000
    assert answer(flow(*steps, names={"ints": lambda body: iter_six()}, allow_cyclic=True, max_iterations=5)) == [
        0,
        2,
        4,
        6,
        8,
        10,
    ]


def iter_six() -> Iterator[int]:
    yield from range(6)


def test_each_chunk_goes_round_a_cycle_by_itself() -> None:
    steps = (
        Step("g", handler="chunks"),
        Step("spin", target="Spin", after=("g", "spin"), cycle_from=("spin",), responder=True),
    )
    names = {"chunks": lambda body: ({"want": 3} for _ in range(40))}

    result = answer(flow(*steps, names=names, allow_cyclic=True, max_iterations=3))

    assert result == [{"want": 3, "turns": 3}] * 40


def test_a_stream_that_is_collected_can_be_made_again_in_a_cycle() -> None:
    class Until:
        def select_outlets(self, body: Any) -> list[str]:
            return ["Complete"] if len(body) >= 40 else ["w"]

    steps = (
        Step("w", handler="double", after=("u",), cycle_from=("u",)),
        Step("c", target="Collect", after=("w",)),
        Step("u", target="Until", after=("c",), responder=True),
    )
    names = {"Until": Until, "double": lambda body: (item for item in [*body, "x"])}

    assert len(answer(flow(*steps, names=names, allow_cyclic=True), ["a"])) == 40


# --- errors


def test_an_error_of_the_generator_ends_the_stream_and_reaches_no_handler() -> None:
    steps = (Step("h", target="HalfWay", args={"ok_items": 1}, responder=True), Step("e", target="Rescue", full_event=True))
    topology = flow(*steps, on_error="e")

    async def work() -> list[object]:
        stream: Any = await topology.run(Event("q"))
        got = [await stream.__anext__()]
        with pytest.raises(StreamingError, match=r"^LookupError: stopped half way$") as caught:
            await stream.__anext__()
        assert isinstance(caught.value.__cause__, LookupError)
        return got

    assert execute(work()) == ["q-0"]


def test_a_generator_that_fails_before_its_first_chunk_gives_a_stream_that_fails() -> None:
    topology = flow(Step("h", target="HalfWay", args={"ok_items": 0}, responder=True))

    async def work() -> None:
        stream: Any = await topology.run(Event("q"))
        with pytest.raises(StreamingError, match="LookupError"):
            await stream.__anext__()
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    execute(work())


def test_an_error_behind_the_generator_ends_the_stream_with_itself() -> None:
    tap = Tap()
    steps = (Step("t", handler="plain"), Step("f", target="Fuse", args={"blow_on": 3}, after=("t",), responder=True))
    topology = flow(*steps, names=tap.names)

    async def work() -> list[object]:
        stream: Any = await topology.run(Event())
        got = [await stream.__anext__(), await stream.__anext__()]
        with pytest.raises(OSError, match="fuse blown on 3"):
            await stream.__anext__()
        return got

    assert execute(work()) == [1, 2]
    assert tap.ended == "closed"


def test_an_error_behind_the_generator_on_the_first_chunk_is_raised_at_once() -> None:
    steps = (Step("t", handler="plain"), Step("f", target="Fuse", args={"blow_on": 1}, after=("t",), responder=True))

    with pytest.raises(OSError, match="fuse blown on 1"):
        answer(flow(*steps, names=Tap().names))


def test_an_error_handler_behind_the_generator_replaces_the_chunk() -> None:
    steps = (
        Step("t", handler="plain"),
        Step("f", target="Fuse", args={"blow_on": 2}, after=("t",), responder=True, on_error="h"),
        Step("h", handler="tell", full_event=True),
    )

    def tell(event: Event) -> Event:
        event.body = {"caught": str(event.error), "origin": event.origin_state}
        return event

    result = answer(flow(*steps, names={**Tap(limit=3).names, "tell": tell}))

    assert result == [1, {"caught": "fuse blown on 2", "origin": "f"}, 3]


# --- pull and cancel


@pytest.mark.parametrize("kind", ["plain", "waiting"])
def test_nothing_is_produced_before_it_is_asked_for(kind: str) -> None:
    tap = Tap()
    topology = flow(Step("t", handler=kind), Step("i", target="Ident", after=("t",), responder=True), names=tap.names)

    async def work() -> None:
        stream: Any = await topology.run(Event())
        assert tap.made == 1
        assert [await stream.__anext__() for _ in range(3)] == [1, 2, 3]
        assert tap.made == 3
        await stream.aclose()
        assert tap.ended == "closed"

    execute(work())


@pytest.mark.parametrize("kind", ["plain", "waiting"])
def test_closing_the_frames_closes_the_generator_at_once(kind: str) -> None:
    tap = Tap()
    topology = flow(Step("t", handler=kind, responder=True), names=tap.names)

    async def work() -> None:
        frames: Any = (await topology(Event())).frames()
        assert isinstance(await frames.__anext__(), Head)
        await frames.__anext__()
        await frames.aclose()

    execute(work())
    assert tap.ended == "closed"


def test_an_answer_whose_frames_were_never_asked_for_can_be_closed() -> None:
    tap = Tap()
    topology = flow(Step("t", handler="plain", responder=True), names=tap.names)

    async def work() -> None:
        await (await topology(Event())).aclose()

    execute(work())
    assert tap.ended == "closed"


def test_cancelling_a_consumer_that_waits_reaches_the_generator() -> None:
    ended: list[str] = []

    async def stuck(body: object) -> AsyncIterator[int]:
        yield 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    topology = flow(Step("t", handler="stuck", responder=True), names={"stuck": stuck})

    async def consume() -> None:
        stream: Any = await topology.run(Event())
        async for _ in stream:
            pass

    async def work() -> None:
        task = asyncio.ensure_future(consume())
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    execute(work())
    assert ended == ["cancelled"]


def test_a_stream_under_way_does_not_hold_up_other_events() -> None:
    tap = Tap()
    topology = flow(
        Step("p", target="PickOnly"),
        Step("t", handler="waiting", after=("p",)),
        Step("i", target="Ident", after=("p",)),
        Step("o", target="Ident", after=("t", "i"), responder=True),
        names=tap.names,
    )

    async def work() -> None:
        stream: Any = await topology.run(Event({"to": "t"}))
        assert await topology.run(Event({"to": "i"})) == {"to": "i"}
        assert await stream.__anext__() == 1
        await stream.aclose()

    execute(work())


def test_a_stream_holds_its_place_until_it_is_over() -> None:
    tap = Tap(limit=2)
    topology = flow(Step("t", handler="waiting", responder=True), names=tap.names, max_in_flight=1)

    async def work() -> None:
        first: Any = await topology.run(Event())
        second = asyncio.ensure_future(topology.run(Event()))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not second.done()
        assert [chunk async for chunk in first] == [1, 2]
        assert [chunk async for chunk in await second] == []  # type: ignore[attr-defined]  # a stream

    execute(work())


def test_an_error_while_a_left_generator_is_closed_is_logged_and_not_raised() -> None:
    lines: list[str] = []

    def stubborn(body: object) -> Iterator[int]:
        try:
            yield 1
        finally:
            raise OSError("cannot clean up")

    topology = flow(
        Step("t", handler="f", responder=True), names={"f": stubborn}, with_context=Context(logger=Logger(lines.append))
    )

    async def work() -> None:
        await (await topology(Event())).aclose()

    execute(work())
    assert lines == ["error t: closing the stream raised OSError: cannot clean up"]


# --- frames


def test_frames_are_head_chunks_and_end() -> None:
    async def work() -> list[object]:
        return [frame async for frame in (await flow(*chain("Words"))(Event("a b"))).frames()]

    assert execute(work()) == [Head(200, (("content-type", "text/plain"),)), Chunk(b"a"), Chunk(b"b"), End()]


def test_an_error_in_mid_stream_is_a_fault_frame_with_its_traceback() -> None:
    topology = flow(Step("h", target="HalfWay", args={"ok_items": 1}, responder=True))

    async def work() -> list[object]:
        return [frame async for frame in (await topology(Event("q"))).frames()]

    *before, fault = execute(work())

    assert before == [Head(200, (("content-type", "text/plain"),)), Chunk(b"q-0")]
    assert isinstance(fault, Fault)
    assert (fault.error_type, fault.message) == ("LookupError", "stopped half way")
    assert 'raise LookupError("stopped half way")' in fault.stack


def test_an_error_before_the_first_chunk_is_an_ordinary_error_answer() -> None:
    topology = flow(Step("h", target="HalfWay", args={"ok_items": 0}, responder=True))

    async def work() -> Any:
        return await topology(Event("q"))

    response = execute(work())

    assert (response.status, response.body) == (400, b"LookupError: stopped half way")


def test_a_whole_answer_is_one_chunk() -> None:
    async def work() -> list[object]:
        return [frame async for frame in (await flow(*chain("Ident"))(Event({"a": 1}))).frames()]

    assert execute(work()) == [Head(200, (("content-type", "application/json"),)), Chunk(b'{"a": 1}'), End()]


def test_a_response_in_a_stream_is_only_a_head_if_it_comes_first() -> None:
    def told(body: object) -> Iterator[object]:
        yield Response(body="first", status_code=201, headers={"x-k": "v"})
        yield "second"

    async def work() -> list[object]:
        topology = flow(Step("t", handler="told", responder=True), names={"told": told})
        return [frame async for frame in (await topology(Event())).frames()]

    assert execute(work()) == [
        Head(201, (("content-type", "text/plain"), ("x-k", "v"))),
        Chunk(b"first"),
        Chunk(b"second"),
        End(),
    ]
