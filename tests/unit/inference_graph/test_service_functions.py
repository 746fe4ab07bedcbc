"""Services that run in functions of their own: the side of the graph, and the side of the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from fnkit.engine import Event, Response
from fnkit.engine.answer import Answer as StepAnswer
from fnkit.engine.context import Context
from fnkit.engine.drive import drive
from fnkit.engine.response import WireResponse
from fnkit.functions import place
from fnkit.functions.failures import CallError, CallThrottled, CallTimeout, remote_error
from fnkit.functions.lambda_api import Retryable
from fnkit.functions.services import ServiceCode
from fnkit.inference_graph import compile_topology
from fnkit.inference_graph.calls import Answer, CallFailed
from fnkit.inference_graph.function_service import FunctionService
from fnkit.inference_graph.step_service import ServiceFunction, StepService
from fnkit.manifest.model import Document, Function, Manifest
from fnkit.net.errors import ConnectError, TimeoutReached
from fnkit.serving import V2ModelServer
from tests.fakes.graphs import node, step
from tests.fakes.net import TcpServer, keeping_alive


class Scale:
    def __init__(self, by: int = 2) -> None:
        self.by = by

    def do(self, body: dict[str, list[int]]) -> dict[str, list[int]]:
        return {"predictions": [value * self.by for value in body["instances"]]}


class Count:
    def do(self, body: object) -> Any:
        for number in range(3):
            yield f"{number}\n"


class Summing(V2ModelServer):
    def load(self) -> None:
        offset = self.get_param("offset", 0)
        assert isinstance(offset, int)
        self.offset = offset

    def predict(self, request: dict[str, object]) -> object:
        inputs = request["inputs"]
        assert isinstance(inputs, list)
        return [sum(row) + self.offset for row in inputs]

    def explain(self, request: dict[str, object]) -> object:
        return "because"


NAMES = {f"app:{kind.__name__}": kind for kind in (Scale, Count, Summing)}


def services(**given: ServiceCode) -> ServiceFunction:
    made = {name: StepService(name, code, namespaces=[NAMES], context=Context()) for name, code in given.items()}
    return ServiceFunction(made)


def post(function: ServiceFunction, body: object, path: str = "/", **event: Any) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"method": "POST", "content_type": "application/json", **event}
    response = drive(function(Event(raw, path=path, **fields)))
    assert isinstance(response, WireResponse)
    assert isinstance(response.body, bytes)
    return response.status, json.loads(response.body) if response.body[:1] in b"{[" else response.body.decode()


def test_a_function_of_one_service_answers_at_any_path() -> None:
    function = services(scale=ServiceCode("app:Scale", {"by": 3}))

    for path in ("/", "/scale", "/v1/models/scale:predict", "/anything"):
        assert post(function, {"instances": [1, 2]}, path) == (200, {"predictions": [3, 6]})


def test_what_curl_sends_by_itself_is_taken_for_json() -> None:
    function = services(scale=ServiceCode("app:Scale"))

    answer = post(function, {"instances": [1]}, content_type="application/x-www-form-urlencoded")

    assert answer == (200, {"predictions": [2]})


def test_a_function_of_several_services_is_asked_by_path() -> None:
    function = services(twice=ServiceCode("app:Scale"), thrice=ServiceCode("app:Scale", {"by": 3}))

    assert post(function, {"instances": [1]}, "/twice")[1] == {"predictions": [2]}
    assert post(function, {"instances": [1]}, "/v1/models/thrice:predict")[1] == {"predictions": [3]}
    assert post(function, {"instances": [1]}, "/") == (404, "there is no service at /: ask for /twice, /thrice")


def test_a_model_server_speaks_v1_and_v2() -> None:
    function = services(sums=ServiceCode("app:Summing", {"offset": 1}))

    assert post(function, {"instances": [[1, 2]]}) == (200, {"predictions": [4]})
    assert post(function, {"instances": [[1, 2]]}, "/v1/models/sums:predict") == (200, {"predictions": [4]})
    status, answer = post(function, {"inputs": [[1, 2], [3, 4]]}, "/v2/models/sums/infer")
    assert (status, answer["model_name"], answer["outputs"]) == (200, "sums", [4, 8])
    assert post(function, {"inputs": [[1, 2]]}, "/v1/models/sums:explain")[1]["outputs"] == "because"
    assert post(function, b"", "/v2/health/ready", method="GET")[0] == 200
    assert post(function, {"rows": []})[0] == 400
    assert post(function, b"{")[0] == 400


def test_another_function_gets_the_whole_answer_of_a_service() -> None:
    function = services(scale=ServiceCode("app:Scale"))

    answer = drive(function.load_step("scale")(Event(b'{"instances": [4]}', content_type="application/json", method="POST")))

    assert isinstance(answer, StepAnswer)
    assert answer.value == Response({}, b'{"predictions": [8]}', "application/json", 200)


def ask(outcome: object, *, stream: bool = False) -> Answer:
    async def call(_: Event) -> StepAnswer:
        if isinstance(outcome, BaseException):
            raise outcome
        return StepAnswer(outcome)

    return asyncio.run(FunctionService(call)(b"{}", (), stream=stream))


def caused(error: CallError, cause: Exception) -> CallError:
    error.__cause__ = cause
    return error


def test_the_answer_of_a_function_is_that_of_the_service() -> None:
    assert ask(Response({}, b"teapot", "text/plain", 418)) == Answer(418, b"teapot", "text/plain")


def unreachable() -> CallError:
    attempt = Retryable(CallThrottled("cannot be reached"))
    attempt.__cause__ = ConnectError("refused")
    return caused(attempt.error, attempt)


@pytest.mark.parametrize("error", [caused(CallTimeout("no answer within 3 s"), TimeoutReached("late")), unreachable()])
def test_a_function_that_cannot_be_reached_is_an_unreachable_service(error: CallError) -> None:
    with pytest.raises(CallFailed, match=r"no answer within|cannot be reached"):
        ask(error)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CallError("it crashed"), 502),
        (CallThrottled("too many calls"), 503),
        (CallTimeout("Task timed out"), 504),
        (remote_error("ImportError", "no numpy"), 500),
    ],
)
def test_a_function_that_fails_answers_with_a_server_error(error: Exception, status: int) -> None:
    answer = ask(error)

    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)["error"]) == (status, "Failed to process request")
    assert str(error) in json.loads(answer.body)["cause"]


class Source:
    """Pieces of a stream that knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def pieces(self, *, breaks: bool = False) -> AsyncGenerator[object]:
        try:
            yield b"a"
            if breaks:
                raise CallError("the connection broke")
            yield b"b"
        finally:
            self.closed = True


