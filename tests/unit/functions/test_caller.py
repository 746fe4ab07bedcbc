"""Steps of other functions, called through a Lambda API."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

import pytest

from fnkit import errors
from fnkit.engine import Event, drive
from fnkit.engine.answer import Answer
from fnkit.functions.breaker import Breaker
from fnkit.functions.caller import StepCaller
from fnkit.functions.codec import encode_body
from fnkit.functions.failures import CallError, CallThrottled, CallTimeout, RemoteError, facts_of, remote_error
from fnkit.functions.frames import StepChunk, StepEnd, StepFault, StepFrame, StepHead, render_frame
from fnkit.functions.lambda_api import LambdaApi
from fnkit.functions.links import Callers
from fnkit.manifest.model import CallOptions
from fnkit.net import aio, blocking
from fnkit.net.client import Client
from fnkit.net.errors import TimeoutReached
from tests.fakes.lambda_api import FakeLambdaApi, Refusal


def body(value: object, outlets: tuple[str, ...] | None = None) -> StepChunk:
    return StepChunk(encode_body(value, where=""), outlets)


def wire(*frames: StepFrame) -> bytes:
    return b"".join(map(render_frame, frames))


VALUE = wire(StepHead(streaming=False), body({"a": b"\x00"}, ("next",)), StepEnd())


OPEN: list[Client] = []


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    """Close what a test has opened."""
    yield
    while OPEN:
        drive(OPEN.pop().close())


class Caller:
    """A step caller without an event loop, with its pauses."""

    def __init__(self, api: FakeLambdaApi, environ: dict[str, str] | None = None, **options: object) -> None:
        self.pauses: list[float] = []
        client = Client(blocking.connector())
        invoker = LambdaApi.from_environment(lambda: client, {"AWS_ENDPOINT_URL": api.url, **(environ or {})})
        self._call = StepCaller(invoker, "score", "graph-dev-score", pause=self._pause, chance=lambda: 1.0, **options)  # type: ignore[arg-type]  # options of the test
        OPEN.append(client)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def __call__(self, event: Event) -> Answer:
        answer = drive(self._call(event))
        assert isinstance(answer, Answer)
        return answer

    def chunks(self, answer: Answer) -> Iterator[tuple[object, tuple[str, ...] | None]]:
        stream = answer.value
        while True:
            try:
                yield drive(stream.__anext__())  # type: ignore[misc,attr-defined]  # a streaming answer's value
            except StopAsyncIteration:
                return


def test_an_answer_comes_back_with_its_outlets() -> None:
    with FakeLambdaApi(lambda _: [VALUE]) as api:
        answer = Caller(api)(Event({"x": b"\xff"}, id="e1", headers={"traceparent": "00-1-2-01", "x-amzn-trace-id": "Root=1"}))

    assert answer == Answer({"a": b"\x00"}, ("next",))
    (call,) = api.calls
    assert (call.operation, call.function) == ("response-streaming-invocations", "graph-dev-score")
    assert call.headers["x-amzn-trace-id"] == "Root=1"
    assert call.payload["fnkit"]["step"] == "score"
    assert call.payload["fnkit"]["key"] == "e1/score/1"
    assert call.payload["fnkit"]["event"]["headers"]["traceparent"] == "00-1-2-01"
    assert "authorization" not in call.headers


def test_with_credentials_requests_are_signed_and_name_the_version() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1", "AWS_SESSION_TOKEN": "tok"}

    with FakeLambdaApi(lambda _: [VALUE]) as api:
        Caller(api, environ, qualifier="7")(Event(1))

    (call,) = api.calls
    assert call.query == "Qualifier=7"
    assert call.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert call.headers["x-amz-security-token"] == "tok"


def test_on_aws_missing_credentials_are_an_error_that_says_so() -> None:
    with pytest.raises(errors.CredentialsError, match="no credentials"):
        LambdaApi.from_environment(lambda: Client(blocking.connector()), {"AWS_REGION": "eu-west-1"})


def test_a_stream_comes_chunk_by_chunk_however_it_is_cut() -> None:
    frames = wire(StepHead(streaming=True), body("a"), body("b", ("x",)), StepEnd())

    with FakeLambdaApi(lambda _: [frames[at : at + 3] for at in range(0, len(frames), 3)]) as api:
        caller = Caller(api)
        answer = caller(Event("x"))
        found = list(caller.chunks(answer))

    assert answer.streaming
    assert found == [("a", None), ("b", ("x",))]


def test_an_answer_is_read_to_its_end_so_that_its_connection_serves_the_next_call() -> None:
    stream = wire(StepHead(streaming=True), body("a"), StepEnd())
    with FakeLambdaApi(lambda call: [stream] if call.payload["fnkit"]["event"]["id"] == "s" else [VALUE]) as api:
        call = Caller(api)

        call(Event(1, id="v"))
        list(call.chunks(call(Event(1, id="s"))))
        call(Event(1, id="w"))

        assert len(api.calls) == 3
        assert len(api.connections) == 1


def test_many_bodies_come_back_as_many() -> None:
    with FakeLambdaApi(lambda _: [wire(StepHead(streaming=False, many=True), body(1), body(2), StepEnd())]) as api:
        answer = Caller(api)(Event("x"))

    assert (answer.value, answer.many) == ([1, 2], True)


def test_a_server_without_streaming_is_asked_the_plain_way_from_then_on() -> None:
    with FakeLambdaApi(lambda _: [VALUE], streams=False) as api:
        caller = Caller(api)
        first, second = caller(Event(1)), caller(Event(2))

    assert first == second
    assert [call.operation for call in api.calls] == ["response-streaming-invocations", "invocations", "invocations"]


def test_frames_in_json_are_understood() -> None:
    wrapped = json.dumps({"fnkit": base64.b64encode(VALUE).decode()}).encode()

    with FakeLambdaApi(lambda _: [wrapped[:10], wrapped[10:]]) as api:
        assert Caller(api)(Event(1)).outlets == ("next",)


def test_throttles_and_server_errors_are_tried_again_with_growing_pauses_and_the_same_key() -> None:
    refusals = [Refusal(429, "TooManyRequestsException"), Refusal(500, "ServiceException"), Refusal(503)]

    with FakeLambdaApi(lambda call: refusals.pop(0) if refusals else [VALUE]) as api:
        caller = Caller(api)
        caller(Event(1, id="e"))

    assert caller.pauses == [0.05, 0.1, 0.2]
    assert {call.payload["fnkit"]["key"] for call in api.calls} == {"e/score/1"}


def test_the_next_visit_of_the_same_event_has_another_key() -> None:
    with FakeLambdaApi(lambda _: [VALUE]) as api:
        caller, event = Caller(api), Event(1, id="e")
        caller(event)
        caller(event.copy(2))

    assert [call.payload["fnkit"]["key"] for call in api.calls] == ["e/score/1", "e/score/2"]


def test_a_throttle_that_does_not_end_is_a_503_that_names_the_step() -> None:
    with FakeLambdaApi(lambda _: Refusal(429, "TooManyRequestsException", "Rate Exceeded.")) as api:
        with pytest.raises(CallThrottled, match=r"TooManyRequestsException: Rate Exceeded\.") as caught:
            Caller(api)(Event(1))

    assert (caught.value.status, caught.value.where, len(api.calls)) == (503, "step 'score'", 5)
    assert caught.value.hint.startswith("give the function more concurrency")


def test_a_missing_function_is_not_asked_for_again() -> None:
    with FakeLambdaApi(lambda _: Refusal(404, "ResourceNotFoundException", "Function not found")) as api:
        with pytest.raises(CallError, match="Function not found") as caught:
            Caller(api)(Event(1))

    assert len(api.calls) == 1
    assert "deploy the graph again" in caught.value.hint


def test_a_function_that_cannot_be_reached_is_a_503() -> None:
    with FakeLambdaApi(lambda _: [VALUE]) as api:
        pass

    with pytest.raises(CallThrottled, match="cannot be reached"):
        Caller(api)(Event(1))


def test_an_error_of_the_step_keeps_its_type_and_its_text() -> None:
    fault = wire(StepHead(streaming=False), StepFault("KeyError", "'no such key'", ("line",)))

    with FakeLambdaApi(lambda _: [fault]) as api:
        with pytest.raises(KeyError) as caught:
            Caller(api)(Event(1))

    assert type(caught.value).__name__ == "KeyError"
    assert str(caught.value) == "'no such key'"
    assert len(api.calls) == 1


def test_an_error_in_mid_stream_comes_after_the_chunks_before_it() -> None:
    frames = wire(StepHead(streaming=True), body("a"), StepFault("MyError", "half way"))

    with FakeLambdaApi(lambda _: [frames]) as api:
        caller = Caller(api)
        chunks = caller.chunks(caller(Event(1)))
        first = next(chunks)
        with pytest.raises(RemoteError, match="half way") as caught:
            next(chunks)

    assert first == ("a", None)
    assert type(caught.value).__name__ == "MyError"


def test_a_function_that_fails_outside_of_its_steps_is_a_502() -> None:
    report = b'{"ErrorCode": "Unhandled", "ErrorDetails": "{\\"errorType\\": \\"Runtime.ExitError\\", \\"errorMessage\\": \\"exit 1\\"}"}'

    with FakeLambdaApi(lambda _: [], report=report) as api:
        with pytest.raises(CallError, match=r"function 'graph-dev-score' failed: Runtime\.ExitError: exit 1") as caught:
            Caller(api)(Event(1))

    assert caught.value.status == 502


def test_so_is_one_that_fails_under_plain_invoke_and_a_timeout_is_a_504() -> None:
    document = b'{"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 3.00 seconds"}'

    with FakeLambdaApi(lambda _: [document], streams=False, error="Unhandled") as api:
        with pytest.raises(CallTimeout, match="Task timed out"):
            Caller(api)(Event(1))


@pytest.mark.parametrize(
    "frames", [b"", wire(StepHead(streaming=False)), wire(StepHead(streaming=False), body(1)), b"hello there", b'{"a": 1}']
)
def test_an_answer_that_is_cut_off_or_is_none_is_a_clear_error(frames: bytes) -> None:
    with FakeLambdaApi(lambda _: [frames] if frames else []) as api:
        with pytest.raises(errors.InvokeError):
            Caller(api)(Event(1))


def test_a_function_that_answers_too_late_is_a_504() -> None:
    release = threading.Event()

    def late(_: object) -> list[bytes]:
        release.wait(60)
        return [VALUE]

    with FakeLambdaApi(late) as api:
        with pytest.raises(CallTimeout, match=r"did not answer within 0\.1 s") as caught:
            Caller(api, timeout_s=0.1)(Event(1))
        release.set()

    assert isinstance(caught.value.__cause__, TimeoutReached)  # which tells it from a function that was stopped at its own limit


def test_an_event_that_is_too_large_is_refused_before_it_is_sent() -> None:
    with FakeLambdaApi(lambda _: [VALUE]) as api:
        with pytest.raises(CallError, match=r"has \d+ bytes, 6291456 are possible") as caught:
            Caller(api)(Event("x" * 6_300_000))

    assert api.calls == []
    assert caught.value.where == "step 'score'"


def test_a_body_that_json_cannot_say_is_refused_with_the_step_and_the_type() -> None:
    with FakeLambdaApi(lambda _: [VALUE]) as api:
        with pytest.raises(errors.InvokeError, match="the type set") as caught:
            Caller(api)(Event({"a": {1, 2}}))

    assert caught.value.where == "step 'score'"


def test_calls_on_an_event_loop_run_at_the_same_time_and_closing_a_stream_hangs_up() -> None:
    together = threading.Barrier(3)

    def endless(_: object) -> Iterator[bytes]:
        together.wait(60)
        yield wire(StepHead(streaming=True), body("a"))
        while True:
            yield wire(body("more" * 1000))

    async def scenario() -> list[object]:
        client = Client(aio.connector())
        invoker = LambdaApi.from_environment(lambda: client, {"AWS_ENDPOINT_URL": api.url})
        caller = StepCaller(invoker, "s", "f", pause=asyncio.sleep)
        answers = await asyncio.gather(*(caller(Event(number)) for number in range(3)))
        firsts: list[object] = []
        for answer in answers:
            stream = answer.value
            assert isinstance(stream, AsyncIterator)
            firsts.append((await anext(stream))[0])
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
        await client.close()
        await asyncio.to_thread(api.hung_up.wait, 60)
        return firsts

    with FakeLambdaApi(endless) as api:
        assert asyncio.run(scenario()) == ["a", "a", "a"]
        assert api.hung_up.is_set()


@pytest.mark.parametrize(
    "kind", ["ValueError", "UnicodeDecodeError", "MLRunNotFoundError", "SystemExit", "Whatever", "int", "ExceptionGroup"]
)
def test_any_error_can_be_made_whole_again(kind: str) -> None:
    error = remote_error(kind, "the text")

    assert isinstance(error, Exception)
    assert (type(error).__name__, str(error)) == (kind, "the text")


def test_errors_of_fnkit_keep_their_status() -> None:
    error = remote_error("MLRunNotFoundError", "no such model")

    assert isinstance(error, errors.MLRunNotFoundError)
    assert (error.status, error.hint) == (404, "")


def test_an_error_says_the_same_on_both_sides() -> None:
    class TakenError(errors.MLRunConflictError):
        pass

    here = TakenError("taken", where="step 'a'", hint="wait a moment")

    there = remote_error("TakenError", "taken", (), *facts_of(here))

    assert isinstance(there, errors.MLRunConflictError)
    assert (there.status, there.message, there.hint, facts_of(there)) == (409, "taken", "wait a moment", facts_of(here))
    assert repr(remote_error("ValueError", "")) == repr(ValueError())


class Stored:
    """A store that remembers what it was asked."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.removed: list[str] = []

    async def put(self, data: bytes) -> str:
        self.objects["k1"] = data
        return "k1"

    async def get(self, key: str) -> bytes:
        return self.objects[key]

    async def remove(self, key: str) -> None:
        self.removed.append(key)


