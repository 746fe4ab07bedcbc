"""Compiled graphs: what goes beyond the observed cases, and what fnkit adds."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

import pytest

from fnkit.inference_graph.calls import CallFailed
from fnkit.inference_graph.decode import read_graph_json
from fnkit.inference_graph.flight import NoAnswer
from fnkit.inference_graph.graph import needs_loop
from fnkit.inference_graph.headers import propagation
from fnkit.inference_graph.nodes import draw_securely
from tests.fakes.graphs import FakeService, StreamingService, compiled, node, refused, run_once, step


class Pauses:
    """Notes pauses instead of making them."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


# Splitter


@pytest.mark.parametrize("weights", [(50, 30, 20), (99, 1), (1, 98, 1), (100,), (0, 100)])
def test_a_splitter_keeps_its_proportions(weights: tuple[int, ...]) -> None:
    draws = 20_000
    names = [f"s{at}" for at in range(len(weights))]
    services = {name: FakeService(name.encode()) for name in names}
    nodes = {"root": node("Splitter", *[step(name, weight=w) for name, w in zip(names, weights, strict=True)])}
    source = random.Random(20_26)

    async def scenario() -> Counter[bytes]:
        graph = compiled(nodes, services, draw=lambda: source.randrange(100))
        seen: Counter[bytes] = Counter()
        for _ in range(draws):
            body = (await graph.run(b"not json", ())).body
            assert isinstance(body, bytes)
            seen[body] += 1
        return seen

    seen = asyncio.run(scenario())

    for name, weight in zip(names, weights, strict=True):
        share = weight / 100
        bound = 4.5 * (draws * share * (1 - share)) ** 0.5  # about one run in 100,000 would be beyond it by chance
        assert abs(seen[name.encode()] - draws * share) <= bound


def test_the_default_source_gives_every_number_from_0_to_99_alike() -> None:
    draws = 20_000

    seen = Counter(draw_securely() for _ in range(draws))

    assert set(seen) == set(range(100))
    chi_square = sum((count - draws / 100) ** 2 / (draws / 100) for count in seen.values())
    assert chi_square < 180  # 99 degrees of freedom: beyond this once in a million runs


# Ensemble


def test_an_ensemble_runs_its_steps_at_the_same_time() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()
        services = {name: FakeService(b"{}", gate=gate) for name in "abc"}
        graph = compiled({"root": node("Ensemble", *map(step, "abc"))}, services)
        running = asyncio.create_task(graph.run(b"{}", ()))
        for service in services.values():
            await asyncio.wait_for(service.asked.wait(), 60)
        gate.set()

        assert (await running).body == b'{"0":{},"1":{},"2":{}}'

    asyncio.run(scenario())


def test_a_call_that_an_ensemble_gave_up_runs_on_until_the_graph_is_closed() -> None:
    async def scenario() -> None:
        slow = FakeService(b"{}", gate=asyncio.Event())
        graph = compiled({"root": node("Ensemble", step("slow"), step("bad"))}, {"slow": slow, "bad": FakeService(refused())})

        outcome = await graph.run(b"{}", ())

        assert (outcome.status, outcome.cause, slow.cancelled) == (500, "connection refused", 0)
        await graph.close()
        assert slow.cancelled == 1

    asyncio.run(scenario())


def test_calls_of_an_ensemble_that_end_and_fail_at_the_same_time_leave_nothing_unhandled() -> None:
    services = {"good": FakeService(b"{}"), "bad": FakeService(refused()), "worse": FakeService(b"[]")}
    unhandled: list[dict[str, Any]] = []

    async def scenario() -> str:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
        graph = compiled({"root": node("Ensemble", *map(step, services))}, services)
        return (await graph.run(b"{}", ())).cause

    assert asyncio.run(scenario())
    assert unhandled == []


def test_of_steps_that_fail_at_once_an_ensemble_tells_the_last() -> None:
    nodes = {
        "root": node("Ensemble", *[{"nodeName": name} for name in "abc"], step("good")),
        **{name: {"routerType": name.upper()} for name in "abc"},
    }

    assert run_once(nodes, {"good": FakeService(b"{}")}).cause == "invalid route type: C"


