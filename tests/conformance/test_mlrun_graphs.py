"""Serving graphs answer as observed: what is to match matches, what is to be better is better."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import fnkit
from fnkit.engine import Context, Event, Response, WireResponse, compile_flow, drive
from fnkit.errors import GraphError
from fnkit.project import ServingFunction
from tests.conformance import mlrun_steps
from tests.conformance.mlrun_graphs import BUILDERS

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("data").joinpath("mlrun_graphs.json").read_text())["cases"]
BY_ID = {case["id"]: case for case in CASES}
_WITH_MODELS = ("router", "model")


def _is_mock_case(case: dict[str, Any]) -> bool:
    expected = case["expected"]
    answers = expected if isinstance(expected, list) else []
    return bool(answers) and case["policy"] == "match" and not any("status" in item for item in answers)


MATCH = [case["id"] for case in CASES if _is_mock_case(case)]
REFUSED = [case["id"] for case in CASES if isinstance(case["expected"], dict) and case["feature"] != "plot.shapes"]
WIRE = [case["id"] for case in CASES if case["feature"].startswith("http.") and case["policy"] == "match"]
IMPROVED = {
    "flow-06": "test_a_responder_in_mid_graph_is_refused",
    "event-03": "test_parameters_of_a_media_type_are_ignored",
    "cycle-10": "test_what_hangs_there_is_answered_here",
    "model-11": "test_what_hangs_there_is_answered_here",
    "builtin-02": "test_what_hangs_there_is_answered_here",
    "http-03": "test_falsy_values_are_answered_as_json",
    "http-13": "test_a_stream_that_is_not_asked_for_is_joined",
    "conc-02": "test_a_stream_does_not_keep_other_events_waiting",
    "limit-02": "test_chunks_are_not_counted_as_iterations",
}


def _function(case_id: str) -> ServingFunction:
    function = fnkit.new_function("tests", project="x")
    BUILDERS[case_id](function)
    return function


def _server(case_id: str, **options: Any) -> Any:
    case = BY_ID[case_id]
    spaces = [mlrun_steps]
    if case_id.startswith(_WITH_MODELS):
        spaces.append(import_module("tests.conformance.mlrun_models"))
    return _function(case_id).to_mock_server(namespace=spaces, **{**case.get("mock_options", {}), **options})


def _plain(value: Any) -> Any:
    """Return *value* as the cases write it."""
    if isinstance(value, Response):
        names = ("status_code", "content_type", "headers", "body")
        return {"$response": {name: _plain(getattr(value, name)) for name in names}}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, dict):
        return {key: "<timestamp>" if key == "timestamp" else _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _body(value: Any) -> Any:
    return bytes.fromhex(value["$bytes"]) if isinstance(value, dict) and set(value) == {"$bytes"} else value


def _observe(server: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return what one call of `test` does, in the words of the cases."""
    try:
        value = server.test(**{**given, "body": _body(given.get("body"))})
    except Exception as error:
        return {"raises": _said(error)}
    if not isinstance(value, Generator):
        return {"result": _plain(value)}
    chunks: list[Any] = []
    try:
        chunks += (_plain(chunk) for chunk in value)
    except Exception as error:
        return {"stream": chunks, "then_raises": _said(error)}
    return {"stream": chunks}


def _said(error: Exception) -> dict[str, str]:
    return {"type": type(error).__name__, "message": str(error)}


def _short(expected: dict[str, Any]) -> dict[str, Any]:
    """Return *expected* with errors named by the last part of their class."""
    return {
        key: {**item, "type": item["type"].rpartition(".")[2]} if key in ("raises", "then_raises") else item
        for key, item in expected.items()
    }


def test_every_case_is_run() -> None:
    run = {*MATCH, *REFUSED, *WIRE, *IMPROVED, "plot-01"}

    assert run == set(BY_ID) == set(BUILDERS)
    assert {case["id"] for case in CASES if case["policy"] == "improve"} == set(IMPROVED)
    assert all(name in globals() for name in IMPROVED.values())


@pytest.mark.parametrize("case_id", MATCH)
def test_a_graph_answers_as_observed(case_id: str) -> None:
    case = BY_ID[case_id]

    with _server(case_id) as server:
        observed = [_observe(server, given) for given in case["input"]]

    assert observed == [_short(expected) for expected in case["expected"]]


@pytest.mark.parametrize("case_id", REFUSED)
def test_a_faulty_graph_is_refused_as_observed(case_id: str) -> None:
    ((kind, expected),) = BY_ID[case_id]["expected"].items()

    with pytest.raises(Exception) as caught:  # noqa: PT011  # the case says which
        _function(case_id) if kind == "build_raises" else _server(case_id)

    assert type(caught.value).__name__ == expected["type"].rpartition(".")[2]
    assert str(caught.value) == expected["message"]


