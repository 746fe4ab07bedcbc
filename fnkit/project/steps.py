"""A graph while it is written: steps that can still be connected, named and changed, under MLRun's words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from fnkit.errors import GraphError, MLRunInvalidArgumentError
from fnkit.manifest import Step, StepKind
from fnkit.project.calls import Call, CallSettings, read_call, written

if TYPE_CHECKING:
    from fnkit.project.graph import FlowGraph

QUEUE_WORDS = (">>", "$queue")
Handler = str | Callable[..., object] | None
Names = str | Iterable[str] | None


@runtime_checkable
class DescribesStep(Protocol):
    """An object that says itself which step it is, such as a model runner step."""

    def to_step(self) -> Mapping[str, object]:
        """Return fields of a step: `class_name` or `target`, `class_args`, and any of `name, kind, handler, routes`."""
        ...


class RouteDraft(CallSettings):
    """One route of a router step."""

    def __init__(
        self,
        key: str,
        class_name: object = None,
        handler: Handler = None,
        function: str = "",
        class_args: Mapping[str, object] | None = None,
    ) -> None:
        self.key = key
        self.class_name = class_name
        self.handler = handler
        self.function = function
        self.class_args = dict(class_args or {})

    def to_dict(self) -> dict[str, object]:
        """Return what was said of this route."""
        said = {
            "class_name": name_of(self.class_name),
            "class_args": self.class_args,
            "handler": name_of(self.handler),
            "function": self.function,
            "call": written(self.call),
        }
        return {key: value for key, value in said.items() if value}

    def _named(self) -> str:
        return f"route {self.key!r}"


class GraphStep(CallSettings):
    """One step of a flow while the flow is written.

    The attributes are those that MLRun's steps have; they may be changed until the graph is tested, built or deployed.
    *class_name* may be a name, a class or an instance; *handler* a name, an expression in parentheses or a function.
    """

    def __init__(
        self,
        graph: FlowGraph,
        name: str,
        *,
        kind: StepKind = "task",
        class_name: object = None,
        class_args: Mapping[str, object] | None = None,
        handler: Handler = None,
        function: str | None = None,
        full_event: bool | None = None,
        input_path: str | None = None,
        result_path: str | None = None,
        max_iterations: int | None = None,
        graph_shape: str | None = None,
        call: Call = None,
    ) -> None:
        self._call = read_call(call, f"step {name!r}")
        self._graph = graph
        self.name = name
        self.kind: StepKind = kind
        self.class_name = class_name
        self.class_args = dict(class_args or {})
        self.handler = handler
        self.function = function or ""
        self.full_event = full_event
        self.input_path = input_path or ""
        self.result_path = result_path or ""
        self.max_iterations = max_iterations
        self.shape = graph_shape or ""
        self.after: list[str] = []
        self.cycle_from: list[str] = []
        self.responder = False
        self.on_error = ""
        self.error_before = ""
        self.routes: dict[str, RouteDraft] = {}

    def __repr__(self) -> str:
        return f"<{self.kind} step {self.name!r}>"

    def to(
        self,
        class_name: object = None,
        name: str | None = None,
        handler: Handler = None,
        graph_shape: str | None = None,
        function: str | None = None,
        full_event: bool | None = None,
        input_path: str | None = None,
        result_path: str | None = None,
        model_endpoint_creation_strategy: object = None,
        cycle_to: Names = None,
        max_iterations: int | None = None,
        after: Names = None,
        call: Call = None,
        **class_args: object,
    ) -> GraphStep:
        """Add a step behind this one and return it; see `FlowGraph.add_step`. *after* names further predecessors.

        MLRunInvalidArgumentError for a step behind a queue that says no function: what is behind a queue is woken by it, elsewhere.
        """
        if self.kind == "queue" and not function:
            shown = name or name_of(class_name) or name_of(handler)
            raise MLRunInvalidArgumentError(
                f"step '{shown}' must specify a function, because it follows a queue step",
                hint="pass function= and declare it with fn.add_child_function(...)",
            )
        return self._graph.append(
            (self.name, *as_names(after)),
            class_name,
            name,
            handler,
            class_args,
            cycle_to=as_names(cycle_to),
            graph_shape=graph_shape,
            function=function,
            full_event=full_event,
            input_path=input_path,
            result_path=result_path,
            max_iterations=max_iterations,
            call=call,
        )

    def after_step(self, *after: str | GraphStep, append: bool = True) -> GraphStep:
        """Come after the named steps too, or after these only when *append* is false; return this step."""
        names = [step.name if isinstance(step, GraphStep) else step for step in after]
        kept = self.after if append else []
        self.after = list(dict.fromkeys([*kept, *names]))
        return self

    def respond(self) -> GraphStep:
        """Answer the client with what this step returns; return this step."""
        self.responder = True
        return self

    def cycle_to(self, step_names: str | Sequence[str]) -> GraphStep:
        """Lead back to steps that exist already; return this step. GraphError unless the graph allows cycles."""
        for target in self._graph.cycle_targets(as_names(step_names)):
            target.after_step(self.name)
            if self.name not in target.cycle_from:
                target.cycle_from.append(self.name)
        return self

    def error_handler(
        self,
        name: str | None = None,
        class_name: object = None,
        handler: Handler = None,
        before: str | None = None,
        function: str | None = None,
        full_event: bool | None = None,
        input_path: str | None = None,
        result_path: str | None = None,
        **class_args: object,
    ) -> GraphStep:
        """Catch the errors of this step in a handler step, which goes on to *before* if that is given; return this step."""
        caught = self._graph.add_error_handler(
            name,
            class_name,
            handler,
            class_args,
            before=before,
            function=function,
            full_event=full_event,
            input_path=input_path,
            result_path=result_path,
        )
        self.on_error = caught.name
        return self

    def set_flow(self, steps: Sequence[object], force: bool = False) -> GraphStep:
        """Chain *steps* (objects, names or mappings of arguments of `to`) behind this one; return the last."""
        return self._graph.chain(self, steps, force=force)

    def add_route(
        self,
        key: str,
        route: RouteDraft | None = None,
        class_name: object = None,
        handler: Handler = None,
        function: str | None = None,
        creation_strategy: object = None,
        **class_args: object,
    ) -> RouteDraft:
        """Add a route (a model, or any step) to this router step and return it; the last one with a key holds."""
        added = route or RouteDraft(key, class_name, handler, function or "", class_args)
        added.key = key
        return self.put_route(added)

    def put_route(self, route: RouteDraft) -> RouteDraft:
        """Add *route* under its key and return it."""
        if self.kind != "router":
            raise GraphError(
                "only router steps have routes",
                where=f"step {self.name!r}",
                hint='add the step with graph.to("*", name=...) to make it a router',
            )
        self.routes[route.key] = route
        return route

    def plot(self, filename: str | None = None, format: str | None = None, **options: object) -> object:
        """Draw the graph that this step belongs to; see `FlowGraph.plot`."""
        return self._graph.plot(filename, format, **options)

    def to_dict(self) -> dict[str, object]:
        """Return what was said of this step, under MLRun's keys; what was not said is left out."""
        said = {
            "kind": self.kind,
            "class_name": name_of(self.class_name),
            "class_args": {key: value if is_plain(value) else name_of(value) for key, value in self.class_args.items()},
            "handler": name_of(self.handler),
            "after": list(self.after),
            "full_event": self.full_event,
            "responder": self.responder,
            "input_path": self.input_path,
            "result_path": self.result_path,
            "function": self.function,
            "on_error": self.on_error,
            "max_iterations": self.max_iterations,
            "cycle_from": list(self.cycle_from),
            "shape": self.shape,
            "call": written(self.call),
            "routes": {key: route.to_dict() for key, route in self.routes.items()},
        }
        return {key: value for key, value in said.items() if value or (key == "full_event" and value is False)}

    def _named(self) -> str:
        return f"step {self.name!r}"


