"""Services that are step classes of the same project: `services: {name: "package.module:Class"}`.

Such a service is a flow of one step, so bodies are decoded and answers encoded exactly as everywhere else in fnkit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fnkit.engine import Event, compile_flow
from fnkit.inference_graph.calls import Answer
from fnkit.manifest.model import Flow, Manifest, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fnkit.engine.context import Context
    from fnkit.engine.resolve import Namespace
    from fnkit.engine.topology import FlowTopology
    from fnkit.inference_graph.calls import Headers


def is_step(target: str) -> bool:
    """Tell whether the value of a `services` entry names a step class, `"package.module:Class"`, and not a URL."""
    module, colon, name = target.partition(":")
    return bool(colon) and "/" not in target and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


class StepService:
    """Calls a step class as if it were a service. Its exceptions are answers with an error status, as a server's are."""

    __slots__ = ("_flow",)

    def __init__(self, name: str, target: str, *, namespaces: Sequence[Namespace], context: Context) -> None:
        manifest = Manifest(name=name, spec=Flow((Step(name=name, target=target, responder=True),)))
        self._flow: FlowTopology = compile_flow(manifest, namespaces=namespaces, context=context)

    @property
    def needs_loop(self) -> bool:
        """Whether the step waits on an asyncio loop."""
        return self._flow.needs_loop

    async def __call__(self, body: bytes, headers: Headers, *, stream: bool) -> Answer:
        event = Event(body, headers=dict(headers), method="POST", content_type="application/json")
        response = await self._flow(event)
        content = response.body
        content_type = next((value for name, value in response.headers if name.lower() == "content-type"), "")
        if isinstance(content, bytes):
            return Answer(response.status, content, content_type)
        if stream:
            return Answer(response.status, content, content_type)
        try:
            return Answer(response.status, b"".join([chunk async for chunk in content]), content_type)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """End what the step holds open."""
        await self._flow.close()
