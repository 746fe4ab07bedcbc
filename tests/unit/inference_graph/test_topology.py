"""Graphs inside a function: an event goes in, the router's answer comes out."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from fnkit.engine import Event, Response
from fnkit.engine.context import Context
from fnkit.engine.drive import drive
from fnkit.errors import GraphError, ProblemsError, UsageError
from fnkit.functions.services import is_step
from fnkit.inference_graph import compile_topology
from fnkit.inference_graph.services import cluster_url, resolve_in_cluster, resolve_with, service_url
from fnkit.inference_graph.spec import InferenceGraph
from fnkit.inference_graph.topology import GraphTopology, body_of
from fnkit.manifest.model import Document, Flow, Manifest
from tests.fakes.graphs import node, step
from tests.fakes.net import TcpServer, keeping_alive


class Double:
    def do(self, body: dict[str, list[int]]) -> dict[str, list[int]]:
        return {"predictions": [value * 2 for value in body["instances"]]}


class Slow:
    async def do(self, body: dict[str, list[int]]) -> dict[str, list[int]]:
        await asyncio.sleep(0)
        return {"predictions": body["instances"]}


class Counting:
    def do(self, body: object) -> Any:
        for number in range(3):
            yield f"{number}\n"


class Refusing:
    def do(self, body: object) -> Response:
        return Response(status_code=418, body="teapot")


def manifest(nodes: dict[str, Any], **fnkit: Any) -> Manifest:
    spec = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "g"},
        "spec": {"nodes": nodes, "fnkit": fnkit},
    }
    return Manifest(name="g", spec=Document(spec), topology="inference_graph")


def topology(nodes: dict[str, Any], *, environ: dict[str, str] | None = None, **fnkit: Any) -> GraphTopology:
    compiled = compile_topology(
        manifest(nodes, **fnkit), function="g", namespaces=[globals()], context=Context(), environ=environ or {}
    )
    assert isinstance(compiled, GraphTopology)
    return compiled


def target(kind: type) -> str:
    return f"{__name__}:{kind.__name__}"


def ask(graph: GraphTopology, body: object = b'{"instances": [1, 2]}', **event: Any) -> tuple[int, str, bytes]:
    async def scenario() -> tuple[int, str, bytes]:
        try:
            response = await graph(Event(body, method="POST", **event))
            content = response.body
            if not isinstance(content, bytes):
                content = b"|".join([chunk async for chunk in content])
            return response.status, dict(response.headers).get("content-type", ""), content
        finally:
            await graph.close()

    result = asyncio.run(scenario()) if graph.needs_loop else drive(scenario())
    assert isinstance(result, tuple)
    return result


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules["__main__"])


def test_a_step_class_is_a_service() -> None:
    graph = topology({"root": node("Sequence", step("double"))}, services={"double": target(Double)})

    assert not graph.needs_loop
    assert ask(graph) == (200, "application/json", b'{"predictions": [2, 4]}')


def test_an_asynchronous_step_class_needs_a_loop() -> None:
    graph = topology({"root": node("Sequence", step("slow"))}, services={"slow": target(Slow)})

    assert graph.needs_loop
    assert ask(graph)[2] == b'{"predictions": [1, 2]}'


def test_step_classes_and_urls_may_be_mixed_in_an_ensemble() -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}'
    with TcpServer(keeping_alive(answer)) as server:
        nodes = {"root": node("Ensemble", step("double", name="d"), step("far", name="f"))}
        graph = topology(nodes, services={"double": target(Double), "far": server.url})

        assert ask(graph)[2] == b'{"d":{"predictions":[2,4]},"f":{"a":1}}'


def test_without_an_ensemble_a_service_is_called_without_a_loop() -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}'
    with TcpServer(keeping_alive(answer)) as server:
        graph = topology({"root": node("Sequence", {"serviceUrl": server.url})})

        assert not graph.needs_loop
        assert ask(graph) == (200, "application/json", b'{"a":1}')


def test_an_exception_of_a_step_is_an_answer_with_an_error_status() -> None:
    graph = topology({"root": node("Sequence", step("double"))}, services={"double": target(Double)})

    status, _, body = ask(graph, b'{"instances": 5}')

    assert status == 400  # what an uncaught exception of a step is in every flow
    assert b"iterable" in body


def test_the_status_of_a_step_counts_for_hard_dependencies() -> None:
    nodes = {"root": node("Sequence", step("refuse", dependency="Hard"), step("double"))}

    assert ask(topology(nodes, services={"refuse": target(Refusing), "double": target(Double)}))[::2] == (418, b"teapot")


@pytest.mark.parametrize(("stream", "body"), [(True, b"0\n|1\n|2\n"), (False, b"0\n1\n2\n")])
def test_a_step_streams_when_the_graph_asks_for_it(stream: bool, body: bytes) -> None:
    graph = topology({"root": node("Sequence", step("count"))}, services={"count": target(Counting)}, stream=stream)

    assert ask(graph)[2] == body


def test_services_of_the_environment_come_first() -> None:
    environ = {"FNKIT_SERVICES": json.dumps({"s": target(Double)})}

    assert (
        ask(topology({"root": node("Sequence", step("s"))}, environ=environ, services={"s": "http://nowhere.invalid/"}))[0] == 200
    )


@pytest.mark.parametrize("value", ["{", "[]", '{"a": 1}'])
def test_services_of_the_environment_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(UsageError):
        topology({"root": node("Sequence")}, environ={"FNKIT_SERVICES": value})


def test_headers_are_propagated_by_the_environment() -> None:
    calls: list[bytes] = []
    with TcpServer(keeping_alive(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", calls)) as server:
        graph = topology({"root": node("Sequence", {"serviceUrl": server.url})}, environ={"PROPAGATE_HEADERS": "^X-"})

        ask(graph, headers={"x-id": "7", "authorization": "secret"})

    assert b"X-Id: 7" in calls[0]
    assert b"secret" not in calls[0]


def test_readiness_is_answered_by_the_graph_itself() -> None:
    assert ask(topology({"root": node("Sequence")}), path="/readyz") == (200, "", b"")


def test_what_breaks_a_connection_is_an_error_here() -> None:
    status, content_type, body = ask(topology({"root": node("Sequence")}))

    assert (status, content_type) == (500, "application/json")
    assert b"Failed to process request" in body


def test_a_switch_without_a_match_is_404() -> None:
    assert ask(topology({"root": node("Switch", step("s", condition="no"))}))[0] == 404


@pytest.mark.parametrize(
    ("body", "raw"),
    [(b"x", b"x"), (bytearray(b"x"), b"x"), ("ü", b"\xc3\xbc"), (None, b""), ({"a": [1]}, b'{"a":[1]}'), (5, b"5")],
)
def test_whatever_the_body_was_it_is_bytes_for_the_router(body: object, raw: bytes) -> None:
    assert body_of(Event(body)) == raw


def test_a_manifest_of_another_kind_is_refused() -> None:
    with pytest.raises(GraphError):
        compile_topology(Manifest("g", Flow(())), function="g", namespaces=[], context=Context(), environ={})
    with pytest.raises(ProblemsError):
        compile_topology(Manifest("g", Document({"kind": "Pod"})), function="g", namespaces=[], context=Context(), environ={})


@pytest.mark.parametrize(
    ("text", "step_class"),
    [("models:Iris", True), ("a.b:C.D", True), ("http://h/", False), ("h:80", False), ("models", False), ("a/b:C", False)],
)
def test_a_class_is_told_from_a_url(text: str, step_class: bool) -> None:
    assert is_step(text) is step_class


def test_services_lead_where_they_are_said_to_or_into_the_cluster() -> None:
    graph = InferenceGraph("g", {}, namespace="ns")

    assert resolve_with({"a": "http://a/"})("a") == "http://a/"
    assert resolve_with({})("a") is None
    assert resolve_in_cluster(graph, {"a": "http://a/"})("a") == "http://a/"
    assert resolve_in_cluster(graph, {})("b") == "http://b.ns.svc.cluster.local/v1/models/b:predict"
    assert cluster_url("b", "", standard=True) == "http://b-predictor.default.svc.cluster.local/v1/models/b:predict"
    assert service_url("http://x", "m", "v2") == "http://x/v2/models/m/infer"


def test_the_shipped_part_loads_without_asyncio_while_it_is_not_needed() -> None:
    code = (
        "import sys, fnkit.inference_graph.topology, fnkit.net.blocking;"
        "print({'asyncio', 'yaml', 'click', 'ssl', 'logging', 'http.client'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