def test_a_cancelled_request_cancels_the_calls_of_its_ensemble() -> None:
    async def scenario() -> None:
        slow = FakeService(b"{}", gate=asyncio.Event())
        graph = compiled({"root": node("Ensemble", step("slow"))}, {"slow": slow})
        running = asyncio.create_task(graph.run(b"{}", ()))
        await asyncio.wait_for(slow.asked.wait(), 60)

        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await graph.close()

        assert slow.cancelled == 1

    asyncio.run(scenario())


def predictions(*values: object) -> bytes:
    return json.dumps({"predictions": values}).encode()


@pytest.mark.parametrize(
    ("merge", "answers", "merged"),
    [
        ("list", (b' {"a": 1}', b"[2]", b'"x"'), b'[{"a": 1},[2],"x"]'),
        ("vote", (predictions(1, 2), predictions(2, 2), predictions(2, 0)), b'{"predictions":[2,2]}'),
        ("vote", (predictions("cat"), predictions("dog")), b'{"predictions":["cat"]}'),
        ("mean", (predictions(1, [2, 4]), predictions(2, [4, 0])), b'{"predictions":[1.5,[3.0,2.0]]}'),
    ],
)
def test_answers_can_be_merged_in_other_ways(merge: str, answers: tuple[bytes, ...], merged: bytes) -> None:
    services = {str(at): FakeService(answer) for at, answer in enumerate(answers)}
    nodes = {"root": node("Ensemble", *map(step, services), fnkit={"merge": merge})}

    assert run_once(nodes, services).body == merged


@pytest.mark.parametrize(
    ("merge", "answers", "cause"),
    [
        ("vote", (b"[]", b"[]"), "has no list of predictions"),
        ("mean", (predictions(1), predictions(1, 2)), "made 2 predictions"),
        ("mean", (predictions("a"), predictions("b")), "no mean"),
        ("list", (b"text", b"{}"), "not JSON"),
    ],
)
def test_answers_that_do_not_fit_the_merge_fail_the_request(merge: str, answers: tuple[bytes, ...], cause: str) -> None:
    services = {str(at): FakeService(answer) for at, answer in enumerate(answers)}
    nodes = {"root": node("Ensemble", *map(step, services), fnkit={"merge": merge})}

    outcome = run_once(nodes, services)

    assert outcome.status == 500
    assert cause in outcome.cause


def test_the_fastest_successful_answer_wins_and_the_others_are_cancelled() -> None:
    async def scenario() -> None:
        services = {
            "slow": FakeService(b"slow", gate=asyncio.Event()),
            "bad": FakeService((503, b"bad")),
            "ok": FakeService(b"ok"),
        }
        graph = compiled({"root": node("Ensemble", *map(step, services), fnkit={"merge": "fastest"})}, services)

        outcome = await graph.run(b"{}", ())
        await graph.close()

        assert (outcome.status, outcome.body, services["slow"].cancelled) == (200, b"ok", 1)

    asyncio.run(scenario())


def test_without_a_successful_answer_the_fastest_is_the_last_failure() -> None:
    services = {"a": FakeService(refused()), "b": FakeService((503, b"bad"))}
    nodes = {"root": node("Ensemble", *map(step, services), fnkit={"merge": "fastest"})}

    outcome = run_once(nodes, services)

    assert outcome.status in (500, 503)


# Nesting


def test_a_cycle_without_an_end_is_a_failed_request() -> None:
    outcome = run_once({"root": node("Sequence", {"nodeName": "root"})}, {}, fnkit={"maxDepth": 700})

    assert (outcome.status, outcome.cause) == (500, "more than 700 nested nodes: a cycle has no condition that ends it")


def test_a_loop_may_go_round_thousands_of_times() -> None:
    rounds = 3000
    service = FakeService(*[b'{"more": 1}'] * rounds, b'{"done": 1}')
    loop = {"root": node("Sequence", step("s"), {"nodeName": "root", "condition": "more", "data": "$response"})}

    outcome = run_once(loop, {"s": service})

    assert (outcome.status, outcome.body, len(service.calls)) == (200, b'{"done": 1}', rounds + 1)


