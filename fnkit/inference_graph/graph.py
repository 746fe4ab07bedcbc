"""Compile an InferenceGraph once, and run requests through it.

Every step becomes a coroutine function: a call of a service, or of another node by its name, so that graphs may be nested and even
cyclic. What a step asks for beyond KServe (retries, a timeout, an observer) is wrapped around it then; a step that asks for nothing
pays nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING

from fnkit.inference_graph.calls import Answer, CallFailed, HttpService
from fnkit.inference_graph.cycles import edges_of, find_cycle
from fnkit.inference_graph.flight import Flight, NoAnswer, NoMatch, trace_of
from fnkit.inference_graph.nodes import draw_securely, sequence, splitter, switch
from fnkit.inference_graph.spec import ROOT, ROUTER_TYPES, InferenceGraph, Node, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import ModuleType

    from fnkit.inference_graph.beside import Beside
    from fnkit.inference_graph.calls import Headers, Service
    from fnkit.inference_graph.flight import Observer, Runner
    from fnkit.inference_graph.headers import Policy
    from fnkit.net.client import Client

    Resolve = Callable[[str], str | Service | None]

_TASK_EVERY = 50  # nested nodes: then a new task, so that a deep graph does not exhaust the stack


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a graph needs from outside.

    *client* calls URLs. *resolve* turns a service name into a URL or something to call; None: it is unknown. *draw* decides for
    Splitters. *propagate* selects the headers for the services. *sleep* pauses between repeated calls; None: that of the loop.
    *observer* is told of every step. *mesh* tells whether a service mesh encrypts, so that https is called as http. *beside* does
    work on large bodies in another thread; None: there is nobody to hold up.
    """

    client: Client
    resolve: Resolve = lambda _: None
    draw: Callable[[], int] = draw_securely
    propagate: Policy = lambda _: ()
    sleep: Callable[[float], Awaitable[None]] | None = None
    observer: Observer | None = None
    mesh: Callable[[], Awaitable[bool]] | None = None
    beside: Beside | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended. *cause* is set when the graph failed; *body* is an iterator only if streaming was asked for."""

    status: int
    body: bytes | AsyncIterator[bytes]
    content_type: str = ""
    cause: str = ""


def needs_loop(graph: InferenceGraph) -> bool:
    """Tell whether *graph* can only run on an asyncio loop: for calls at the same time, time limits, or deep nesting."""
    steps = [step for node in graph.nodes.values() for step in node.steps]
    return (
        any(node.router_type == "Ensemble" for node in graph.nodes.values())
        or any(step.timeout_ms is not None and (step.node_name or step.service_name) for step in steps)
        or len(graph.nodes) > _TASK_EVERY
        or bool(find_cycle(edges_of(graph)))
    )


class CompiledGraph:
    """A graph that answers requests. `close()` ends the calls that an Ensemble has given up but not cancelled."""

    __slots__ = ("_propagate", "_root", "_stream", "_tasks", "_trace")

    def __init__(self, graph: InferenceGraph, around: Surroundings) -> None:
        compiler = _Compiler(graph, around)
        self._root = compiler.node(ROOT)
        self._tasks = compiler.tasks
        self._propagate = around.propagate
        self._stream = graph.extensions.stream
        self._trace = graph.extensions.trace_context

    async def run(self, body: bytes, headers: Headers) -> Outcome:
        """Run one request. Raises `NoAnswer` where KServe's router breaks the connection."""
        flight = Flight(self._propagate(headers), trace_of(headers) if self._trace else None)
        try:
            answer = await self._root(body, flight, self._stream)
        except NoMatch as error:
            return Outcome(404, b"", cause=str(error))
        except CallFailed as error:
            return Outcome(500, b"", cause=str(error))
        if answer.status < 100:
            raise NoAnswer(f"invalid status {answer.status}: a Sequence without steps answers nothing")
        return Outcome(answer.status, answer.body, answer.content_type)

    async def close(self) -> None:
        if self._tasks is not None:
            await self._tasks.close()


