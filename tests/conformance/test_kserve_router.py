"""Every observed request to KServe's router: against the running server, over real HTTP, and in process."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any

import pytest

from fnkit.inference_graph.answers import answer_of
from fnkit.inference_graph.decode import read_graph, read_graph_json
from fnkit.inference_graph.flight import NoAnswer
from fnkit.inference_graph.graph import CompiledGraph, Surroundings
from fnkit.inference_graph.headers import patterns_of, propagation
from fnkit.inference_graph.services import service_url
from fnkit.inference_graph.webhook import find_refusals
from fnkit.net import aio
from fnkit.net.client import Client
from fnkit.net.errors import ConnectionClosed
from fnkit_emulator.router.server import Router, RouterOptions
from tests.fakes.kserve import World, load_cases, seen_calls
from tests.fakes.patience import quickest

DATA = load_cases()
CASES = DATA["cases"]
OF_THE_SERVER = ("http-double-slash", "http-readyz", "http-head")  # what only an HTTP server can show


def request_headers(case: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for name, value in case["request"]["headers"].items():
        found += [(name, item) for item in (value if isinstance(value, list) else [value])]
    return found


def propagated(case: dict[str, Any]) -> str | None:
    value: str | None = case.get("env", {}).get("PROPAGATE_HEADERS")
    return value


class Seen:
    """What a client saw of one answer; status 0: the connection was broken."""

    def __init__(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.body = body.decode("utf-8", "surrogateescape")
        self.headers = headers or {}


async def ask_server(case: dict[str, Any], world: World) -> list[Seen]:
    graph = read_graph_json(json.dumps(world.fill(case["graph"])))
    options = RouterOptions(port=0, propagate=propagated(case))
    request = case["request"]
    seen = []
    async with Router(graph, options, log=lambda *_, **__: None) as router, Client(aio.connector()) as client:
        for _ in range(case.get("repeat", 1)):
            try:
                reply = await client.request(
                    request["method"],
                    router.url.rstrip("/") + request["path"],
                    headers=request_headers(case),
                    body=request["body"].encode("utf-8", "surrogateescape"),
                )
                headers = dict(reply.headers)
                seen.append(Seen(reply.status, await reply.read(), headers))
            except ConnectionClosed:
                seen.append(Seen(0))
    return seen


async def ask_graph(case: dict[str, Any], world: World) -> list[Seen]:
    graph = read_graph_json(json.dumps(world.fill(case["graph"])))
    request = case["request"]
    seen = []
    async with Client(aio.connector(), resend=False) as client:
        policy = propagation(patterns_of(propagated(case)))
        compiled = CompiledGraph(graph, Surroundings(client=client, propagate=policy))
        for _ in range(case.get("repeat", 1)):
            try:
                body = request["body"].encode("utf-8", "surrogateescape")
                answer = answer_of(await compiled.run(body, tuple(request_headers(case))))
                assert isinstance(answer.body, bytes)
                headers = {"content-type": answer.content_type} if answer.content_type else {}
                seen.append(Seen(answer.status, answer.body, headers))
            except NoAnswer:
                seen.append(Seen(0))
        await compiled.close()
    return seen


def check(case: dict[str, Any], expected: dict[str, Any], seen: list[Seen], took_ms: float) -> float:
    """Compare; return what differs from run to run, a time or a share of random choices, as a part of the most that it may be."""
    if "predicate" in expected:
        statuses = Counter(answer.status for answer in seen)
        assert "no route was selected by the splitter" in next(a.body for a in seen if a.status == 500)
        return abs(statuses[200] / len(seen) - 0.5) / 0.1
    for answer in seen:
        if expected.get("connection_closed"):
            assert answer.status == 0
            continue
        assert (answer.status, answer.body) == (expected["status"], expected["body"])
        assert answer.headers.get("content-type") == expected.get("content_type")
    return took_ms / float(expected.get("max_ms", 60_000))


def check_calls(case: dict[str, Any], expected: dict[str, Any], world: World) -> None:
    if "call_counts" in expected:
        assert Counter(call.svc for call in world.calls) == expected["call_counts"]
    if "calls" not in expected or "repeat" in case:
        return
    seen, wanted = seen_calls(world.calls, case.get("watch_headers", [])), expected["calls"]
    if expected.get("calls_unordered"):
        seen, wanted = (sorted(calls, key=json.dumps) for calls in (seen, wanted))
    assert seen == wanted


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_the_running_router_answers_as_kserve_does(case: dict[str, Any]) -> None:
    async def scenario() -> float:
        async with World(case["services"]) as world:
            expected = world.fill(case["expected"])
            begun = time.perf_counter()
            seen = await asyncio.wait_for(ask_server(case, world), 60)
            part = check(case, expected, seen, (time.perf_counter() - begun) * 1000)
            check_calls(case, expected, world)
            for name, value in expected.get("response_headers", {}).items():
                assert seen[0].headers.get(name.lower()) == value
            return part

    assert quickest(lambda: asyncio.run(scenario()), 1) < 1


IN_PROCESS = [case for case in CASES if not case["id"].startswith(OF_THE_SERVER)]


@pytest.mark.parametrize("case", IN_PROCESS, ids=[case["id"] for case in IN_PROCESS])
def test_the_compiled_graph_answers_as_kserve_does(case: dict[str, Any]) -> None:
    async def scenario() -> float:
        async with World(case["services"]) as world:
            expected = world.fill(case["expected"])
            begun = time.perf_counter()
            seen = await asyncio.wait_for(ask_graph(case, world), 60)
            part = check(case, expected, seen, (time.perf_counter() - begun) * 1000)
            check_calls(case, expected, world)
            return part

    assert quickest(lambda: asyncio.run(scenario()), 1) < 1


VALIDATION = DATA["validation"]


@pytest.mark.parametrize("case", VALIDATION, ids=[case["id"] for case in VALIDATION])
def test_the_webhooks_refusals_have_its_words(case: dict[str, Any]) -> None:
    document = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": case["name"]},
        "spec": {"nodes": case["nodes"]},
    }

    refusals = find_refusals(read_graph(document))

    assert (refusals[0] if refusals else None) == case["error"]


ENDPOINTS = DATA["endpoint_resolution"]


@pytest.mark.parametrize("case", ENDPOINTS, ids=[case["id"] for case in ENDPOINTS])
def test_a_service_name_leads_where_the_controller_says(case: dict[str, Any]) -> None:
    protocol: Any = case.get("protocol") or next(iter(case.get("runtime_protocols", ["v1"])), "v1")
    multi_model = case["id"] == "multi-model-server"

    assert service_url(case["address"], case["isvc"], protocol, multi_model=multi_model) == case["url"]