def test_a_switch_without_a_match_is_404_at_the_root_only() -> None:
    inner = {"pick": node("Switch", step("s", condition="no"))}

    assert run_once({"root": inner["pick"]}, {"s": FakeService(b"")}).status == 404
    assert run_once({"root": node("Sequence", {"nodeName": "pick"}), **inner}, {"s": FakeService(b"")}).status == 500


def test_a_sequence_without_steps_breaks_the_connection() -> None:
    with pytest.raises(NoAnswer):
        run_once({"root": node("Sequence")}, {})


@pytest.mark.parametrize(
    ("nodes", "needed"),
    [
        ({"root": node("Sequence", step("a"))}, False),
        ({"root": node("Switch", {"nodeName": "b", "condition": "x"}), "b": node("Splitter", step("a", weight=100))}, False),
        ({"root": node("Ensemble", step("a"))}, True),
        ({"root": node("Sequence", {"nodeName": "root"})}, True),
        ({"root": node("Sequence", step("a", fnkit={"timeoutMs": 5}))}, True),
    ],
)
def test_only_graphs_that_wait_for_several_things_need_a_loop(nodes: dict[str, Any], needed: bool) -> None:
    assert needs_loop(read_graph_json(json.dumps({"nodes": nodes}))) is needed


# What a step may ask for


def test_a_call_is_repeated_after_the_statuses_asked_for() -> None:
    service, pauses = FakeService((503, b""), refused(), b"ok"), Pauses()
    retry = {"attempts": 3, "backoffMs": 100}
    nodes = {"root": node("Sequence", step("s", fnkit={"retry": retry}))}

    outcome = run_once(nodes, {"s": service}, sleep=pauses, draw=lambda: 99)

    assert (outcome.status, outcome.body, len(service.calls)) == (200, b"ok", 3)
    assert pauses.seconds == pytest.approx([0.0995, 0.199])


def test_the_last_answer_counts_when_all_attempts_fail() -> None:
    service, pauses = FakeService((503, b"1"), (503, b"2")), Pauses()
    nodes = {"root": node("Sequence", step("s", fnkit={"retry": {"attempts": 2}}))}

    assert run_once(nodes, {"s": service}, sleep=pauses).body == b"2"


def test_a_status_that_was_not_asked_for_is_not_repeated() -> None:
    service, pauses = FakeService((404, b""), b"ok"), Pauses()
    nodes = {"root": node("Sequence", step("s", fnkit={"retry": {"attempts": 5}}))}

    assert run_once(nodes, {"s": service}, sleep=pauses).status == 404


def test_pauses_do_not_grow_beyond_their_limit() -> None:
    service, pauses = FakeService(refused()), Pauses()
    retry = {"attempts": 6, "backoffMs": 100, "maxBackoffMs": 300}
    nodes = {"root": node("Sequence", step("s", fnkit={"retry": retry}))}

    outcome = run_once(nodes, {"s": service}, sleep=pauses, draw=lambda: 0)

    assert outcome.cause == "connection refused"
    assert pauses.seconds == pytest.approx([0.05, 0.1, 0.15, 0.15, 0.15])


def test_a_step_has_a_time_limit_of_its_own() -> None:
    async def scenario() -> None:
        slow = FakeService(b"{}", gate=asyncio.Event())
        graph = compiled({"root": node("Sequence", step("s", name="slow", fnkit={"timeoutMs": 20}))}, {"s": slow})

        outcome = await graph.run(b"", ())

        assert outcome.cause == "step slow of node root: no answer within 20 ms"
        assert slow.cancelled == 1

    asyncio.run(scenario())


# Streaming


async def streamed(nodes: dict[str, Any], services: dict[str, Any], **fnkit: Any) -> list[bytes] | bytes:
    graph = compiled(nodes, services, fnkit=fnkit)
    outcome = await graph.run(b"{}", ())
    if isinstance(outcome.body, bytes):
        return outcome.body
    assert outcome.content_type == "text/event-stream"
    return [chunk async for chunk in outcome.body]


