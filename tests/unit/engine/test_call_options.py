"""Limits and retries of steps that run in the process of their graph."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from fnkit.engine import Event, Response, drive
from fnkit.engine.attempts import RetryRules
from fnkit.errors import StepTimeoutError
from fnkit.manifest.model import CallOptions, Route, Step
from tests.fakes.engine import execute, flow

QUICK: dict[str, Any] = {"backoff_s": 0.001, "max_backoff_s": 0.001}
LIMIT = CallOptions(timeout_s=0.05)


def step(target: str = "T", **fields: Any) -> Step:
    return Step("s", target=target, responder=True, **fields)


def run(*steps: Step, body: object = 1, **names: object) -> object:
    """Run one event through a flow of *steps*; a stream is returned as the list of its chunks."""
    topology = flow(*steps, names=names)

    async def whole() -> object:
        value: Any = await topology.run(Event(body))
        return [chunk async for chunk in value] if hasattr(value, "__anext__") else value

    return execute(whole()) if topology.needs_loop else drive(whole())


def test_an_async_step_is_cancelled_when_its_time_is_up() -> None:
    ended: list[str] = []

    class T:
        async def do(self, body: object) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

    with pytest.raises(StepTimeoutError, match=r"step 's' did not answer within 0\.05 s") as caught:
        run(step(call=LIMIT), T=T)

    assert ended == ["cancelled"]
    assert caught.value.status == 504
    assert "timeout_s in its call options" in caught.value.hint


def test_a_step_that_swallows_the_cancellation_is_late_nevertheless() -> None:
    class T:
        async def do(self, body: object) -> str:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return "too late"

    with pytest.raises(StepTimeoutError):
        run(step(call=LIMIT), T=T)


def test_what_a_step_raises_because_it_was_cancelled_is_the_cause() -> None:
    class T:
        async def do(self, body: object) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise KeyError("in the finally")

    with pytest.raises(StepTimeoutError) as caught:
        run(step(call=LIMIT), T=T)

    assert isinstance(caught.value.__cause__, KeyError)


def test_a_timeout_error_of_the_step_itself_stays_its_own() -> None:
    class T:
        async def do(self, body: object) -> None:
            raise TimeoutError("the database did not answer")

    with pytest.raises(TimeoutError, match="the database did not answer") as caught:
        run(step(call=CallOptions(timeout_s=60)), T=T)

    assert type(caught.value) is TimeoutError


def test_the_late_result_of_a_step_that_cannot_be_stopped_is_refused() -> None:
    class T:
        def do(self, body: object) -> object:
            time.sleep(0.02)
            return body

    with pytest.raises(StepTimeoutError, match=r"did not answer within 0\.001 s"):
        run(step(call=CallOptions(timeout_s=0.001)), T=T)


def test_a_step_in_time_answers_as_if_there_were_no_limit() -> None:
    class T:
        def do(self, body: int) -> int:
            return body + 1

    class Async:
        async def do(self, body: int) -> int:
            return body + 1

    call = CallOptions(timeout_s=60, retry_on=("Exception",))
    one, two = Step("one", target="T", call=call), Step("two", target="Async", call=call, after=("one",), responder=True)

    assert run(one, two, T=T, Async=Async) == 3


def test_a_flow_that_does_not_wait_still_needs_no_loop() -> None:
    class T:
        def do(self, body: object) -> object:
            return body

    assert not flow(step(call=CallOptions(timeout_s=60, retry_on=("ValueError",))), names={"T": T}).needs_loop


class Flaky:
    """Fails as often as told, after it has spoilt its body."""

    def __init__(self, failures: int = 0, error: str = "ConnectionResetError") -> None:
        self.left, self.error = failures, error
        self.keys: list[str] = []

    def do(self, body: list[int]) -> list[int]:
        body.append(len(body))
        if self.left:
            self.left -= 1
            raise {"ConnectionResetError": ConnectionResetError, "KeyError": KeyError}[self.error]("not now")
        return body


class AsyncFlaky(Flaky):
    async def do(self, body: list[int]) -> list[int]:  # type: ignore[override]  # the engine takes either
        return super().do(body)


@pytest.mark.parametrize("target", ["Flaky", "AsyncFlaky"])
def test_a_named_error_or_one_derived_from_it_is_tried_again_with_the_body_as_it_came(target: str) -> None:
    call = CallOptions(retries=3, retry_on=("ConnectionError",), **QUICK)

    answer = run(step(target, args={"failures": 3}, call=call), body=[], Flaky=Flaky, AsyncFlaky=AsyncFlaky)

    assert answer == [0]


def test_after_the_last_attempt_its_error_is_raised() -> None:
    call = CallOptions(retries=2, retry_on=("ConnectionError",), **QUICK)
    with pytest.raises(ConnectionResetError, match="not now"):
        run(step("Flaky", args={"failures": 3}, call=call), body=[], Flaky=Flaky)


def test_an_error_that_was_not_named_is_not_tried_again() -> None:
    call = CallOptions(retries=2, retry_on=("ConnectionError",), **QUICK)
    with pytest.raises(KeyError):
        run(step("Flaky", args={"failures": 1, "error": "KeyError"}, call=call), body=[], Flaky=Flaky)


def test_a_late_answer_is_tried_again_only_when_it_is_named() -> None:
    calls: list[int] = []

    class T:
        async def do(self, body: object) -> object:
            calls.append(1)
            if len(calls) == 1:
                await asyncio.Event().wait()
            return body

    with pytest.raises(StepTimeoutError):
        run(step(call=CallOptions(timeout_s=0.05, retries=5)), T=T)
    calls.clear()

    answer = run(step(call=CallOptions(timeout_s=20, retry_on=("TimeoutError",), **QUICK)), T=lambda: Late(calls))

    assert (answer, len(calls)) == (1, 2)


class Late:
    """Says at its first call that it was late."""

    def __init__(self, calls: list[int]) -> None:
        self.calls = calls

    async def do(self, body: object) -> object:
        self.calls.append(1)
        if len(self.calls) == 1:
            raise StepTimeoutError("late")
        return body


def test_an_attempt_sees_the_same_key_and_an_event_without_traces_of_the_one_before() -> None:
    seen: list[tuple[str, object]] = []

    class T:
        def do_event(self, event: Event) -> Event:
            seen.append((event.idempotency_key, event.body))
            event.body = "spoilt"
            if len(seen) < 3:
                raise OSError("not now")
            event.body = "done"
            return event

    topology = flow(step(call=CallOptions(retry_on=("OSError",), **QUICK)), names={"T": T})

    assert drive(topology.run(Event("given", id="e"))) == "done"
    assert seen == [("e/s/1", "given")] * 3


def test_a_stream_has_a_limit_to_its_first_chunk_and_one_for_each_later_chunk() -> None:
    closed: list[object] = []

    class T:
        def __init__(self, stuck: int) -> None:
            self.stuck = stuck

        async def do(self, body: object) -> AsyncIterator[int]:
            try:
                for number in range(3):
                    if number == self.stuck:
                        await asyncio.Event().wait()
                    yield number
            finally:
                closed.append(self.stuck)

    with pytest.raises(StepTimeoutError, match=r"did not answer within 0\.05 s"):
        run(step(args={"stuck": 0}, call=CallOptions(timeout_s=0.05)), T=T)
    with pytest.raises(Exception, match=r"StepTimeoutError: the stream of step 's' stood still for more than 0\.05 s"):
        run(step(args={"stuck": 2}, call=CallOptions(timeout_s=60, idle_timeout_s=0.05)), T=T)

    assert run(step(args={"stuck": 9}, call=CallOptions(timeout_s=60)), T=T) == [0, 1, 2]
    assert closed == [0, 2, 9]


def test_the_time_that_the_client_takes_does_not_count() -> None:
    class T:
        def do(self, body: object) -> Iterator[int]:
            yield from range(3)

    async def slowly(stream: Any) -> list[int]:
        found = []
        async for chunk in stream:
            time.sleep(0.4)  # noqa: ASYNC251  # there is no loop
            found.append(chunk)
        return found

    topology = flow(step(call=CallOptions(timeout_s=60, idle_timeout_s=1.0)), names={"T": T})

    assert drive(slowly(drive(topology.run(Event(1))))) == [0, 1, 2]


def test_a_generator_that_is_not_async_is_closed_when_a_chunk_is_late() -> None:
    closed: list[str] = []

    class T:
        def do(self, body: object) -> Iterator[int]:
            try:
                yield 0
                time.sleep(0.02)
                yield 1
            finally:
                closed.append("closed")

    with pytest.raises(Exception, match="stood still"):
        run(step(call=CallOptions(timeout_s=60, idle_timeout_s=0.001)), T=T)

    assert closed == ["closed"]


def test_a_stream_that_fails_before_its_first_chunk_is_tried_again_and_later_never() -> None:
    calls: list[int] = []

    class T:
        def __init__(self, fail: int) -> None:
            self.fail = fail

        def do(self, body: object) -> Iterator[int]:
            calls.append(1)
            for number in range(2):
                if number == self.fail and (number or len(calls) < 3):
                    raise OSError(f"at {number}")
                yield number

    call = CallOptions(retry_on=("OSError",), **QUICK)

    assert run(step(args={"fail": 0}, call=call), T=T) == [0, 1]
    assert len(calls) == 3
    with pytest.raises(Exception, match="OSError: at 1"):
        run(step(args={"fail": 1}, call=call), T=T)
    assert len(calls) == 4


def test_an_empty_stream_stays_empty() -> None:
    class T:
        def do(self, body: object) -> Iterator[int]:
            yield from ()

    assert run(step(call=CallOptions(timeout_s=60)), T=T) == []


def test_the_chunks_of_a_response_are_limited_too() -> None:
    class T:
        async def do(self, body: object) -> Response:
            async def chunks() -> AsyncIterator[str]:
                yield "a"
                await asyncio.Event().wait()

            return Response(body=chunks(), status_code=201)

    topology = flow(step(call=LIMIT), names={"T": T})

    async def read() -> list[object]:
        response = await topology.run(Event(1))
        assert isinstance(response, Response)
        chunks: Any = response.body
        first = await anext(chunks)
        with pytest.raises(StepTimeoutError, match="stood still"):
            await anext(chunks)
        return [response.status_code, first]

    assert execute(read()) == [201, "a"]


def test_closing_a_limited_stream_closes_the_generator() -> None:
    closed: list[str] = []

    class T:
        def do(self, body: object) -> Iterator[int]:
            try:
                yield from range(10)
            finally:
                closed.append("closed")

    topology = flow(step(call=CallOptions(timeout_s=60)), names={"T": T})
    stream: Any = drive(topology.run(Event(1)))

    drive(stream.__anext__())
    drive(stream.aclose())

    assert closed == ["closed"]


def test_outlets_are_chosen_after_the_limits() -> None:
    class T:
        def do(self, body: int) -> int:
            return body + 1

        def select_outlets(self, body: int) -> list[str]:
            return ["even" if body % 2 == 0 else "odd"]

    class Mark:
        def __init__(self, name: str) -> None:
            self.name = name

        def do(self, body: object) -> object:
            return [self.name, body]

    steps = (
        Step("s", target="T", call=CallOptions(timeout_s=60)),
        Step("even", target="Mark", after=("s",)),
        Step("odd", target="Mark", after=("s",)),
        Step("end", handler="(event)", after=("even", "odd"), responder=True),
    )

    assert run(*steps, body=1, T=T, Mark=Mark) == ["even", 2]


def test_an_error_handler_gets_the_late_step() -> None:
    class T:
        async def do(self, body: object) -> None:
            await asyncio.Event().wait()

    class Catch:
        def do_event(self, event: Event) -> Event:
            event.body = [type(event.error).__name__, event.origin_state, event.body]
            return event

    steps = (step(call=LIMIT, on_error="catch"), Step("catch", target="Catch"))

    assert run(*steps, T=T, Catch=Catch) == ["StepTimeoutError", "s", 1]


def test_routes_have_limits_of_their_own() -> None:
    class Model:
        async def do(self, body: object) -> object:
            await asyncio.Event().wait()
            return body

    class Router:
        needs_loop = True

        def __init__(self, routes: dict[str, Callable[[Event], Any]]) -> None:
            self.routes = routes

        async def do_event(self, event: Event) -> Event:
            event.body = await self.routes["m1"](event)
            return event

    router = Step("r", "router", target="Router", routes=(Route("m1", "Model", call=LIMIT),), responder=True)

    with pytest.raises(StepTimeoutError, match="step 'm1' did not answer"):
        run(router, Router=Router, Model=Model)


def test_jitter_spreads_the_pauses() -> None:
    for jitter, least in (("full", 0.0), ("half", 0.5), ("none", 1.0)):
        call = CallOptions(backoff_s=1, backoff_rate=1, jitter=jitter)  # type: ignore[arg-type]  # one of its words
        assert RetryRules(call, chance=lambda: 0.0).pause_s(1) == least
        assert RetryRules(call, chance=lambda: 1.0).pause_s(1) == 1.0
        assert least <= RetryRules(call).pause_s(3) <= 1.0