class _Compiler:
    """Turns nodes into runners, each once."""

    def __init__(self, graph: InferenceGraph, around: Surroundings) -> None:
        self._graph = graph
        self._around = around
        self._nodes: dict[str, Runner] = {}
        # Loaded here and not at the top: a graph that never waits for two things at once runs without asyncio.
        self._loop_parts: ModuleType | None = import_module("fnkit.inference_graph.ensemble") if needs_loop(graph) else None
        self.tasks = self._loop_parts.Tasks() if self._loop_parts is not None else None
        for name, node in graph.nodes.items():
            self._nodes[name] = self._compile(name, node)

    def node(self, name: str) -> Runner:
        return self._nodes.get(name) or _invalid("")

    def _compile(self, name: str, node: Node) -> Runner:
        if node.router_type not in ROUTER_TYPES:
            return _invalid(node.router_type)
        runners = [self._step(name, step, at) for at, step in enumerate(node.steps)]
        match node.router_type:
            case "Sequence":
                return sequence(node.steps, runners, self._around.beside)
            case "Switch":
                return switch(node.steps, runners, self._around.beside)
            case "Splitter":
                return splitter(node.steps, runners, self._around.draw)
        assert self._loop_parts is not None
        compiled: Runner = self._loop_parts.ensemble(node.steps, runners, self.tasks, node.merge, self._around.beside)
        return compiled

    def _step(self, node_name: str, step: Step, at: int) -> Runner:
        run = self._nested(step.node_name) if step.node_name else _calling(self._service(step))
        place = f"step {step.name or at} of node {node_name}"
        if step.timeout_ms is not None and (step.node_name or step.service_name) and self._loop_parts is not None:
            run = self._loop_parts.within(run, step.timeout_ms / 1000, place)
        if step.retry is not None:
            run = self._retrying(run, step)
        if self._around.observer is not None:
            run = _observed(run, self._around.observer, node_name, step, at)
        return run

    def _service(self, step: Step) -> Service:
        found = self._around.resolve(step.service_name) if step.service_name and not step.service_url else None
        if found is not None and not isinstance(found, str):
            return found
        limits = [step.timeout_ms / 1000] if step.timeout_ms is not None else []
        client_limit = self._graph.timeouts.service_client
        if client_limit is not None and client_limit > 0:
            limits.append(client_limit)
        limit = min(limits, default=None)
        around = self._around
        return HttpService(found or step.service_url, around.client, timeout_s=limit, mesh=around.mesh, beside=around.beside)

    def _nested(self, name: str) -> Runner:
        limit = self._graph.extensions.max_depth
        tasks = self.tasks

        async def run(body: bytes, flight: Flight, stream: bool) -> Answer:
            inner = flight.deeper()
            if inner.depth > limit:
                raise CallFailed(f"more than {limit} nested nodes: a cycle has no condition that ends it")
            node = self.node(name)
            try:
                if tasks is not None and inner.depth % _TASK_EVERY == 0:
                    answer: Answer = await tasks.start(node(body, inner, stream))
                    return answer
                return await node(body, inner, stream)
            except NoMatch as error:
                raise CallFailed(str(error)) from None

        return run

    def _retrying(self, run: Runner, step: Step) -> Runner:
        retry, around = step.retry, self._around
        assert retry is not None
        sleep = around.sleep or import_module("fnkit.inference_graph.ensemble").sleep

        async def repeated(body: bytes, flight: Flight, stream: bool) -> Answer:
            for attempt in range(1, retry.attempts):
                try:
                    answer = await run(body, flight, stream)
                    if answer.status not in retry.statuses:
                        return answer
                    await _drop(answer)
                except CallFailed:
                    pass
                pause_ms = min(retry.max_backoff_ms, retry.backoff_ms * 2 ** (attempt - 1))
                await sleep(pause_ms / 1000 * (50 + around.draw() / 2) / 100)  # half of it is left to chance
            return await run(body, flight, stream)

        return repeated


def _invalid(router_type: str) -> Runner:
    async def run(body: bytes, flight: Flight, stream: bool) -> Answer:  # noqa: ARG001  # the face of every runner
        raise CallFailed(f"invalid route type: {router_type}")

    return run


def _calling(service: Service) -> Runner:
    async def run(body: bytes, flight: Flight, stream: bool) -> Answer:
        return await service(body, flight.call_headers(), stream=stream)

    return run


async def _drop(answer: Answer) -> None:
    close = getattr(answer.body, "aclose", None)
    if close is not None:
        await close()


def _observed(run: Runner, observer: Observer, node: str, step: Step, at: int) -> Runner:
    name = step.name or str(at)
    target = step.node_name or step.service_url or step.service_name

    async def observed(body: bytes, flight: Flight, stream: bool) -> Answer:
        begun = perf_counter()
        status, cause = 0, ""
        try:
            answer = await run(body, flight, stream)
            status = answer.status
            return answer
        except (CallFailed, NoAnswer) as error:
            cause = str(error)
            raise
        finally:
            observer.step_done(node, name, target, status=status, seconds=perf_counter() - begun, cause=cause)

    return observed