def test_an_event_over_the_limit_travels_by_the_store() -> None:
    store = Stored()
    with FakeLambdaApi(lambda _call: [VALUE]) as api:
        answer = Caller(api, store=lambda: store)(Event("x" * (7 * 1024 * 1024)))

    assert answer.value == {"a": b"\x00"}
    assert api.calls[0].payload == {"fnkit": {"object": "k1"}}
    assert len(store.objects["k1"]) > 7 * 1024 * 1024
    assert store.removed == ["k1"]


def test_a_function_that_stays_throttled_is_left_alone() -> None:
    breaker = Breaker(threshold=3)
    with FakeLambdaApi(lambda _call: Refusal(429, "TooManyRequestsException")) as api:
        call = Caller(api, breaker=breaker)
        with pytest.raises(CallThrottled, match="TooManyRequestsException"):
            call(Event(1))
        with pytest.raises(CallThrottled, match="is left alone for"):
            call(Event(2))

    assert len(api.calls) == 3


class Held:
    """Answers of a function that keep their caller waiting; *release* lets the server's thread go."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.release = threading.Event()

    def __call__(self, _call: object) -> Iterator[bytes]:
        yield from self.pieces
        self.release.wait(30)


def late_call(api: FakeLambdaApi, call: CallOptions, *, looped: bool) -> list[object]:
    """Call a step once and read its answer; return the chunks, or the one value, and then the error."""
    found: list[object] = []

    async def scenario(client: Client, pause: Callable[[float], Awaitable[None]]) -> None:
        invoker = LambdaApi.from_environment(lambda: client, {"AWS_ENDPOINT_URL": api.url})
        caller = StepCaller(invoker, "score", "f", pause=pause, timeout_s=60, call=call)
        try:
            answer = await caller(Event(1))
            if not answer.streaming:
                found.append(answer.value)
                return
            async for value, _ in answer.value:  # type: ignore[attr-defined]  # a streaming answer's value
                found.append(value)
        except Exception as error:
            found.append(error)
        finally:
            await client.close()

    async def no_pause(seconds: float) -> None:
        """Go on at once."""

    if looped:
        asyncio.run(scenario(Client(aio.connector()), asyncio.sleep))
    else:
        drive(scenario(Client(blocking.connector()), no_pause))
    return found


BEGUN = wire(StepHead(streaming=True), body("a"))


@pytest.mark.parametrize("looped", [False, True], ids=["plain", "loop"])
@pytest.mark.parametrize(
    ("pieces", "call", "chunks", "text"),
    [
        ((), {"timeout_s": 0.1}, [], r"step 'score' did not answer within 0\.1 s"),
        ((wire(StepHead(streaming=False)),), {"timeout_s": 0.1}, [], r"step 'score' did not answer within 0\.1 s"),
        ((wire(StepHead(streaming=True)),), {"timeout_s": 0.1}, [], r"step 'score' did not answer within 0\.1 s"),
        ((BEGUN,), {"timeout_s": 20, "idle_timeout_s": 1}, ["a"], r"stream of step 'score' stood still for more than 1 s"),
        ((BEGUN,), {"idle_timeout_s": 1}, ["a"], r"stream of step 'score' stood still for more than 1 s"),
    ],
    ids=["nothing", "half an answer", "no chunk", "no second chunk", "no second chunk, idle only"],
)
def test_the_limits_of_a_step_end_its_call(
    pieces: tuple[bytes, ...], call: dict[str, float], chunks: list[str], text: str, looped: bool
) -> None:
    answer = Held(*pieces)
    with FakeLambdaApi(answer) as api:
        found = late_call(api, CallOptions(**call), looped=looped)  # type: ignore[arg-type]  # options by name
        answer.release.set()

    assert found[:-1] == chunks
    assert isinstance(found[-1], errors.StepTimeoutError)
    assert re.search(text, str(found[-1]))
    assert len(api.calls) == 1


@pytest.mark.parametrize("looped", [False, True], ids=["plain", "loop"])
def test_an_answer_within_its_limits_comes_as_without_them(looped: bool) -> None:
    stream = wire(StepHead(streaming=True), body("a"), body("b"), StepEnd())
    with FakeLambdaApi(lambda _: [stream[at : at + 7] for at in range(0, len(stream), 7)]) as api:
        chunks = late_call(api, CallOptions(timeout_s=30, idle_timeout_s=30), looped=looped)
    with FakeLambdaApi(lambda _: [VALUE]) as api:
        value = late_call(api, CallOptions(timeout_s=30), looped=looped)
    with FakeLambdaApi(lambda _: [wire(StepHead(streaming=True), StepEnd())]) as api:
        empty = late_call(api, CallOptions(timeout_s=30), looped=looped)

    assert (chunks, value, empty) == (["a", "b"], [{"a": b"\x00"}], [])


def test_the_time_of_the_function_itself_still_holds_and_is_named() -> None:
    answer = Held(BEGUN)
    with FakeLambdaApi(answer) as api:
        caller = Caller(api, timeout_s=1, call=CallOptions(idle_timeout_s=30))
        chunks = caller.chunks(caller(Event(1)))
        first = next(chunks)
        with pytest.raises(CallTimeout, match="did not finish its answer in time"):
            next(chunks)
        answer.release.set()

    assert first == ("a", None)


def test_what_a_late_step_leaves_is_told_by_the_closed_connection() -> None:
    def endless(_: object) -> Iterator[bytes]:
        yield BEGUN
        while True:
            time.sleep(0.01)
            yield b""  # no frame, but bytes on the wire

    with FakeLambdaApi(endless) as api:
        found = late_call(api, CallOptions(timeout_s=20, idle_timeout_s=0.2), looped=False)

        assert isinstance(found[-1], errors.StepTimeoutError)
        assert api.hung_up.wait(30)


def test_options_say_how_often_and_after_which_pauses_a_call_is_tried_again() -> None:
    call = CallOptions(retries=3, backoff_s=1, backoff_rate=3, max_backoff_s=4, jitter="none")
    with FakeLambdaApi(lambda _: Refusal(503)) as api:
        caller = Caller(api, call=call)
        with pytest.raises(CallThrottled):
            caller(Event(1))
        never = Caller(api, call=CallOptions(retries=0))
        with pytest.raises(CallThrottled):
            never(Event(1))

    assert (caller.pauses, never.pauses) == ([1, 3, 4], [])


def fault(kind: str, *bases: str, status: int = 0) -> list[bytes]:
    return [wire(StepHead(streaming=False), StepFault(kind, "no", ("line",), bases, status))]


def test_errors_of_the_step_are_tried_again_where_they_or_their_bases_are_named() -> None:
    answers = [fault("DatabaseAway", "ConnectionError", "OSError"), fault("ConnectionResetError"), [VALUE]]
    with FakeLambdaApi(lambda _: answers.pop(0)) as api:
        caller = Caller(api, call=CallOptions(retry_on=("ConnectionError",)))
        answer = caller(Event(1, id="e"))

    assert answer.value == {"a": b"\x00"}
    assert caller.pauses == [0.05, 0.1]
    assert {call.payload["fnkit"]["key"] for call in api.calls} == {"e/score/1"}


def test_other_errors_of_the_step_are_not() -> None:
    with FakeLambdaApi(lambda _: fault("DatabaseAway", "OwnError")) as api:
        with pytest.raises(RemoteError, match="no"):
            Caller(api, call=CallOptions(retry_on=("ConnectionError",)))(Event(1))

    assert len(api.calls) == 1


def test_a_late_answer_is_tried_again_only_where_that_is_named() -> None:
    held = Held()
    first: list[Callable[[object], Iterable[bytes]]] = [held]

    def answer_of(call: object) -> Iterable[bytes]:
        return first.pop()(call) if first else [VALUE]

    with FakeLambdaApi(answer_of) as api:
        answer = Caller(api, call=CallOptions(timeout_s=0.5, retry_on=("StepTimeoutError",)))(Event(1))
        held.release.set()

    assert answer.value == {"a": b"\x00"}
    assert len(api.calls) > 1


def test_a_stream_that_fails_before_its_first_chunk_is_tried_again_and_later_never() -> None:
    broken = StepFault("OSError", "no")
    answers = [
        [wire(StepHead(streaming=True), broken)],
        [wire(StepHead(streaming=True), body("a"), broken)],
    ]
    with FakeLambdaApi(lambda _: answers.pop(0)) as api:
        caller = Caller(api, call=CallOptions(retry_on=("OSError",)))
        chunks = caller.chunks(caller(Event(1)))
        first = next(chunks)
        with pytest.raises(OSError, match="no"):
            next(chunks)

    assert first == ("a", None)
    assert len(api.calls) == 2


def test_a_stored_event_is_stored_once_for_all_attempts() -> None:
    store = Stored()
    refusals = [Refusal(503), Refusal(503)]
    with FakeLambdaApi(lambda _: refusals.pop(0) if refusals else [VALUE]) as api:
        Caller(api, store=lambda: store)(Event("x" * (7 * 1024 * 1024)))

    assert [call.payload for call in api.calls] == [{"fnkit": {"object": "k1"}}] * 3
    assert store.removed == ["k1"]


def test_an_error_of_a_class_of_its_own_can_be_caught_by_its_base_and_keeps_its_status() -> None:
    with FakeLambdaApi(lambda _: fault("QuotaError", "MLRunHTTPStatusError", "FnkitError", status=429)) as api:
        with pytest.raises(errors.MLRunHTTPStatusError) as caught:
            Caller(api)(Event(1))

    assert (type(caught.value).__name__, caught.value.status) == ("QuotaError", 429)
    assert facts_of(caught.value)[0][:2] == ("MLRunHTTPStatusError", "FnkitError")


def test_the_steps_of_a_function_share_a_breaker_where_they_agree_on_it() -> None:
    callers = Callers({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, looped=False)
    rare = CallOptions(breaker_threshold=0)

    def breaker(step: str, function: str, call: CallOptions = CallOptions()) -> object:  # noqa: B008  # frozen
        return callers.caller(step, function, timeout_s=1, call=call)._breaker

    assert breaker("a", "f") is breaker("b", "f", CallOptions(timeout_s=1))
    assert breaker("a", "f") is not breaker("a", "g")
    assert breaker("a", "f", rare) is breaker("b", "f", rare) is not breaker("a", "f")
