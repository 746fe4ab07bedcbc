"""Random graphs answer as MLRun was observed to answer: routes, joins, cycles, errors and their handlers, streams and collectors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fnkit
from fnkit.engine import Event
from fnkit.project import FlowGraph, MockServer
from fnkit.steps import Choice

Body = dict[str, Any]
CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("data").joinpath("mlrun_random.json").read_text())["cases"]


class RRec:
    """Note the step's name in a copy of the body."""

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def note(self, body: Body) -> Body:
        return {**body, "log": [*body.get("log", []), self.tag]}

    def do(self, body: Body) -> Any:
        return self.note(body)


class RAsync(RRec):
    async def do(self, body: Body) -> Body:
        await asyncio.sleep(0)
        return self.note(body)


class RFail(RRec):
    def do(self, body: Body) -> Body:
        if self.tag in body.get("fail", []):
            raise ValueError("f" + self.tag)
        return self.note(body)


class RFull(RRec):
    def do(self, event: Event) -> Event:  # type: ignore[override]  # a step with full_event
        event.body = self.note(event.body)  # type: ignore[arg-type]  # the body is a dict
        return event


class RDoEvent(RRec):
    def do_event(self, event: Event) -> Event:
        event.body = self.note(event.body)  # type: ignore[arg-type]  # the body is a dict
        return event


class RGen(RRec):
    def do(self, body: Body) -> Iterator[Body]:
        for number in range(body.get("n", 2)):
            yield {**self.note(body), "i": number}


class RCatch(RRec):
    """An error handler that notes what it caught."""

    def do(self, event: Event) -> Event:  # type: ignore[override]  # a step with full_event
        caught = [type(event.error).__name__, str(event.error), event.origin_state]
        event.body = self.note({**event.body, "caught": caught})  # type: ignore[dict-item]  # the body is a dict
        return event


class RPick(RRec):
    def select_outlets(self, body: Body) -> Any:
        return _turn(self.tag, body)


class RPickC(Choice):
    def __init__(self, tag: str) -> None:
        self.tag = tag

    def select_outlets(self, body: Any) -> Any:
        return _turn(self.tag, body) or []


def _turn(tag: str, body: Body) -> Any:
    """Return the outlets that the body wants of this step, by the number of steps behind it."""
    wanted = body.get("go", {}).get(tag)
    return wanted[len(body.get("log", [])) % len(wanted)] if wanted else None


def _build(case: dict[str, Any]) -> MockServer:
    function = fnkit.new_function("tests", project="x")
    graph = function.set_topology("flow", engine="async", **case["flow"])
    assert isinstance(graph, FlowGraph)
    for call in case["graph"]:
        options = {key: value for key, value in call.items() if key not in ("call", "on")}
        subject: Any = graph[call["on"]] if call.get("on") else graph
        getattr(subject, call["call"])(**options)
    return function.to_mock_server(namespace=globals())


def _observe(server: MockServer, body: Body) -> dict[str, Any]:
    """Return what one call of `test` does, in the words of the cases."""
    try:
        value = server.test(body=body, event_id="E1")
    except Exception as error:
        return {"raises": _said(error)}
    if not isinstance(value, Generator):
        return {"result": value}
    chunks: list[Any] = []
    try:
        chunks.extend(value)
    except Exception as error:
        return {"stream": chunks, "then_raises": _said(error)}
    return {"stream": chunks}


def _said(error: Exception) -> dict[str, str]:
    return {"type": type(error).__name__, "message": str(error)}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_a_random_graph_answers_as_observed(case: dict[str, Any]) -> None:
    with _build(case) as server:
        observed = [_observe(server, body) for body in case["input"]]

    assert observed == case["expected"]


def test_the_observed_graphs_have_all_that_is_to_be_compared() -> None:
    seen = SimpleNamespace(calls=set(), kinds=set(), classes=set())
    for case in CASES:
        seen.calls |= {call["call"] for call in case["graph"]}
        seen.classes |= {call.get("class_name", "") for call in case["graph"]}
        seen.kinds |= {key for item in case["expected"] for key in item}

    assert seen.calls == {"add_step", "error_handler", "cycle_to", "respond"}
    assert seen.classes >= {
        "RPick",
        "RPickC",
        "RGen",
        "RFail",
        "RFull",
        "RAsync",
        "storey.Collector",
        "storey.Map",
        "storey.Extend",
    }
    assert seen.kinds >= {"result", "raises", "stream"}