@pytest.mark.parametrize(
    "root",
    [
        node("Sequence", step("plain"), step("stream", data="$response")),
        node("Switch", step("stream", condition="@this")),
        node("Splitter", step("stream", weight=100)),
        node("Sequence", {"nodeName": "inner"}),
    ],
)
def test_an_answer_passes_through_as_it_comes_when_the_graph_asks_for_it(root: dict[str, Any]) -> None:
    service = StreamingService(b"a", b"b")
    nodes = {"root": root, "inner": node("Switch", step("stream", condition="@this"))}

    got = asyncio.run(streamed(nodes, {"stream": service, "plain": FakeService(b"{}")}, stream=True))

    assert got == [b"a", b"b"]


@pytest.mark.parametrize(
    ("root", "stream"),
    [
        (node("Sequence", step("stream")), False),
        (node("Sequence", step("stream"), step("plain")), True),
        (node("Ensemble", step("stream")), True),
    ],
)
def test_an_answer_is_read_whole_where_it_is_looked_at(root: dict[str, Any], stream: bool) -> None:
    service = StreamingService(b"{", b"}")

    asyncio.run(streamed({"root": root}, {"stream": service, "plain": FakeService(b"{}")}, stream=stream))

    assert service.asked == [False]


# Headers and traces


def test_the_trace_of_the_client_goes_on_with_new_spans() -> None:
    service = FakeService(b"{}")
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    sent = (("traceparent", f"00-{trace}-{span}-00"), ("tracestate", "v=1"), ("x-a", "1"))
    nodes = {"root": node("Sequence", step("s"), step("s"))}

    run_once(nodes, {"s": service}, headers=sent, fnkit={"traceContext": True}, propagate=propagation([""]))

    parents = [dict(headers)["Traceparent"] for headers in service.headers]
    assert all(parent.startswith(f"00-{trace}-") and parent.endswith("-00") for parent in parents)
    assert len({parent.split("-")[2] for parent in parents} | {span}) == 3
    assert dict(service.headers[0])["Tracestate"] == "v=1"
    assert dict(service.headers[0])["X-A"] == "1"


@pytest.mark.parametrize("given", ["", "00-zz", f"00-{'0' * 32}-{'1' * 16}-01", f"ff-{'1' * 32}-{'1' * 16}-01"])
def test_a_trace_that_is_none_begins_anew(given: str) -> None:
    service = FakeService(b"{}")

    run_once(
        {"root": node("Sequence", step("s"))}, {"s": service}, headers=(("traceparent", given),), fnkit={"traceContext": True}
    )

    version, trace, span, flags = dict(service.headers[0])["Traceparent"].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
    assert given == "" or trace not in given


def test_without_being_asked_no_trace_is_added() -> None:
    service = FakeService(b"{}")

    run_once({"root": node("Sequence", step("s"))}, {"s": service})

    assert service.headers == [()]


def test_an_observer_is_told_of_every_step() -> None:
    class Notes:
        def __init__(self) -> None:
            self.seen: list[tuple[str, str, int, str]] = []

        def step_done(self, node: str, step: str, target: str, *, status: int, seconds: float, cause: str) -> None:
            assert seconds >= 0
            self.seen.append((node, step, status, cause))

    notes = Notes()
    nodes = {"root": node("Sequence", step("ok", name="first"), {"nodeName": "in"}), "in": node("Sequence", step("bad"))}

    run_once(nodes, {"ok": FakeService((201, b"")), "bad": FakeService(CallFailed("down"))}, observer=notes)

    assert notes.seen == [("root", "first", 201, ""), ("in", "0", 0, "down"), ("root", "1", 0, "down")]


def test_a_service_name_that_leads_nowhere_fails_as_an_empty_url_does() -> None:
    outcome = run_once({"root": node("Sequence", step("nobody"))}, {})

    assert (outcome.status, outcome.cause) == (500, 'Post "": unsupported protocol scheme ""')
