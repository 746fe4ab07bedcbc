"""The mock server: the engine in the user's own process, stepped by the caller."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING

from fnkit.engine import Answer, Context, Event, FlowTopology, Response, Stream, compile_flow, error_response, receive
from fnkit.errors import GraphError, MLRunInvalidArgumentError, MLRunRuntimeError, ProblemsError
from fnkit.manifest import Flow, Manifest, Step, find_problems, resolve_function
from fnkit.project.assemble import Assembly, begin
from fnkit.project.mock_loop import MockStream, Stepper
from fnkit.project.model_files import point_to_models
from fnkit.project.resolve import Namespace

if TYPE_CHECKING:
    from fnkit.project.function import ServingFunction

# What a mock server lets pass: it runs everything in one place, so what only a deployment needs may be missing.
_TOLERATED = frozenset(("unknown-function", "queue-function", "many-queues", "function-name", "trigger", "queue-path"))


# What MLRun raises for a fault where it is not its GraphError.
_RAISED: Mapping[str, type[GraphError | MLRunInvalidArgumentError | MLRunRuntimeError]] = {
    "error-target": MLRunInvalidArgumentError,
    "no-routes": MLRunRuntimeError,
}


class Elsewhere:
    """The steps of functions that a server for another one does not run. *left*: the ids of the events that went there."""

    needs_loop = False

    def __init__(self) -> None:
        self.left: set[str] = set()

    async def __call__(self, event: Event) -> Answer:
        """Let the event go."""
        self.left.add(event.id)
        return Answer(event.body, ())


class Recorded:
    """A queue's end: what is written to it is kept in a list, and nothing is sent anywhere."""

    needs_loop = False

    def __init__(self, step: Step) -> None:
        self.event_list: list[object] = []
        self._full = bool(step.full_event)

    @property
    def async_object(self) -> Recorded:
        """Itself, under the name by which MLRun's mock server leads to what a queue has kept."""
        return self

    async def __call__(self, event: Event) -> None:
        """Keep the event's body, or the whole of it where the queue carries full events."""
        whole = {"full_event_wrapper": True, "body": event.body, "key": event.key, "id": event.id}
        self.event_list.append(whole if self._full else event.body)