def test_a_stream_is_joined_unless_the_graph_streams() -> None:
    assert ask(Response({}, Source().pieces(), "text/plain")).body == b"ab"

    async def first() -> tuple[bytes, bool]:
        source = Source()

        async def call(_: Event) -> StepAnswer:
            return StepAnswer(Response({}, source.pieces(), "text/plain"))

        answer = await FunctionService(call)(b"", (), stream=True)
        assert isinstance(answer.body, AsyncGenerator)
        chunk = await anext(answer.body)
        await answer.body.aclose()
        return chunk, source.closed

    assert asyncio.run(first()) == (b"a", True)


def test_a_stream_that_breaks_off_fails_the_call() -> None:
    with pytest.raises(CallFailed, match="the answer broke off: the connection broke"):
        ask(Response({}, Source().pieces(breaks=True)))


def graph_manifest(mode: str = "step") -> Manifest:
    spec = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "g"},
        "spec": {
            "nodes": {"root": node("Sequence", step("scale"))},
            "fnkit": {"services": {"scale": {"target": "app:Scale", "args": {"by": 5}}}},
        },
    }
    return place(Manifest("g", Document(spec), "inference_graph", functions=(Function("g", "entry"),)), mode)  # type: ignore[arg-type]  # a Placement


def compiled(function: str, mode: str = "step", **environ: str) -> Any:
    return compile_topology(graph_manifest(mode), function=function, namespaces=[NAMES], context=Context(), environ=environ)


def test_each_function_of_a_graph_gets_its_part() -> None:
    assert post(compiled("scale"), {"instances": [1]}) == (200, {"predictions": [5]})
    assert post(compiled("g", "fused"), {"instances": [1]}) == (200, {"predictions": [5]})


def test_the_entry_function_says_why_it_cannot_reach_a_service() -> None:
    entry = compiled("g", AWS_ENDPOINT_URL_LAMBDA="http://127.0.0.1:9")

    status, answer = post(entry, {"instances": [1]})

    assert (status, answer["error"]) == (500, "Failed to process request")
    assert "function 'scale' cannot be reached" in answer["cause"]


def test_a_service_of_the_environment_is_not_called_in_its_function() -> None:
    entry = compiled("g", FNKIT_SERVICES='{"scale": "app:Scale"}')

    assert post(entry, {"instances": [1]}) == (200, {"predictions": [2]})


def test_services_are_called_by_the_names_and_versions_of_the_deployment() -> None:
    calls: list[bytes] = []
    refusal = b'{"Message": "it is gone"}'
    answer = b"HTTP/1.1 404 Not Found\r\nX-Amzn-ErrorType: ResourceNotFoundException\r\nContent-Length: %d\r\n\r\n%b"
    with TcpServer(keeping_alive(answer % (len(refusal), refusal), calls)) as server:
        environ = {"AWS_ENDPOINT_URL_LAMBDA": server.url, "FNKIT_FUNCTION_PREFIX": "g-dev-", "FNKIT_VERSIONS": '{"scale": "7"}'}

        entry = compiled("g", **environ)
        status, answered = post(entry, {"instances": [1]})
        drive(entry.close())

    assert calls[0].startswith(b"POST /2021-11-15/functions/g-dev-scale/response-streaming-invocations?Qualifier=7 ")
    assert (status, answered["cause"].count("it is gone")) == (502, 1)
