"""Compile the part of a flow that a function runs, with callers for the steps that run elsewhere."""

from __future__ import annotations

from fnkit.engine import compile_flow
from fnkit.lean import import_module
from fnkit.manifest.model import Flow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fnkit.engine import FlowTopology
    from fnkit.engine.answer import Answer, QueueWriter
    from fnkit.engine.context import Context
    from fnkit.engine.event import Event
    from fnkit.engine.resolve import Namespace
    from fnkit.functions.caller import StepCaller
    from fnkit.functions.links import Callers
    from fnkit.manifest.model import Manifest, Step


def compile_topology(
    manifest: Manifest, *, function: str, namespaces: Sequence[Namespace], context: Context, environ: Mapping[str, str]
) -> FlowTopology:
    """Return the flow as *function* runs it. Steps of other functions are called through the Lambda API of *environ*."""
    links = _Links(manifest, environ)
    queue = _queue_writers(manifest, environ, namespaces)
    topology = compile_flow(manifest, function=function, namespaces=namespaces, context=context, remote=links.remote, queue=queue)
    topology.finishes = True  # what a queue has not accepted must not be answered as accepted
    links.connect(looped=topology.needs_loop)
    return topology


def _queue_writers(
    manifest: Manifest, environ: Mapping[str, str], namespaces: Sequence[Namespace]
) -> Callable[[Step], QueueWriter] | None:
    """Return what opens the queues of the flow, None where it has none: their clients are not imported then."""
    flow = manifest.spec
    if not isinstance(flow, Flow) or all(step.kind != "queue" for step in flow.steps):
        return None
    queue_writers: Callable[..., Callable[[Step], QueueWriter]] = import_module("fnkit.functions.queues.writer").queue_writers
    return queue_writers(flow, environ, namespaces=namespaces)


class _Links:
    """The callers of one flow. They learn how to wait once the flow is compiled and knows whether it has an event loop."""

    def __init__(self, manifest: Manifest, environ: Mapping[str, str]) -> None:
        self._manifest = manifest
        self._environ = environ
        self._links: list[RemoteLink] = []

    def remote(self, step: Step) -> RemoteLink:
        """Return what stands for *step* in the flow."""
        link = RemoteLink(step)
        self._links.append(link)
        return link

    def connect(self, *, looped: bool) -> None:
        """Give every link its caller."""
        if not self._links:
            return
        # A function that calls nobody pays nothing for the client.
        links = import_module("fnkit.functions.links")
        callers: Callers = links.Callers(self._environ, looped=looped)
        for link in self._links:
            function = self._manifest.function(link.function)
            link.caller = callers.caller(link.step, link.function, timeout_s=function.timeout_s + links.MARGIN_S, call=link.call)


class RemoteLink:
    """A step of another function, as the engine calls it. *needs_loop* tells that it can do without an event loop."""

    needs_loop = False

    def __init__(self, step: Step) -> None:
        self.step = step.name
        self.function = step.function
        self.call = step.call
        self.caller: StepCaller | None = None

    async def __call__(self, event: Event) -> Answer:
        """Call the step for *event*."""
        assert self.caller is not None, "the flow is compiled"
        return await self.caller(event)
