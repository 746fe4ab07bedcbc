"""Steps of other functions, called over plain HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fnkit.engine import Event, drive
from fnkit.engine.answer import Answer
from fnkit.errors import UsageError
from fnkit.functions.breaker import Breaker
from fnkit.functions.caller import StepCaller
from fnkit.functions.codec import encode_body
from fnkit.functions.failures import CallError, CallThrottled, CallTimeout
from fnkit.functions.frames import StepChunk, StepEnd, StepFault, StepFrame, StepHead, render_frame
from fnkit.functions.http_invoker import Addresses, HttpInvoker
from fnkit.functions.links import Callers
from fnkit.net import blocking
from fnkit.net.client import Client
from tests.fakes.steps_service import Reply, StepsService


def wire(*frames: StepFrame) -> list[bytes]:
    return [render_frame(frame) for frame in frames]


VALUE = b"".join(wire(StepHead(streaming=False), StepChunk(encode_body([1], where=""), ("next",)), StepEnd()))


class Caller:
    """A caller of the step `score` at *url*, with its pauses."""

    def __init__(self, url: str, **options: object) -> None:
        self.pauses: list[float] = []
        self.client = Client(blocking.connector())
        invoker = HttpInvoker(lambda: self.client, Addresses({"score": url}, "", ""))
        self._call = StepCaller(invoker, "score", "score", pause=self._pause, chance=lambda: 1.0, **options)  # type: ignore[arg-type]  # options of the test

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def __call__(self, event: Event) -> Answer:
        answer = drive(self._call(event))
        assert isinstance(answer, Answer)
        return answer


@pytest.fixture
def caller() -> Iterator[Callable[..., Caller]]:
    """Makes callers whose connections are closed in the end."""
    made: list[Caller] = []

    def make(url: str, **options: object) -> Caller:
        made.append(Caller(url, **options))
        return made[-1]

    yield make
    for one in made:
        drive(one.client.close())


def test_a_call_is_the_envelope_of_the_lambda_way_with_the_trace(caller: Callable[..., Caller]) -> None:
    with StepsService(lambda _: Reply(VALUE)) as service:
        answer = caller(service.url)(Event({"x": 1}, id="e1", headers={"x-amzn-trace-id": "Root=1"}))

    assert answer == Answer([1], ("next",))
    (call,) = service.calls
    assert (call.path, call.headers["x-amzn-trace-id"]) == ("/_fnkit/steps", "Root=1")
    envelope = json.loads(call.body)["fnkit"]
    assert (envelope["step"], envelope["event"]["body"]) == ("score", {"x": 1})


def test_a_stream_comes_chunk_by_chunk(caller: Callable[..., Caller]) -> None:
    frames = wire(StepHead(streaming=True), *(StepChunk(encode_body(n, where="")) for n in range(3)), StepEnd())
    with StepsService(lambda _: Reply(*frames)) as service:
        answer = caller(service.url)(Event(1))
        found = []
        try:
            while True:
                found.append(drive(answer.value.__anext__())[0])  # type: ignore[attr-defined,index]  # a streaming answer's value
        except StopAsyncIteration:
            pass

    assert (answer.streaming, found) == (True, [0, 1, 2])


def test_the_error_of_a_step_comes_back_under_its_name(caller: Callable[..., Caller]) -> None:
    frames = wire(StepHead(streaming=False), StepFault("KeyError", "'x'"))
    with StepsService(lambda _: Reply(*frames)) as service:
        with pytest.raises(KeyError, match="'x'"):
            caller(service.url)(Event(1))


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_service_that_is_not_ready_is_asked_again(status: int, caller: Callable[..., Caller]) -> None:
    with StepsService(lambda number: Reply(VALUE) if number == 2 else Reply(b"no pods", status=status)) as service:
        call = caller(service.url)

        assert call(Event(1)) == Answer([1], ("next",))
        assert (len(service.calls), call.pauses) == (3, [0.05, 0.1])
        keys = {json.loads(one.body)["fnkit"]["key"] for one in service.calls}
        assert len(keys) == 1


def test_a_service_that_never_gets_ready_is_503(caller: Callable[..., Caller]) -> None:
    with StepsService(lambda _: Reply(b"no pods", status=503)) as service:
        with pytest.raises(CallThrottled, match=r"function 'score': no pods \(status 503\)"):
            caller(service.url)(Event(1))

    assert len(service.calls) == 5


def test_a_service_that_is_not_there_is_tried_again_and_then_left_alone(caller: Callable[..., Caller]) -> None:
    with StepsService(lambda _: Reply(VALUE)) as service:
        url = service.url
    call = caller(url, breaker=Breaker(threshold=7, clock=lambda: 0.0))

    with pytest.raises(CallThrottled, match="cannot be reached"):
        call(Event(1))
    with pytest.raises(CallThrottled, match="cannot be reached"):
        call(Event(1))
    with pytest.raises(CallThrottled, match="left alone"):
        call(Event(1))


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (
            Reply(b'{"errorType": "GraphError", "errorMessage": "no"}', status=500, failed=True),
            CallError,
            "failed: GraphError: no",
        ),
        (Reply(b"too late", status=504), CallTimeout, "too late"),
        (Reply(b"nothing here", status=404), CallError, "nothing here"),
        (Reply(b"large", status=413), CallError, "large"),
    ],
)
def test_what_would_fail_again_is_not_tried_again(
    reply: Reply, error: type[Exception], said: str, caller: Callable[..., Caller]
) -> None:
    with StepsService(lambda _: reply) as service:
        with pytest.raises(error, match=said):
            caller(service.url)(Event(1))

    assert len(service.calls) == 1


def test_an_answer_that_breaks_off_is_an_error(caller: Callable[..., Caller]) -> None:
    with StepsService(lambda _: Reply(VALUE[:-3], cut=True)) as service:
        with pytest.raises(CallError, match="broke off"):
            caller(service.url)(Event(1))


def test_addresses_are_named_or_follow_a_template() -> None:
    addresses = Addresses.from_environment(
        {
            "FNKIT_SERVICE_URLS": '{"a": "http://there:1/", "b": "http://b.{namespace}"}',
            "FNKIT_SERVICE_URL_TEMPLATE": "http://g-{name}.{namespace}.svc.cluster.local",
            "FNKIT_NAMESPACE": "models",
        }
    )

    assert [addresses.url(name) for name in ("a", "b", "Score")] == [
        "http://there:1",
        "http://b.models",
        "http://g-score.models.svc.cluster.local",
    ]


def test_the_namespace_is_what_the_cluster_says(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("team\n")
    environ = {"FNKIT_SERVICE_URL_TEMPLATE": "http://{name}.{namespace}"}

    inside = Addresses.from_environment(environ, namespace_file=str(tmp_path / "namespace"))
    outside = Addresses.from_environment(environ, namespace_file=str(tmp_path / "none"))

    assert (inside.url("a"), outside.url("a")) == ("http://a.team", "http://a.default")


def test_a_function_that_nobody_names_cannot_be_called() -> None:
    with pytest.raises(CallError, match="nobody says where function 'other' is"):
        Addresses.from_environment({"FNKIT_SERVICE_URLS": '{"a": "http://a"}'}).url("other")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("FNKIT_SERVICE_URLS", "{"),
        ("FNKIT_SERVICE_URLS", '{"a": 1}'),
        ("FNKIT_SERVICE_URL_TEMPLATE", "http://{other}"),
        ("FNKIT_SERVICE_URL_TEMPLATE", "http://{name"),
        ("FNKIT_SERVICE_URL_TEMPLATE", "http://{name.__class__}"),
        ("FNKIT_SERVICE_URL_TEMPLATE", "http://same"),
    ],
)
def test_addresses_that_cannot_be_read_are_refused(name: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Addresses.from_environment({name: text})

    assert caught.value.where == name


def test_functions_are_called_over_http_where_their_addresses_are_known() -> None:
    with StepsService(lambda _: Reply(VALUE)) as service:
        callers = Callers({"FNKIT_SERVICE_URL_TEMPLATE": service.url + "/{name}"}, looped=False)
        answer = drive(callers.caller("score", "score", timeout_s=30)(Event(b"x" * 7_000_000)))  # above Lambda's limit
        drive(callers.close())

    assert answer == Answer([1], ("next",))
    assert service.calls[0].path == "/score/_fnkit/steps"