def as_names(names: Names) -> tuple[str, ...]:
    """Return *names* as a tuple: a string is one name, None is none."""
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)


def name_of(subject: object) -> str:
    """Return what a class, function or instance is called; a string is its own name, None is `""`."""
    if subject is None or isinstance(subject, str):
        return subject or ""
    named = subject if isinstance(subject, type) or hasattr(subject, "__qualname__") else type(subject)
    return str(getattr(named, "__qualname__", type(subject).__name__))


def is_plain(value: object) -> bool:
    """Tell whether JSON can carry *value* (NaN and the like are found when the manifest is written)."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float)


def make_step(
    graph: FlowGraph,
    class_name: object,
    name: str | None,
    handler: Handler,
    class_args: Mapping[str, object],
    **options: object,
) -> GraphStep:
    """Return the step that the arguments of `to` describe, not connected yet.

    MLRunInvalidArgumentError when they name neither a class nor a handler, or leave the step without a name.
    """
    fields: dict[str, object] = dict(options)
    if isinstance(class_name, GraphStep | Step):
        return _copied(graph, class_name, name)
    if isinstance(class_name, DescribesStep) and not isinstance(class_name, type):
        return _described(graph, class_name.to_step(), name, fields)
    if is_function(class_name) and handler is None:
        class_name, handler = None, cast("Callable[..., object]", class_name)
    if not class_name and not handler:
        raise MLRunInvalidArgumentError("class_name or handler must be provided")
    if isinstance(class_name, str) and class_name in QUEUE_WORDS:
        return _queue(graph, name, class_args, fields)
    kind: StepKind = "task"
    if isinstance(class_name, str) and class_name.startswith("*"):
        kind, class_name = "router", class_name[1:] or "ModelRouter"
    elif class_name == "$remote":
        class_name = "RemoteStep"
    name = name or _default_name(class_name, handler)
    return GraphStep(graph, name, kind=kind, class_name=class_name, class_args=class_args, handler=handler, **fields)  # type: ignore[arg-type]  # options are those of `to`


def is_function(subject: object) -> bool:
    """Tell whether *subject* is a function or another callable that is neither a class nor a step instance."""
    if isinstance(subject, type) or subject is None:
        return False
    return callable(subject) and not hasattr(subject, "do") and not hasattr(subject, "do_event")


def _default_name(class_name: object, handler: Handler) -> str:
    own = getattr(class_name, "name", None)
    if class_name and not isinstance(class_name, str | type) and isinstance(own, str) and own:
        return own
    name = name_of(class_name) or ("" if isinstance(handler, str) else name_of(handler))
    name = name.rpartition(":")[2].rpartition(".")[2]
    if not name or name == "<lambda>":
        raise MLRunInvalidArgumentError("name or class_name must be provided")
    return name


def _queue(graph: FlowGraph, name: str | None, class_args: Mapping[str, object], fields: dict[str, object]) -> GraphStep:
    if not name:
        raise MLRunInvalidArgumentError("queue name must be specified")
    if "path" not in class_args:
        raise MLRunInvalidArgumentError("path=<stream path or None> must be specified for queues")
    return GraphStep(graph, name, kind="queue", class_args=class_args, **fields)  # type: ignore[arg-type]  # options are those of `to`


def _described(graph: FlowGraph, said: Mapping[str, object], name: str | None, fields: dict[str, object]) -> GraphStep:
    """Return the step that an object says it is; what the caller of `to` says wins over it."""
    own = {key: value for key, value in said.items() if key in STEP_FIELDS}
    merged = {**own, **{key: value for key, value in fields.items() if value is not None}}
    class_name = said.get("class_name") or said.get("target")
    step_name = name or str(said.get("name") or "") or _default_name(class_name, None)
    step = GraphStep(
        graph,
        step_name,
        kind=cast("StepKind", said.get("kind", "task")),
        class_name=class_name,
        class_args=cast("Mapping[str, object]", said.get("class_args") or said.get("args") or {}),
        handler=cast("Handler", said.get("handler") or None),
        **merged,  # type: ignore[arg-type]  # fields of a step, by their names
    )
    for route in cast("Mapping[str, RouteDraft]", said.get("routes") or {}).values():
        step.put_route(route)
    return step


def _copied(graph: FlowGraph, other: GraphStep | Step, name: str | None) -> GraphStep:
    """Return a step like one of another graph, not connected."""
    if isinstance(other, Step):
        said: dict[str, object] = {"target": other.target, "args": other.args, "kind": other.kind, "handler": other.handler}
    else:
        said = {"class_name": other.class_name, "args": other.class_args, "kind": other.kind, "handler": other.handler}
        said["routes"] = dict(other.routes)
    fields = {key: getattr(other, key) for key in STEP_FIELDS if key != "graph_shape"}
    step = _described(graph, {**said, **fields}, name or other.name, {})
    step.responder = other.responder
    return step


STEP_FIELDS = ("function", "full_event", "input_path", "result_path", "max_iterations", "graph_shape", "call")
