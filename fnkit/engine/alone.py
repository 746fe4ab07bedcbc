"""One step alone, as the function that it was placed in runs it for the function that runs the graph."""

from __future__ import annotations

from fnkit.engine.answer import Answer
from fnkit.engine.chunks import placed, route
from fnkit.engine.compile import flow_of, node_of, waits
from fnkit.engine.construct import build_step
from fnkit.engine.edges import followers
from fnkit.engine.event import Event
from fnkit.engine.isolation import isolate
from fnkit.engine.node import COMPLETE, Node, identity
from fnkit.engine.paths import read_path, write_path
from fnkit.engine.powers import COROUTINE, STREAMS, Drop, Many
from fnkit.engine.stream import SyncSource, close_source
from fnkit.errors import GraphError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from typing import Any

    from fnkit.engine.answer import RemoteStep
    from fnkit.engine.context import Context
    from fnkit.engine.resolve import Namespace
    from fnkit.manifest.model import Manifest, Step


def load_step(manifest: Manifest, step_name: str, *, namespaces: Sequence[Namespace] = (), context: Context) -> RemoteStep:
    """Construct the step *step_name* of *manifest* (or the route of a router with this key) and return it ready to be called.

    GraphError where there is no such step, or where it cannot run apart from its graph.
    """
    flow = flow_of(manifest)
    step = _find(flow.steps, step_name)
    built = build_step(step, context, namespaces)
    node = node_of(0, step, built)
    if node.power:
        raise GraphError(
            f"step '{step.name}' gathers what its graph sends it and cannot run in a function of its own",
            hint="leave it in the entry function: give it no function=, or use another placement",
        )
    follow = followers(flow).get(step.name, [])
    targets = tuple(Node(name, index, identity) for index, name in enumerate(follow))
    node.aim((COMPLETE, *targets) if step.responder else targets)
    return LoneStep(node, needs_loop=waits(built))


def _find(steps: Sequence[Step], name: str) -> Step:
    for step in steps:
        if step.name == name:
            return step
        for each in step.routes:
            if each.key == name:
                return type(step)(name=name, target=each.target, handler=each.handler, args=each.args)
    raise GraphError(f"the graph has no step called '{name}'", hint="deploy all functions of the graph together")


class LoneStep:
    """A step without its graph. The outlets that it chooses are checked here and named in the answer."""

    __slots__ = ("_node", "needs_loop")

    def __init__(self, node: Node, *, needs_loop: bool) -> None:
        self._node = node
        self.needs_loop = needs_loop

    async def __call__(self, event: Event) -> Answer:
        """Run the step for *event*."""
        node = self._node
        result = node.call(event if node.takes_event else read_path(event.body, node.input_path))
        if result.__class__ is COROUTINE:
            result = await result
        if isinstance(result, Drop):
            return Answer(None, ())
        if isinstance(result, Many):
            return Answer(list(placed(node, event, result).bodies), many=True)
        if result.__class__ in STREAMS:
            return Answer(self._chunks(event, result), streaming=True)
        if not node.takes_event:
            event.body = write_path(event.body, node.result_path, result)
        elif isinstance(result, Event):
            event = result
        else:
            raise TypeError(f"step '{node.name}' gets the whole event and must return an event, not {type(result).__name__}")
        return Answer(event.body, await self._outlets(event))

    async def _outlets(self, event: Event) -> tuple[str, ...] | None:
        node = self._node
        if node.select is None:
            return None
        chosen = await route(node, event)
        return None if chosen is node.targets else tuple(target.name for target in chosen)

    async def _chunks(self, event: Event, source: Any) -> AsyncIterator[tuple[object, tuple[str, ...] | None]]:
        node = self._node
        stream = source if hasattr(source, "__anext__") else SyncSource(source)
        try:
            while True:
                try:
                    chunk = await stream.__anext__()
                except StopAsyncIteration:
                    return
                if node.takes_event and isinstance(chunk, Event):
                    chunk = chunk.body
                elif node.result_path:
                    chunk = write_path(isolate(event.body), node.result_path, chunk)
                one = event.chunk(chunk, node.name, 0) if node.select is not None else event
                yield chunk, await self._outlets(one) if node.select is not None else None
        finally:
            await close_source(stream)