class MockServer:
    """A graph that answers `test(...)` in this process.

    Nothing runs but while one of its methods runs: there is no thread. It is a context manager; leaving it closes it.
    *queues*: the end of each queue that nothing follows. *errors*: what steps and the engine reported by `push_error`.
    """

    def __init__(
        self,
        manifest: Manifest,
        topology: FlowTopology,
        queues: Mapping[str, Recorded],
        errors: list[object],
        elsewhere: Elsewhere,
    ) -> None:
        self.manifest = manifest
        self.queues = queues
        self.errors = errors
        self._topology = topology
        self._elsewhere = elsewhere
        self._stepper = Stepper(needs_loop=topology.needs_loop)
        self._answers = any(step.responder for step in _steps(manifest)) or manifest.topology == "router"
        self._finished = False
        self._finalizer = weakref.finalize(self, self._stepper.shut, topology.close)
        topology.context.server = weakref.proxy(self)

    @property
    def context(self) -> Context:
        """The context that the steps were given."""
        return self._topology.context

    @property
    def graph(self) -> Mapping[str, object]:
        """The step objects by name; None for handler functions, the end of each queue that nothing follows."""
        return {**self._topology.step_objects, **self.queues}

    def test(
        self,
        path: str = "/",
        body: object = None,
        method: str = "",
        headers: Mapping[str, str] | None = None,
        content_type: str | None = None,
        silent: bool = False,
        get_body: bool = True,
        event_id: str | None = None,
        trigger: object = None,
        offset: int | str | None = None,
        time: object = None,
    ) -> object:
        """Send one event through the graph and return what it answers: a value, a `Response`, or a generator of chunks.

        RuntimeError `failed (STATUS): BODY` for a status of 300 and above, unless *silent*: then the `Response` is returned.
        With *get_body* false every whole answer is returned as a `Response`. The default *method* is POST with a body that is not
        empty, else GET.
        """
        if self._finished:
            raise ValueError("Cannot emit to a terminated flow")
        event = Event(
            body,
            id=event_id or "",
            headers=headers,
            method=method or ("POST" if body else "GET"),
            path=path or "/",
            content_type=content_type or "",
            trigger=trigger,
            offset=offset,
            time=time,
        )
        value = self._answer(event)
        if isinstance(value, Stream):
            return MockStream(value, self._stepper)
        if isinstance(value, Response):
            return self._response(value, silent=silent)
        return value if get_body else Response(body=value)

    def _answer(self, event: Event) -> object:
        try:
            receive(event, self.manifest.default_content_type)
            if _is_queue_event(event):
                return self._process(event)
            value = self._stepper.run(self._topology.run(event))
            if not self._answers:
                self._stepper.run(self._topology.wait())
        except Exception as error:
            if self.context.verbose:
                self.context.push_error(event, error, source="_handler")
            return error_response(error, verbose=self.context.verbose)
        finally:
            has_left = event.id in self._elsewhere.left
            self._elsewhere.left.discard(event.id)
        return {"id": event.id} if has_left and isinstance(value, Response) and value.status_code == 204 else value

    def _process(self, event: Event) -> object:
        """Run an event of a queue: nobody waits for an answer, only for its end."""
        event.__dict__["stream_path"], event.path = event.path, "/"
        self._stepper.run(self._topology.process(event))
        return {"id": event.id}

    def _response(self, response: Response, *, silent: bool) -> Response:
        if hasattr(response.body, "__anext__") or hasattr(response.body, "__next__"):
            response.body = MockStream(response.body, self._stepper)
        if response.status_code >= 300 and not silent:
            raise RuntimeError(f"failed ({response.status_code}): {response.body}")
        return response

    def wait_for_completion(self) -> object:
        """End the flow: let everything that is under way finish, and return its result (that of a `Reduce`), or None."""
        if self._finished:
            return None
        self._finished = True
        try:
            return self._stepper.run(self._topology.finish())
        finally:
            self._finalizer()

    def close(self) -> None:
        """Let what is under way finish, close the steps and release everything; a closed server takes no events."""
        if self._finalizer.alive:
            self._finished = True
            try:
                self._stepper.run(self._topology.wait())
            finally:
                self._finalizer()

    def __enter__(self) -> MockServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def make_mock_server(
    function: ServingFunction,
    *,
    namespace: Namespace | Iterable[Namespace] | None = None,
    current_function: str | None = "*",
) -> MockServer:
    """Return a mock server for *function*.

    A server for one function (*current_function*; "" and None: the parent) runs the steps of that one: events that go on to another
    are let go, and answered with their id where nothing here answers them.

    GraphError for a faulty graph; names that nothing has, and constructors that fail, raise what they raise in MLRun.
    """
    if function.spec.graph is None:
        raise MLRunInvalidArgumentError(
            "there is no graph to run, .spec.graph is none", hint='start with graph = fn.set_topology("flow")'
        )
    current_function = current_function or ""
    assembly, manifest = begin(function, _as_namespaces(namespace))
    _refuse_faulty(assembly, manifest)
    if assembly.resolver.root is not None:
        manifest = point_to_models(manifest, assembly.resolver.root)
    errors: list[object] = []
    context = Context(
        parameters=manifest.parameters,
        secrets=function.secrets,
        is_mock=True,
        current_function=current_function,
        project=manifest.project,
        streaming=manifest.streaming,
        function_uri=f"{manifest.project}/{manifest.name}",
        verbose=function.verbose,
        errors=errors.append,
    )
    queues: dict[str, Recorded] = {}
    elsewhere = Elsewhere()
    topology = compile_flow(
        manifest,
        function=_current(manifest, current_function),
        namespaces=[assembly.resolver.objects],
        context=context,
        queue=_recorder(queues),
        remote=lambda _step: elsewhere,
    )
    return MockServer(manifest, topology, queues, errors, elsewhere)


def _refuse_faulty(assembly: Assembly, manifest: Manifest) -> None:
    problems = [problem for problem in find_problems(manifest) if problem.code not in _TOLERATED]
    if assembly.errors:
        raise assembly.errors[0]
    problems += [problem for problem in assembly.problems if problem.code not in _TOLERATED]
    if len(problems) == 1:
        problem = problems[0]
        kind = _RAISED.get(problem.code, GraphError)
        raise kind(problem.message, where=f"step {problem.step!r}" if problem.step else "", hint=problem.hint)
    if problems:
        raise GraphError(str(ProblemsError(f"the graph {manifest.name!r}", tuple(problems))))


def _current(manifest: Manifest, wanted: str) -> str:
    """Return the function to run: steps may name one that was never declared, which a mock server lets pass."""
    if wanted in ("*", ""):
        return wanted
    named = {step.function for step in _steps(manifest)} | {function.name for function in manifest.functions}
    return resolve_function(wanted, named) or wanted


def _recorder(queues: dict[str, Recorded]) -> Callable[[Step], Recorded]:
    def record(step: Step) -> Recorded:
        return queues.setdefault(step.name, Recorded(step))

    return record


def _steps(manifest: Manifest) -> tuple[Step, ...]:
    return manifest.spec.steps if isinstance(manifest.spec, Flow) else ()


def _is_queue_event(event: Event) -> bool:
    kind = event.trigger if isinstance(event.trigger, str) else getattr(event.trigger, "kind", "")
    return bool(kind) and kind != "http"


def _as_namespaces(given: Namespace | Iterable[Namespace] | None) -> tuple[Namespace, ...]:
    if given is None:
        return ()
    if isinstance(given, ModuleType | Mapping):
        return (given,)
    return tuple(given)
