"""Compile the part of a flow that a function runs, with callers for the steps that run elsewhere."""

from __future__ import annotations

from _thread import _local
from importlib import import_module
from json import loads
from time import sleep
from typing import TYPE_CHECKING

from fnkit.engine import compile_flow
from fnkit.errors import UsageError
from fnkit.manifest.model import Flow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from fnkit.engine import FlowTopology
    from fnkit.engine.answer import Answer, QueueWriter
    from fnkit.engine.context import Context
    from fnkit.engine.event import Event
    from fnkit.engine.resolve import Namespace
    from fnkit.functions.caller import StepCaller
    from fnkit.functions.lambda_api import LambdaApi
    from fnkit.manifest.model import Manifest, Step
    from fnkit.net.client import Client

_MARGIN_S = 15.0  # what a cold start and the way may take, on top of the time that the step's function has


def compile_topology(
    manifest: Manifest, *, function: str, namespaces: Sequence[Namespace], context: Context, environ: Mapping[str, str]
) -> FlowTopology:
    """Return the flow as *function* runs it. Steps of other functions are called through the Lambda API of *environ*."""
    links = _Links(manifest, environ)
    queue = _queue_writers(manifest, environ)
    topology = compile_flow(manifest, function=function, namespaces=namespaces, context=context, remote=links.remote, queue=queue)
    topology.finishes = True  # what a queue has not accepted must not be answered as accepted
    links.connect(looped=topology.needs_loop)
    return topology


def _queue_writers(manifest: Manifest, environ: Mapping[str, str]) -> Callable[[Step], QueueWriter] | None:
    """Return what opens the queues of the flow, None where it has none: their clients are not imported then."""
    flow = manifest.spec
    if not isinstance(flow, Flow) or all(step.kind != "queue" for step in flow.steps):
        return None
    queue_writers: Callable[..., Callable[[Step], QueueWriter]] = import_module("fnkit.functions.queues.writer").queue_writers
    return queue_writers(flow, environ)


class _Links:
    """The callers of one flow. They learn how to wait once the flow is compiled and knows whether it has an event loop."""

    def __init__(self, manifest: Manifest, environ: Mapping[str, str]) -> None:
        self._manifest = manifest
        self._environ = environ
        self._links: list[RemoteLink] = []

    def remote(self, step: Step) -> RemoteLink:
        """Return what stands for *step* in the flow."""
        link = RemoteLink(step.name, step.function)
        self._links.append(link)
        return link

    def connect(self, *, looped: bool) -> None:
        """Give every link its caller."""
        if not self._links:
            return
        # A function that calls nobody pays nothing for the client.
        make_api: Callable[..., LambdaApi] = import_module("fnkit.functions.lambda_api").LambdaApi.from_environment
        make_caller: Callable[..., StepCaller] = import_module("fnkit.functions.caller").StepCaller
        transport = _looped() if looped else _plain()
        api = make_api(transport.client, self._environ)
        prefix = self._environ.get("FNKIT_FUNCTION_PREFIX", "")
        versions = read_versions(self._environ)
        for link in self._links:
            function = self._manifest.function(link.function)
            link.caller = make_caller(
                api,
                link.step,
                prefix + link.function,
                pause=transport.pause,
                qualifier=versions.get(link.function, ""),
                timeout_s=function.timeout_s + _MARGIN_S,
            )


class RemoteLink:
    """A step of another function, as the engine calls it. *needs_loop* tells that it can do without an event loop."""

    needs_loop = False

    def __init__(self, step: str, function: str) -> None:
        self.step = step
        self.function = function
        self.caller: StepCaller | None = None

    async def __call__(self, event: Event) -> Answer:
        """Call the step for *event*."""
        assert self.caller is not None, "the flow is compiled"
        return await self.caller(event)


def read_versions(environ: Mapping[str, str]) -> dict[str, str]:
    """Return which version of each function is to be called; none named means the latest code. Raises `UsageError`."""
    text = environ.get("FNKIT_VERSIONS", "")
    if not text:
        return {}
    try:
        found = loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"FNKIT_VERSIONS is not a JSON object: {text[:80]!r}", hint="deploy the graph again")
    return {str(name): str(version) for name, version in found.items()}


class Transport:
    """An HTTP client for the current thread or loop, and a pause that fits it."""

    def __init__(self, client: Callable[[], Client], pause: Callable[[float], Awaitable[None]]) -> None:
        self.client = client
        self.pause = pause


def _plain() -> Transport:
    make_client: Callable[..., Client] = import_module("fnkit.net.client").Client
    connector = import_module("fnkit.net.blocking").connector
    own = _local()  # a client belongs to its thread

    def client() -> Client:
        found: Client | None = getattr(own, "client", None)
        if found is None:
            found = own.client = make_client(connector())
        return found

    async def pause(seconds: float) -> None:
        sleep(seconds)  # noqa: ASYNC251  # there is no event loop here that could do something else

    return Transport(client, pause)


def _looped() -> Transport:
    make_client: Callable[..., Client] = import_module("fnkit.net.client").Client
    one: Client = make_client(import_module("fnkit.net.aio").connector())
    pause: Callable[[float], Awaitable[None]] = import_module("asyncio").sleep
    return Transport(lambda: one, pause)
