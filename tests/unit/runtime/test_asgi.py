"""A function as an ASGI application: its requests, its limits, and clients that leave."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from fnkit.engine.answer import Answer
from fnkit.engine.event import Event
from fnkit.engine.response import WireResponse
from fnkit.errors import ManifestError, UsageError
from fnkit.functions.frames import FrameReader, StepChunk, StepHead
from fnkit.manifest import Function
from fnkit.runtime.asgi import Limits, load
from fnkit.runtime.invocation import Failure
from fnkit.runtime.logs import Log
from fnkit.runtime.step_calls import StepCalls
from tests.fakes.asgi import PATIENCE_S, Exchange, host, streamed, text


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


async def echo(event: Event) -> WireResponse:
    assert isinstance(event.body, bytes)
    return text(f"{event.method} {event.path} {event.body.decode()}")


@pytest.mark.parametrize("needs_loop", [False, True], ids=["threads", "loop"])
def test_a_request_becomes_an_event_and_its_answer_a_response(needs_loop: bool) -> None:
    async def answer(event: Event) -> WireResponse:
        said = [event.query, event.query_string, event.headers["cookie"], event.headers["x-a"], event.content_type]  # type: ignore[attr-defined]  # of the host
        return WireResponse(201, (("X-Kind", "tea"), ("Content-Length", "9")), f"{event.body!r} {said}".encode(), ("a=1", "b=2"))

    async def scenario() -> None:
        headers = {"Content-Type": "text/x", "X-A": "1", "cookie": "c=3", "connection": "close"}
        sent = Exchange(host(answer, needs_loop=needs_loop), [b"one ", b"two"], query="p=1&p=2&q=", headers=headers)
        done = await sent.finished()

        assert done.status == 201
        assert done.body == b"b'one two' [{'p': '1,2', 'q': ''}, 'p=1&p=2&q=', 'c=3', '1', 'text/x']"
        assert done.headers["x-kind"] == "tea"
        assert done.headers["content-length"] == str(len(done.body))
        cookies = [value for name, value in done.sent[0]["headers"] if name == b"set-cookie"]
        assert cookies == [b"a=1", b"b=2"]

    run(scenario())


@pytest.mark.parametrize("needs_loop", [False, True], ids=["threads", "loop"])
def test_a_head_request_gets_no_body_and_its_stream_is_closed(needs_loop: bool) -> None:
    closed = threading.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.set()

    async def answer(_: Event) -> WireResponse:
        stream = pieces()
        await anext(stream)
        return streamed(stream)

    async def scenario() -> None:
        done = await Exchange(host(answer, needs_loop=needs_loop), method="HEAD").finished()

        assert (done.status, done.body, done.complete) == (200, b"", True)
        assert await asyncio.to_thread(closed.wait, PATIENCE_S)  # by the thread that ran it, in its own time

    run(scenario())


@pytest.mark.parametrize("needs_loop", [False, True], ids=["threads", "loop"])
def test_a_stream_that_fails_ends_without_its_end(needs_loop: bool, capsys: pytest.CaptureFixture[str]) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("broken")

    async def answer(_: Event) -> WireResponse:
        return streamed(pieces())

    async def scenario() -> None:
        done = await Exchange(host(answer, needs_loop=needs_loop)).finished()

        assert (done.status, done.body, done.complete) == (200, b"one", False)

    run(scenario())
    assert "[ERROR] ValueError: broken" in capsys.readouterr().err


def test_a_thread_is_at_most_a_window_ahead_of_its_client() -> None:
    made: list[int] = []
    first = threading.Event()

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            made.append(number)
            first.set()
            yield bytes(64 * 1024)

    async def answer(_: Event) -> WireResponse:
        return streamed(pieces())

    async def scenario() -> None:
        sent = Exchange(host(answer))
        sent.taking.clear()
        assert await asyncio.to_thread(first.wait, PATIENCE_S)
        sent.leave()
        await sent.finished()

        assert made == [0]

    run(scenario())


def test_a_client_that_leaves_ends_a_loop_in_a_thread() -> None:
    closed = threading.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            while True:  # never yields again, and never waits
                pass
        finally:
            closed.set()

    async def answer(_: Event) -> WireResponse:
        return streamed(pieces())

    async def scenario() -> None:
        sent = Exchange(host(answer))
        await sent.begun()
        sent.leave()
        await sent.finished()

        assert await asyncio.to_thread(closed.wait, PATIENCE_S)

    run(scenario())


def test_a_client_that_leaves_before_the_answer_ends_the_step() -> None:
    started, ended = threading.Event(), threading.Event()

    async def answer(_: Event) -> WireResponse:
        started.set()
        try:
            while True:
                pass
        finally:
            ended.set()

    async def scenario() -> None:
        sent = Exchange(host(answer))
        assert await asyncio.to_thread(started.wait, PATIENCE_S)
        sent.leave()
        await sent.finished()

        assert await asyncio.to_thread(ended.wait, PATIENCE_S)
        assert sent.sent == []

    run(scenario())


def test_a_client_that_leaves_cancels_what_waits_in_the_loop() -> None:
    closed = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def answer(_: Event) -> WireResponse:
        return streamed(pieces())

    async def scenario() -> None:
        sent = Exchange(host(answer, needs_loop=True))
        await sent.begun()
        sent.leave()
        await sent.finished()

        assert closed.is_set()

    run(scenario())


def test_a_thread_that_cannot_be_interrupted_is_left_behind() -> None:
    started, stuck = threading.Event(), threading.Event()

    async def answer(event: Event) -> WireResponse:
        if event.path == "/stuck":
            started.set()
            stuck.wait()
        return text("free")

    async def scenario() -> None:
        app = host(answer, limits=Limits(concurrency=1, stuck=1))
        sent = Exchange(app, path="/stuck")
        assert await asyncio.to_thread(started.wait, PATIENCE_S)
        sent.leave()
        await sent.finished()

        assert (await Exchange(app).finished()).body == b"free"
        live = await Exchange(app, path="/_fnkit/live").finished()
        assert (live.status, live.body) == (503, b"1 steps wait for what nobody wants any more")

    try:
        run(scenario())
    finally:
        stuck.set()


@pytest.mark.parametrize("needs_loop", [False, True], ids=["threads", "loop"])
def test_an_answer_that_takes_too_long_is_given_up(needs_loop: bool) -> None:
    async def answer(_: Event) -> WireResponse:
        while True:
            if needs_loop:
                await asyncio.Event().wait()

    async def scenario() -> None:
        done = await Exchange(host(answer, needs_loop=needs_loop, limits=Limits(timeout_s=0.05))).finished()

        assert (done.status, done.body) == (504, b"the answer took longer than 0.05 s")

    run(scenario())


def test_a_stream_that_takes_too_long_is_cut_off() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.Event().wait()

    async def answer(_: Event) -> WireResponse:
        return streamed(pieces())

    async def scenario() -> None:
        done = await Exchange(host(answer, needs_loop=True, limits=Limits(timeout_s=0.2))).finished()

        assert (done.status, done.body, done.complete) == (200, b"one", False)

    run(scenario())


@pytest.mark.parametrize("needs_loop", [False, True], ids=["threads", "loop"])
def test_requests_wait_for_their_turn_and_too_many_are_refused(needs_loop: bool) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        begun, go_on, running = asyncio.Event(), threading.Event(), []

        async def answer(event: Event) -> WireResponse:
            running.append(event.path)
            loop.call_soon_threadsafe(begun.set)
            if needs_loop:
                await asyncio.to_thread(go_on.wait, PATIENCE_S)
            else:
                go_on.wait(PATIENCE_S)
            return text(event.path)

        app = host(answer, needs_loop=needs_loop, limits=Limits(concurrency=1, waiting=1))
        first = Exchange(app, path="/first")
        await asyncio.wait_for(begun.wait(), PATIENCE_S)
        second = Exchange(app, path="/second")
        third = await Exchange(app, path="/third").finished()
        assert (third.status, running) == (503, ["/first"])

        go_on.set()
        assert [(await one.finished()).body for one in (first, second)] == [b"/first", b"/second"]

    run(scenario())


def test_as_many_requests_run_at_once_as_the_function_takes() -> None:
    async def scenario() -> None:
        together = threading.Barrier(3)

        async def answer(_: Event) -> WireResponse:
            together.wait(PATIENCE_S)
            return text("met")

        app = host(answer, limits=Limits(concurrency=3))
        done = [await one.finished() for one in [Exchange(app) for _ in range(3)]]

        assert [one.body for one in done] == [b"met"] * 3

    run(scenario())


def test_a_body_that_is_too_large_is_refused() -> None:
    async def scenario() -> None:
        done = await Exchange(host(echo, limits=Limits(body=5)), [b"123", b"456", b"789"]).finished()

        assert (done.status, done.body) == (413, b"the body of a request may have 5 bytes")

    run(scenario())


def test_probes_are_answered_below_a_path_of_our_own_only() -> None:
    async def scenario() -> None:
        app = host(echo)
        for path in ("/_fnkit/live", "/_fnkit/ready"):
            assert (await Exchange(app, method="GET", path=path).finished()).status == 200
        assert (await Exchange(app, method="GET", path="/_fnkit/other").finished()).status == 404
        assert (await Exchange(app, method="GET", path="/healthz").finished()).body == b"GET /healthz "
        kubelet = {"user-agent": "kube-probe/1.31"}
        assert (await Exchange(app, method="GET", path="/healthz", headers=kubelet).finished()).body == b"ok"

    run(scenario())


def test_a_server_that_ends_is_alive_but_not_ready() -> None:
    async def scenario() -> None:
        app = host(echo)
        messages, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], []

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": "lifespan"}, receive, send)

        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        found = {
            path: (await Exchange(app, method="GET", path=f"/_fnkit/{path}").finished()).status for path in ("live", "ready")
        }
        assert found == {"live": 200, "ready": 503}

    run(scenario())


def step_calls() -> StepCalls:
    class Double:
        needs_loop = False

        async def __call__(self, event: Event) -> Answer:
            assert isinstance(event.body, int)
            return Answer(event.body * 2, None)

    return StepCalls(lambda _: Double(), ("double",), Log({}))


def test_a_step_is_called_by_the_envelope_of_another_function() -> None:
    async def scenario() -> None:
        call = b'{"fnkit": {"step": "double", "key": "k", "event": {"id": "e", "body": 21}}}'
        app = host(None, steps=step_calls())
        done = await Exchange(app, call, path="/_fnkit/steps").finished()

        frames = list(FrameReader().feed(done.body))
        assert done.status == 200
        assert isinstance(frames[0], StepHead)
        assert isinstance(frames[1], StepChunk)
        assert b"42" in frames[1].body

    run(scenario())


def test_what_is_no_call_of_its_step_is_refused() -> None:
    async def scenario() -> None:
        app = host(None, steps=step_calls())
        other = b'{"fnkit": {"step": "other", "key": "k", "event": {"id": "e", "body": 1}}}'

        no_call = await Exchange(app, b'{"a": 1}', path="/_fnkit/steps").finished()
        unknown = await Exchange(app, other, path="/_fnkit/steps").finished()
        request = await Exchange(app, b"x").finished()

        assert (no_call.status, unknown.status, request.status) == (400, 500, 404)
        assert unknown.headers["fnkit-failure"] == "1"
        assert b"does not run a step called 'other'" in unknown.body
        assert b"call the entry function instead" in request.body

    run(scenario())


def test_clients_of_the_entry_function_cannot_call_its_steps() -> None:
    async def scenario() -> None:
        done = await Exchange(host(echo), b'{"fnkit": {"step": "a", "event": {}}}', path="/_fnkit/steps").finished()

        assert done.status == 404

    run(scenario())


@pytest.mark.parametrize("needs_loop", [False, True], ids=["threads", "loop"])
def test_a_step_that_ends_the_process_fails_its_own_request_only(needs_loop: bool) -> None:
    async def answer(event: Event) -> WireResponse:
        if event.path == "/exit":
            sys.exit(7)
        return text("here")

    async def scenario() -> None:
        app = host(answer, needs_loop=needs_loop)

        assert (await Exchange(app, path="/exit").finished()).status == 500
        assert (await Exchange(app).finished()).body == b"here"

    run(scenario())


def test_the_trace_of_a_caller_goes_on() -> None:
    async def answer(event: Event) -> WireResponse:
        return text(event.headers["x-amzn-trace-id"])

    async def scenario() -> None:
        app = host(answer)
        own = await Exchange(app, headers={"x-amzn-trace-id": "Root=1-a-b"}).finished()
        other = await Exchange(app, headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}).finished()
        new = await Exchange(app).finished()

        assert own.body == b"Root=1-a-b"
        assert other.body == b"Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
        assert new.body.startswith(b"Root=1-")

    run(scenario())


KAFKA = {
    "ce-specversion": "1.0",
    "ce-type": "dev.knative.kafka.event",
    "ce-source": "/apis/v1/namespaces/models/kafkasources/orders#topic",
    "ce-id": "partition:3/offset:167",
    "ce-subject": "partition:3#167",
    "ce-time": "2022-03-31T22:19:36.499Z",
    "ce-key": "caf%C3%A9",
    "ce-kafkaheaderlang": "en",
    "traceparent": "00-1-2-01",
}


@pytest.mark.parametrize("needs_loop", [False, True], ids=["threads", "loop"])
def test_a_message_that_a_kafka_source_posts_is_an_event_of_the_queue(needs_loop: bool) -> None:
    found: list[Event] = []

    async def answer(event: Event) -> WireResponse:
        found.append(event)
        return text("")

    async def scenario() -> None:
        app = host(answer, needs_loop=needs_loop, internal=True)
        done = await Exchange(app, b"\x00value", path="/_fnkit/events", headers=KAFKA).finished()

        assert (done.status, done.body) == (200, b"")

    run(scenario())
    (event,) = found
    assert (event.body, event.key, event.offset, event.time) == (b"\x00value", "café", 167, 1648765176499)
    assert (event.id, repr(event.trigger)) == ("topic-3@167", "Trigger(kind='kafka', name='topic')")
    assert (event.headers["lang"], event.headers["traceparent"]) == ("en", "00-1-2-01")


def test_a_message_that_is_a_cloud_event_itself_is_taken_too() -> None:
    found: list[Event] = []

    async def answer(event: Event) -> WireResponse:
        found.append(event)
        return text("")

    async def scenario() -> None:
        headers = {"ce-id": "order-1", "ce-type": "order.made", "ce-source": "/shop"}
        app = host(answer, internal=True)

        assert (await Exchange(app, b"x", path="/_fnkit/events", headers=headers).finished()).status == 200

    run(scenario())
    assert (found[0].body, found[0].offset) == (b"x", "order-1")


def test_a_message_that_fails_is_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    async def answer(_: Event) -> WireResponse:
        raise ValueError("not now")

    async def scenario() -> None:
        app = host(answer, internal=True)

        assert (await Exchange(app, b"x", path="/_fnkit/events", headers=KAFKA).finished()).status == 500
        assert (await Exchange(app, b"x", path="/_fnkit/events").finished()).status == 400

    run(scenario())
    assert "ValueError: not now" in capsys.readouterr().err


def test_clients_of_the_entry_function_cannot_post_messages() -> None:
    async def scenario() -> None:
        assert (await Exchange(host(echo), b"x", path="/_fnkit/events", headers=KAFKA).finished()).status == 404

    run(scenario())


def test_a_websocket_is_refused() -> None:
    async def scenario() -> None:
        sent = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await host(echo)({"type": "websocket"}, receive, send)

        assert sent == ["websocket.close"]

    run(scenario())


def test_limits_come_from_the_environment_or_the_function() -> None:
    function = Function("graph", "entry", concurrency=3, timeout_s=7)
    given = {"FNKIT_CONCURRENCY": "5", "FNKIT_MAX_BODY_MB": "0.5", "FNKIT_TIMEOUT_S": "1.5"}

    own, said = Limits.of(function, {}), Limits.of(function, given)

    assert (own.concurrency, own.timeout_s, own.body) == (3, 7, 100 * 2**20)
    assert (said.concurrency, said.timeout_s, said.body) == (5, 1.5, 2**19)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("FNKIT_CONCURRENCY", "many", Failure), ("FNKIT_MAX_BODY_MB", "-1", UsageError), ("FNKIT_TIMEOUT_S", "inf", UsageError)],
)
def test_a_limit_that_is_no_number_is_refused(name: str, value: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        Limits.of(Function("graph", "entry"), {name: value})

    assert name in (str(caught.value), getattr(caught.value, "where", ""))[isinstance(caught.value, UsageError)]


def test_a_folder_without_a_bundle_is_no_application(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="the bundle cannot be read"):
        load({"FNKIT_BUNDLE": str(tmp_path)})
