"""An InferenceGraph as the topology of a function: an event goes in, the router's answer comes out."""

from __future__ import annotations

from importlib import import_module
from json import dumps, loads
from time import sleep
from typing import TYPE_CHECKING

from fnkit.engine.response import WireResponse
from fnkit.errors import GraphError, UsageError
from fnkit.functions.services import ServiceCode, target_of
from fnkit.inference_graph.answers import JSON, answer_of, error_body
from fnkit.inference_graph.decode import read_graph
from fnkit.inference_graph.flight import NoAnswer
from fnkit.inference_graph.graph import CompiledGraph, Surroundings, needs_loop
from fnkit.inference_graph.headers import patterns_of, propagation
from fnkit.inference_graph.step_service import ServiceFunction, StepService
from fnkit.manifest.model import Document
from fnkit.net.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fnkit.engine.context import Context
    from fnkit.engine.event import Event
    from fnkit.engine.resolve import Namespace
    from fnkit.functions.links import Callers
    from fnkit.inference_graph.calls import Service
    from fnkit.inference_graph.spec import InferenceGraph
    from fnkit.manifest.model import Function, Manifest
    from fnkit.net.stream import Connector


class GraphTopology:
    """A compiled graph with the client that it calls services by. *needs_loop*: False where nothing waits on an asyncio loop."""

    def __init__(
        self,
        graph: InferenceGraph,
        services: Mapping[str, str | Service],
        environ: Mapping[str, str],
        callers: Callers | None = None,
    ) -> None:
        self._callers = callers
        steps = [service for service in services.values() if isinstance(service, StepService)]
        self.needs_loop = _looped(graph, steps)
        self._steps = steps
        self._client = Client(_connector(looped=self.needs_loop), connect_timeout_s=30, resend=False)
        patterns = graph.extensions.propagate_headers
        around = Surroundings(
            client=self._client,
            resolve=services.get,
            propagate=propagation(patterns_of(environ.get("PROPAGATE_HEADERS")) if patterns is None else patterns),
            sleep=None if self.needs_loop else _sleep,
            beside=import_module("asyncio").to_thread if self.needs_loop else None,
        )
        self._graph = CompiledGraph(graph, around)

    async def __call__(self, event: Event) -> WireResponse:
        """Answer *event*: its body is the request's, its headers those that may be propagated."""
        if event.path == "/readyz":
            return WireResponse(200, (), b"")
        try:
            outcome = await self._graph.run(body_of(event), tuple(event.headers.items()))
        except NoAnswer as error:
            # A function cannot break a connection: it has to answer something.
            return WireResponse(500, (("content-type", JSON),), error_body(str(error)))
        answer = answer_of(outcome)
        headers = (("content-type", answer.content_type),) if answer.content_type else ()
        return WireResponse(answer.status, headers, answer.body)

    async def close(self) -> None:
        """End the calls under way and close the connections."""
        await self._graph.close()
        for step in self._steps:
            await step.close()
        await self._client.close()
        if self._callers is not None:
            await self._callers.close()


def compile_topology(
    manifest: Manifest, *, function: str, namespaces: Sequence[Namespace], context: Context, environ: Mapping[str, str]
) -> GraphTopology | ServiceFunction:
    """Return what *function* of *manifest* runs: the graph, or the services that are placed in it.

    A service name leads where the graph's `services` say: to a URL, or to a step class, of this bundle or of another function.
    `FNKIT_SERVICES`, a JSON object of URLs and `"module:Class"`, comes before them. Raises `UsageError`, `ProblemsError` and
    `GraphError` for what cannot be used, and whatever a constructor raises.
    """
    spec = manifest.spec
    if not isinstance(spec, Document):
        raise GraphError(f"function {function!r} has no inference graph", hint="build it again")
    graph = read_graph(spec.spec, where=f"the inference graph of {manifest.name!r}")
    placed = {name: found for found in manifest.functions if found.kind != "entry" for name in found.steps}
    mine = [name for name, home in placed.items() if home.name == function]

    def local(name: str, code: ServiceCode) -> StepService:
        return StepService(name, code, namespaces=namespaces, context=context)

    if mine:
        return ServiceFunction({name: local(name, graph.extensions.code[name]) for name in mine})
    services: dict[str, str | Service] = {}
    elsewhere: dict[str, Function] = {}
    for name, target in {**graph.extensions.services, **_environment_services(environ)}.items():
        if isinstance(target, ServiceCode) and name in placed and target == graph.extensions.services.get(name):
            elsewhere[name] = placed[name]
        else:
            services[name] = local(name, target) if isinstance(target, ServiceCode) else target
    if not elsewhere:
        return GraphTopology(graph, services, environ)
    links = import_module("fnkit.functions.links")  # a function that calls nobody pays nothing for the client
    callers: Callers = links.Callers(environ, looped=_looped(graph, services.values()))
    services |= {name: _in_function(name, home, callers, graph, links.MARGIN_S) for name, home in elsewhere.items()}
    return GraphTopology(graph, services, environ, callers)


def _looped(graph: InferenceGraph, services: Iterable[str | Service]) -> bool:
    return needs_loop(graph) or any(isinstance(service, StepService) and service.needs_loop for service in services)


def _in_function(name: str, function: Function, callers: Callers, graph: InferenceGraph, margin_s: float) -> Service:
    """Return what calls the service *name*, which runs in *function*."""
    function_service: Callable[..., Service] = import_module("fnkit.inference_graph.function_service").FunctionService
    own = function.timeout_s + margin_s
    limit = graph.timeouts.service_client or 0
    return function_service(callers.caller(name, function.name, timeout_s=min(limit, own) if limit > 0 else own))


def body_of(event: Event) -> bytes:
    """Return the body of *event* as bytes: text is UTF-8, and what is neither was JSON before it became an event."""
    body = event.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, bytearray | memoryview):
        return bytes(body)
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return b"" if body is None else dumps(body, separators=(",", ":")).encode()


def _environment_services(environ: Mapping[str, str]) -> dict[str, str | ServiceCode]:
    text = environ.get("FNKIT_SERVICES", "")
    try:
        services = loads(text) if text else {}
    except ValueError as error:
        raise UsageError(f"not JSON: {error}", where="FNKIT_SERVICES") from error
    if not isinstance(services, dict) or not all(isinstance(url, str) for url in services.values()):
        raise UsageError("want an object of strings", where="FNKIT_SERVICES", hint='for example {"classifier": "http://..."}')
    return {name: target_of(text) for name, text in services.items()}


def _connector(*, looped: bool) -> Connector:
    # Loaded by name: a function whose graph never waits for two things at once does without asyncio.
    connector: Connector = import_module("fnkit.net.aio" if looped else "fnkit.net.blocking").connector()
    return connector


async def _sleep(seconds: float) -> None:
    sleep(seconds)  # noqa: ASYNC251  # there is no loop to hold up: nothing here may suspend


__all__ = ["GraphTopology", "compile_topology"]
