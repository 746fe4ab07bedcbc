"""Services that are step classes of the same project: `services: {name: "package.module:Class"}`.

Such a service is a flow of one step, so bodies are decoded and answers encoded exactly as everywhere else in fnkit. It is called by
the graph in the same function, by the graph in another function, or by whoever has the URL of its function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fnkit.engine import Event, compile_flow
from fnkit.engine.answer import Answer as StepAnswer
from fnkit.engine.response import Response, WireResponse
from fnkit.inference_graph.answers import JSON
from fnkit.inference_graph.calls import Answer
from fnkit.inference_graph.model_protocol import ask_model, is_model
from fnkit.manifest.model import Flow, Manifest, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fnkit.engine.context import Context
    from fnkit.engine.resolve import Namespace
    from fnkit.engine.topology import FlowTopology
    from fnkit.functions.services import ServiceCode
    from fnkit.inference_graph.calls import Headers


class StepService:
    """Calls a step class as if it were a service. Its exceptions are answers with an error status, as a server's are."""

    __slots__ = ("_flow", "_is_model")

    def __init__(self, name: str, code: ServiceCode, *, namespaces: Sequence[Namespace], context: Context) -> None:
        step = Step(name=name, target=code.target, args=code.args, responder=True)
        manifest = Manifest(name=name, spec=Flow((step,)))
        self._flow: FlowTopology = compile_flow(manifest, namespaces=namespaces, context=context)
        self._is_model = is_model(self._flow.step_objects.get(name))

    @property
    def needs_loop(self) -> bool:
        """Whether the step waits on an asyncio loop."""
        return self._flow.needs_loop

    async def respond(self, event: Event) -> WireResponse:
        """Answer *event*, a request to the service."""
        return await (ask_model(self._flow, event) if self._is_model else self._flow(event))

    async def __call__(self, body: bytes, headers: Headers, *, stream: bool) -> Answer:
        response = await self.respond(Event(body, headers=dict(headers), method="POST", content_type="application/json"))
        content = response.body
        content_type = content_type_of(response)
        if isinstance(content, bytes) or stream:
            return Answer(response.status, content, content_type)
        try:
            return Answer(response.status, b"".join([chunk async for chunk in content]), content_type)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """End what the step holds open."""
        await self._flow.close()


def content_type_of(response: WireResponse) -> str:
    """Return the content type of *response*, `""` if it has none."""
    return next((value for name, value in response.headers if name.lower() == "content-type"), "")


class ServiceFunction:
    """The services of one function as its topology.

    A request goes to the service that its path names, `/NAME` or a path of a model called NAME; where there is only one, any path
    will do.
    """

    def __init__(self, services: Mapping[str, StepService]) -> None:
        self.needs_loop = any(service.needs_loop for service in services.values())
        self._services = services

    async def __call__(self, event: Event) -> WireResponse:
        name = next((part for part in _names_in(event.path) if part in self._services), "")
        if event.path.strip("/") == name:
            event.path = "/"
        if not name and len(self._services) == 1:
            name = next(iter(self._services))
        if not name:
            text = f"there is no service at {event.path}: ask for /{', /'.join(self._services)}"
            return WireResponse(404, (("content-type", "text/plain"),), text.encode())
        if event.content_type.startswith("application/x-www-form-urlencoded"):
            event.content_type = JSON  # what curl says of any text; a graph tells its services the same
        return await self._services[name].respond(event)

    def load_step(self, name: str) -> CalledService:
        """Return the service *name* as another function calls it. KeyError if it is not one of this function's."""
        return CalledService(self._services[name])

    async def close(self) -> None:
        """End what the services hold open."""
        for service in self._services.values():
            await service.close()


class CalledService:
    """A service as a step that another function calls: the whole HTTP answer is its value."""

    __slots__ = ("_service",)

    def __init__(self, service: StepService) -> None:
        self._service = service

    @property
    def needs_loop(self) -> bool:
        """Whether the service waits on an asyncio loop."""
        return self._service.needs_loop

    async def __call__(self, event: Event) -> StepAnswer:
        response = await self._service.respond(event)
        return StepAnswer(Response({}, response.body, content_type_of(response), response.status))


def _names_in(path: str) -> tuple[str, ...]:
    """Return what may be a service's name in *path*: `/NAME`, `/v1/models/NAME:predict`, `/v2/models/NAME/infer`."""
    parts = path.strip("/").split("/")
    if parts[:2] in (["v1", "models"], ["v2", "models"]) and len(parts) > 2:
        return (parts[2].partition(":")[0],)
    return (parts[0],)
