"""Small flows for tests: built from steps, run to their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fnkit.engine import Context, Event, FlowTopology, Response, Stream, compile_flow
from fnkit.manifest.model import Flow, Manifest, Step

T = TypeVar("T")


def flow_of(
    *steps: Step, namespace: dict[str, object] | None = None, context: Context | None = None, **options: object
) -> FlowTopology:
    """Compile *steps*, which name their predecessors themselves."""
    manifest = Manifest("g", Flow(tuple(steps), **options))  # type: ignore[arg-type]  # fields of Flow
    return compile_flow(manifest, namespaces=[namespace or {}], context=context or Context())


def chain(*steps: Step, namespace: dict[str, object] | None = None, context: Context | None = None) -> FlowTopology:
    """Compile *steps* one behind the other; the last responds."""
    linked = []
    for number, step in enumerate(steps):
        fields = {slot: getattr(step, slot) for slot in Step.__slots__}
        fields["after"] = (steps[number - 1].name,) if number else ()
        fields["responder"] = number == len(steps) - 1
        linked.append(Step(**fields))
    return flow_of(*linked, namespace=namespace, context=context)


def answers(topology: FlowTopology, *bodies: object) -> list[object]:
    """Run an event for each body, one after the other, and return the answers; a stream is its list, a dropped event is its status."""

    async def run() -> list[object]:
        try:
            return [await _plain(await topology.run(Event(body))) for body in bodies]
        finally:
            await topology.close()

    return asyncio.run(run())


def answer(topology: FlowTopology, body: object) -> object:
    """Run one event and return its answer."""
    return answers(topology, body)[0]


def running(use: Callable[[], Awaitable[T]]) -> T:
    """Run an async function to its end."""

    async def run() -> T:
        return await use()

    return asyncio.run(run())


async def _plain(value: object) -> object:
    if isinstance(value, Stream):
        return [chunk async for chunk in value]
    if isinstance(value, Response) and value.status_code == 204:
        return 204
    return value
