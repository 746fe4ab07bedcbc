"""A large body holds nobody up: what is done on it is done in a thread."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fnkit.inference_graph.beside import LARGE_BODY
from fnkit.inference_graph.decode import read_graph_json
from fnkit.net import aio
from fnkit.net.client import Client
from fnkit_emulator.router.server import Router, RouterOptions, Threads
from tests.fakes.kserve import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fnkit.inference_graph.beside import Result

PATIENCE_S = 60
SMALL = 20
ROWS = [{"id": n, "score": n / 7} for n in range(LARGE_BODY // 20)]
BODY = json.dumps({"predictions": ROWS}).encode()
ANSWER = json.dumps({"predictions": ROWS}, separators=(",", ":"))

SWITCH = {"root": {"routerType": "Switch", "steps": [{"serviceUrl": "{{svcA}}", "condition": "predictions.#(id==7)"}]}}
SEQUENCE = {
    "root": {
        "routerType": "Sequence",
        "steps": [
            {"serviceUrl": "{{svcLarge}}", "name": "first"},
            {"serviceUrl": "{{svcA}}", "name": "second", "data": "$response", "condition": "predictions.#(id==7)"},
        ],
    }
}
MAPPED = {
    "root": {
        "routerType": "Sequence",
        "steps": [
            {"serviceUrl": "{{svcLarge}}"},
            {"serviceUrl": "{{svcA}}", "data": "$response", "mapPredictionsToInstances": True},
        ],
    }
}
ENSEMBLE = {"root": {"routerType": "Ensemble", "steps": [{"serviceUrl": "{{svcLarge}}", "name": "a"}]}}
MERGED = {**ENSEMBLE, "root": {**ENSEMBLE["root"], "fnkit": {"merge": "list"}}}
PLAIN = {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "{{svcLarge}}"}]}}


class Gate:
    """Does work in a thread that ends only when small requests have been answered meanwhile."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.begun = asyncio.Event()
        self.works: list[str] = []
        self.in_loop = False

    async def __call__(self, work: Callable[..., Result], /, *args: object) -> Result:
        loop_thread = threading.get_ident()
        self.works.append(work.__name__)
        self.begun.set()

        def held() -> Result:
            self.in_loop = self.in_loop or threading.get_ident() == loop_thread
            assert self.opened.wait(PATIENCE_S)
            return work(*args)

        return await asyncio.to_thread(held)


def run(nodes: dict[str, Any], services: dict[str, dict[str, Any]], scenario: Callable[[Router, Gate], Awaitable[None]]) -> Gate:
    async def running() -> Gate:
        gate = Gate()
        async with World(services) as world:
            graph = read_graph_json(json.dumps(world.fill({"nodes": nodes})))
            async with Router(graph, RouterOptions(port=0), log=lambda *_, **__: None, beside=gate) as router:
                await asyncio.wait_for(scenario(router, gate), PATIENCE_S)
        return gate

    return asyncio.run(running())


@pytest.mark.parametrize(
    ("nodes", "body", "works"),
    [
        (SWITCH, BODY, {"_first_that_holds"}),
        (SEQUENCE, b"{}", {"_first_that_holds"}),
        (MAPPED, b"{}", {"map_predictions_to_instances"}),
        (ENSEMBLE, b"{}", {"canonical_object", "answer_of"}),
        (MERGED, b"{}", {"as_list", "answer_of"}),
        (PLAIN, b"{}", {"answer_of"}),
    ],
    ids=["switch", "sequence", "map", "ensemble", "merge", "answer"],
)
def test_small_requests_are_answered_while_a_large_body_is_worked_on(nodes: dict[str, Any], body: bytes, works: set[str]) -> None:
    answered = []

    async def scenario(router: Router, gate: Gate) -> None:
        async with Client(aio.connector(), connect_timeout_s=30) as client:
            large = asyncio.create_task(client.request("POST", router.url, body=body))
            await gate.begun.wait()
            for _ in range(SMALL):
                reply = await client.request("GET", router.url + "readyz")
                answered.append((reply.status, await reply.read()))
            assert not large.done()
            gate.opened.set()
            reply = await large
            assert reply.status == 200
            await reply.read()

    gate = run(nodes, {"svcA": {"body": '{"ok":1}'}, "svcLarge": {"body": ANSWER}}, scenario)

    assert answered == [(200, b"")] * SMALL
    assert set(gate.works) == works
    assert not gate.in_loop


def test_small_bodies_stay_in_the_loop() -> None:
    async def scenario(router: Router, _gate: Gate) -> None:
        async with Client(aio.connector(), connect_timeout_s=30) as client:
            reply = await client.request("POST", router.url, body=b'{"predictions":[{"id":7}]}')
            assert (reply.status, await reply.read()) == (200, b'{"ok":1}')

    gate = run(SWITCH, {"svcA": {"body": '{"ok":1}'}}, scenario)

    assert gate.works == []


def test_a_large_compressed_answer_is_decompressed_beside_the_loop() -> None:
    async def scenario(router: Router, gate: Gate) -> None:
        gate.opened.set()
        async with Client(aio.connector(), connect_timeout_s=30) as client:
            reply = await client.request("POST", router.url, body=b"{}")
            assert await reply.read() == ANSWER.encode()

    gate = run(PLAIN, {"svcLarge": {"body": ANSWER, "gzip": True}}, scenario)

    assert gate.works == ["_gunzip", "answer_of"]


def test_the_router_s_own_threads_do_the_work_and_end_with_it() -> None:
    async def scenario() -> tuple[str, bool]:
        threads = Threads()
        name = await threads(lambda: threading.current_thread().name)
        threads.close()
        with pytest.raises(RuntimeError):
            await threads(len, b"")
        return name, threading.current_thread().name == name

    name, same = asyncio.run(scenario())

    assert name.startswith("large-bodies")
    assert not same


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 3_000_001])
def test_a_large_answer_arrives_whole(size: int) -> None:
    body = json.dumps("x" * (size - 2))

    async def scenario(router: Router, gate: Gate) -> None:
        gate.opened.set()
        async with Client(aio.connector(), connect_timeout_s=30) as client:
            reply = await client.request("POST", router.url, body=b"{}")
            assert (reply.header("transfer-encoding"), await reply.read()) == ("chunked", body.encode())
        reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
        writer.write(b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % size in head
        assert await reader.read() == body.encode()
        writer.close()

    run(PLAIN, {"svcLarge": {"body": body}}, scenario)


def test_a_client_that_goes_away_in_the_middle_of_a_large_answer_costs_only_its_connection() -> None:
    body = json.dumps("x" * 20_000_000)

    async def scenario(router: Router, gate: Gate) -> None:
        gate.opened.set()
        reader, writer = await asyncio.open_connection("127.0.0.1", router.port, limit=4096)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        await reader.readexactly(1000)
        writer.transport.abort()
        async with Client(aio.connector(), connect_timeout_s=30) as client:
            reply = await client.request("GET", router.url + "readyz")
            assert reply.status == 200

    run(PLAIN, {"svcLarge": {"body": body}}, scenario)
