"""What a router does with an answer, without connections."""

from __future__ import annotations

import asyncio

from fnkit.inference_graph.gjson.validity import LARGE
from fnkit.inference_graph.graph import Outcome
from fnkit_emulator.router.connection import ServerAnswer
from fnkit_emulator.router.front import Front
from fnkit_emulator.router.requests import Request

ROWS = b'{"instances":[' + b",".join([b"[6.8, 2.8, 4.8, 1.4]"] * 600_000) + b"]}"


class LargeAnswer:
    """A graph that answers at once with 12 MB of JSON."""

    async def run(self, body: bytes, headers: object) -> Outcome:
        return Outcome(200, ROWS)


def request(path: str) -> Request:
    return Request("POST", path, "", (), b"{}", True, False)


def test_other_requests_are_answered_while_a_large_answer_is_checked() -> None:
    front = Front(LargeAnswer(), log=lambda *_, **__: None, beside=asyncio.to_thread)  # type: ignore[arg-type]  # of a graph only `run` is used

    async def scenario() -> tuple[int, ServerAnswer | None]:
        large = asyncio.create_task(front(request("/")))
        answered = 0
        while not large.done():
            await front(request("/readyz"))
            answered += 1
            await asyncio.sleep(0)
        return answered, large.result()

    answered, answer = asyncio.run(scenario())

    assert len(ROWS) > LARGE
    assert answer is not None
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answered > 10