def _answer(case_id: str, body: Any) -> tuple[WireResponse, list[bytes]]:
    """Return the wire answer of the compiled flow to a POST of *body*, and its chunks."""
    loaded = _function(case_id).load()
    topology = compile_flow(loaded.manifest, namespaces=[mlrun_steps], context=Context())

    async def ask() -> tuple[WireResponse, list[bytes]]:
        answer = await topology(Event(_body(body), method="POST"))
        if isinstance(answer.body, bytes):
            return answer, [answer.body]
        return answer, [chunk async for chunk in answer.body]

    return asyncio.run(ask())


def _wire_body(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes.fromhex(body["$bytes"])


@pytest.mark.parametrize("case_id", WIRE)
def test_the_wire_carries_what_was_observed(case_id: str) -> None:
    case = BY_ID[case_id]

    for given, expected in zip(case["input"], case["expected"], strict=True):
        body = given["body"] if isinstance(given["body"], str) or "$bytes" in given["body"] else json.dumps(given["body"])
        answer, chunks = _answer(case_id, body)

        assert answer.status == expected["status"]
        assert dict(answer.headers)["content-type"] == expected["content_type"]
        if "chunks" in expected:
            assert chunks == [chunk.encode() for chunk in expected["chunks"]]
        else:
            assert b"".join(chunks) == _wire_body(expected["body"])


def test_a_responder_in_mid_graph_is_refused() -> None:
    with pytest.raises(GraphError, match="it answers the client, but B would still come after it"):
        _server("flow-06")


def test_parameters_of_a_media_type_are_ignored() -> None:
    with _server("event-03") as server:
        assert [server.test(**given) for given in BY_ID["event-03"]["input"]] == ["dict"]


@pytest.mark.parametrize("case_id", ["cycle-10", "model-11", "builtin-02"])
def test_what_hangs_there_is_answered_here(case_id: str) -> None:
    case = BY_ID[case_id]

    with _server(case_id) as server:
        for given, expected in zip(case["input"], case["expected"], strict=True):
            observed = _observe(server, given)

            if not expected.get("hangs_in_mlrun"):
                assert observed == _short(expected)
            elif "result" in observed:
                assert observed["result"] in ({}, None) or observed["result"]["$response"]["status_code"] == 204
            else:
                assert observed["raises"]["message"].startswith("failed (4")


def test_falsy_values_are_answered_as_json() -> None:
    answers = [_answer("http-03", given["body"]) for given in BY_ID["http-03"]["input"]]

    assert [chunks for _, chunks in answers] == [[b"null"], [b"0"], [b"false"]]
    assert {dict(answer.headers)["content-type"] for answer, _ in answers} == {"application/json"}


def test_a_stream_that_is_not_asked_for_is_joined() -> None:
    server = _server("http-13")

    answer, chunks = _answer("http-13", "hi")

    assert server.manifest.streaming is False
    assert (answer.status, b"".join(chunks)) == (200, b"bin1str2")


def test_a_stream_does_not_keep_other_events_waiting() -> None:
    loaded = _function("conc-02").to_mock_server(namespace=mlrun_steps)

    order: list[str] = []

    async def both() -> None:
        topology = compile_flow(loaded.manifest, namespaces=[mlrun_steps], context=Context())

        async def stream() -> None:
            async for _ in (await topology(Event("gen"))).frames():
                order.append("frame")

        async def echo() -> None:
            await topology(Event("x"))
            order.append("echo")

        await asyncio.gather(stream(), echo())

    asyncio.run(both())

    assert order.index("echo") < len(order) / 2


def test_chunks_are_not_counted_as_iterations() -> None:
    with _server("limit-02") as server:
        assert list(server.test(body=1)) == list(range(6))


def test_a_plot_has_the_observed_shapes() -> None:
    expected = BY_ID["plot-01"]["expected"]

    drawing = _function("plot-01").plot(rankdir="LR")

    assert drawing.graph_attrs == expected["graph_attrs"]
    assert drawing.edges == expected["edges"]
    assert set(drawing.nodes) == set(expected["nodes"])
    for name, look in expected["nodes"].items():
        assert look.items() <= drawing.nodes[name].items()


def test_drive_needs_no_loop_for_plain_steps() -> None:
    topology = compile_flow(_function("http-01").load().manifest, context=Context())

    answer = drive(topology(Event("txt", method="POST")))

    assert isinstance(answer, WireResponse)
    assert answer.body == b"txt"
