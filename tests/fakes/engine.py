"""Flows and steps for tests of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from typing import Any

from fnkit.engine import Context, Event, FlowTopology, Many, Response, WireResponse, compile_flow
from fnkit.engine.context import Logger
from fnkit.manifest.model import Flow, Function, Manifest, Step


class Recorder:
    """Takes the records of `push_error`."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def __call__(self, record: dict[str, object]) -> None:
        self.records.append(record)


def context(**options: Any) -> Context:
    """Return a context that writes no log lines anywhere."""
    return Context(**{"is_mock": True, "logger": Logger(write=lambda line: None), **options})


def manifest(*steps: Step, functions: tuple[Function, ...] = (), default_content_type: str = "", **flow: Any) -> Manifest:
    return Manifest(name="g", spec=Flow(steps=steps, **flow), functions=functions, default_content_type=default_content_type)


def flow(
    *steps: Step, names: Mapping[str, object] | None = None, with_context: Context | None = None, **options: Any
) -> FlowTopology:
    """Compile a flow of *steps* whose classes are those of this module, or *names*."""
    compiling = {key: options.pop(key) for key in ("remote", "queue", "function", "max_in_flight") if key in options}
    namespace = {**globals(), **(names or {})}
    return compile_flow(manifest(*steps, **options), namespaces=[namespace], context=with_context or context(), **compiling)


def chain(*targets: str, **options: Any) -> tuple[Step, ...]:
    """Return steps one after the other, called s0, s1...; the last one responds."""
    return tuple(
        Step(
            f"s{index}", target=target, after=(f"s{index - 1}",) if index else (), responder=index == len(targets) - 1, **options
        )
        for index, target in enumerate(targets)
    )


def execute(work: Coroutine[Any, Any, Any]) -> Any:
    """Run *work* on an event loop; what it leaves behind is an error."""

    async def watched() -> Any:
        result = await asyncio.wait_for(work, 60)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"
        return result

    return asyncio.run(watched())


def answer(topology: FlowTopology, body: object = None, **event: Any) -> Any:
    """Return what the graph answers to *body*; a stream as the list of its chunks."""

    async def work() -> Any:
        result: Any = await topology.run(Event(body, **event))
        if hasattr(result, "__anext__"):
            result = [chunk async for chunk in result]
        await topology.wait()
        return result

    return execute(work())


def wire(topology: FlowTopology, body: object = None, **event: Any) -> tuple[int, str, list[bytes] | bytes]:
    """Return status, content type and body of the answer in bytes; a streamed body as the list of its chunks."""

    async def work() -> Any:
        response = await topology(Event(body, **event))
        await topology.wait()
        kind = dict(response.headers).get("content-type", "")
        return response.status, kind, await read(response)

    result: tuple[int, str, list[bytes] | bytes] = execute(work())
    return result


async def read(response: WireResponse) -> list[bytes] | bytes:
    if isinstance(response.body, bytes):
        return response.body
    return [data async for data in response.body]


# --- steps


class Trail:
    """Appends its name to the list body."""

    def __init__(self, name: str) -> None:
        self.name = name

    def do(self, body: Any) -> Any:
        return [*body, self.name]


class ATrail(Trail):
    async def do(self, body: Any) -> Any:
        await asyncio.sleep(0)
        return [*body, self.name]


class Ident:
    def do(self, body: Any) -> Any:
        return body


class AIdent:
    async def do(self, body: Any) -> Any:
        return body


class Split:
    """Makes two events of one."""

    def do(self, body: object) -> Many:
        return Many(["x", "y"])


class Ticks:
    """Streams two numbers."""

    def do(self, body: object) -> Iterator[int]:
        yield from range(2)


class Mark:
    """Changes the body in place, as users do."""

    def __init__(self, name: str) -> None:
        self.name = name

    def do(self, body: Any) -> Any:
        body.setdefault("marks", []).append(self.name)
        return body


class AMark(Mark):
    async def do(self, body: Any) -> Any:
        return Mark.do(self, body)


class Fuse:
    """Fails for one body."""

    def __init__(self, blow_on: object = "x") -> None:
        self.blow_on = blow_on

    def do(self, body: Any) -> Any:
        if body == self.blow_on:
            raise OSError(f"fuse blown on {body}")
        return body


class Rescue:
    """An error handler that tells what it sees."""

    def do(self, event: Event) -> Event:
        event.body = {
            "rescued": str(event.error),
            "kind": type(event.error).__name__,
            "from": event.origin_state,
            "was": event.body,
        }
        return event


class RescueBody:
    def do(self, body: Any) -> Any:
        return {"rescued_body": body}


class Pick:
    """Returns `body["to"]` as its outlets."""

    def do(self, body: Any) -> Any:
        return body

    def select_outlets(self, body: Any) -> Any:
        return body["to"]


class PickOnly:
    def select_outlets(self, body: Any) -> Any:
        return body["to"]


class Spin:
    """Goes round until it has turned as often as wanted."""

    def __init__(self, name: str) -> None:
        self.name = name

    def do(self, body: Any) -> Any:
        body["turns"] = body.get("turns", 0) + 1
        return body

    def select_outlets(self, body: Any) -> Any:
        return ["Complete"] if body["turns"] >= body["want"] else [self.name]


class ASpin(Spin):
    async def do(self, body: Any) -> Any:
        return Spin.do(self, body)


class Words:
    """Streams the words of a text."""

    def do(self, body: Any) -> Iterator[str]:
        yield from str(body).split()


class AWords:
    async def do(self, body: Any) -> AsyncIterator[str]:
        for word in str(body).split():
            await asyncio.sleep(0)
            yield word


class HalfWay:
    """Streams some items, then fails."""

    def __init__(self, ok_items: int) -> None:
        self.ok_items = ok_items

    def do(self, body: Any) -> Iterator[str]:
        for index in range(self.ok_items):
            yield f"{body}-{index}"
        raise LookupError("stopped half way")


class Loud:
    def do(self, body: Any) -> Any:
        return body.upper() + "!"


class Collect:
    fnkit_power = "collector"

    def collect(self, chunks: list[object], error: Exception | None) -> object:
        if error is not None:
            return {"error": f"{type(error).__name__}: {error}"}
        return chunks[0] if len(chunks) == 1 else chunks


class Merge:
    fnkit_power = "merge"

    def __init__(self, expected: int | None = None) -> None:
        self.expected = expected

    def merge(self, bodies: list[object]) -> object:
        return bodies


class Status:
    """Answers with a `Response`."""

    def do(self, body: Any) -> Response:
        return Response(body=body["b"], status_code=body["s"], content_type="text/x-test", headers={"x-k": "v"})
