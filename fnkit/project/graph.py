"""The flow topology while it is written: `graph.to(...)`, `graph.add_step(...)` and their kin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from fnkit.errors import GraphError, MLRunInvalidArgumentError
from fnkit.manifest import Engine
from fnkit.manifest.spelling import did_you_mean
from fnkit.project.calls import Call, CallSettings, written
from fnkit.project.steps import GraphStep, Handler, Names, as_names, make_step
from fnkit.project.written import WrittenGraph
from fnkit.serving.authoring import RUNNER, SharedModels, adopt

if TYPE_CHECKING:
    from fnkit.project.function import ServingFunction

DEFAULT_MAX_ITERATIONS = 100


class FlowGraph(CallSettings, WrittenGraph):
    """The steps of a flow in the order of their definition, and what holds for all of them.

    Its call options hold for each step as far as neither the step nor its function says anything else.
    """

    kind = "flow"

    def __init__(
        self,
        function: ServingFunction,
        *,
        engine: Engine = "async",
        allow_cyclic: bool = False,
        max_iterations: int | None = None,
    ) -> None:
        self._function = function
        self._last: GraphStep | None = None
        self._max_iterations = max_iterations
        self.engine: Engine = engine
        self.allow_cyclic = allow_cyclic
        self.on_error = ""
        self.steps: dict[str, GraphStep] = {}
        self.options: dict[str, object] = {}
        self.shared_models = SharedModels()
        self.shared_pool: dict[str, object] = {}

    @property
    def max_iterations(self) -> int | None:
        """The limit of entries into one step by one event; 100 for a cyclic graph that says nothing else."""
        return self._max_iterations or (DEFAULT_MAX_ITERATIONS if self.allow_cyclic else None)

    @max_iterations.setter
    def max_iterations(self, limit: int | None) -> None:
        self._max_iterations = limit

    def __repr__(self) -> str:
        return f"<flow graph of {len(self.steps)} steps>"

    def __getitem__(self, name: str) -> GraphStep:
        if name not in self.steps:
            raise KeyError(f"there is no step named {name!r}; {did_you_mean(name, self.steps)}")
        return self.steps[name]

    def __delitem__(self, name: str) -> None:
        """Remove a step; steps after it keep its name in their `after`, so that another one can take its place."""
        del self.steps[self[name].name]
        if self._last is not None and self._last.name == name:
            self._last = next(reversed(self.steps.values()), None)

    def __contains__(self, name: object) -> bool:
        return name in self.steps

    def __iter__(self) -> Iterator[str]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __bool__(self) -> bool:
        return True

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
        """Add a start step (or one after the steps that *after* names) and return it; see `add_step`."""
        return self.append(
            as_names(after),
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

    def add_step(
        self,
        class_name: object = None,
        name: str | None = None,
        handler: Handler = None,
        after: Names = None,
        before: Names = None,
        graph_shape: str | None = None,
        function: str | None = None,
        full_event: bool | None = None,
        input_path: str | None = None,
        result_path: str | None = None,
        model_endpoint_creation_strategy: object = None,
        cycle_to: Names = None,
        max_iterations: int | None = None,
        call: Call = None,
        **class_args: object,
    ) -> GraphStep:
        """Add a step and return it.

        *class_name*: a name (resolved in the function's file), a class, an instance, or `">>"` for a queue, `"*"` for a router,
        `"$remote"`. *handler*: a function, its name, an expression such as `"(event + 1)"`, or a method's name beside a class.
        *after*, *before*: names of steps; `"$prev"` is the one added last; the steps *before* names come after the new one only.
        *cycle_to*: steps to lead back to. *call*: limits and retries, as `{"timeout_s": 5, "retries": 2}`; see `with_call`. The rest are
        arguments of the class.
        """
        return self.append(
            as_names(after),
            class_name,
            name,
            handler,
            class_args,
            before=as_names(before),
            cycle_to=as_names(cycle_to),
            graph_shape=graph_shape,
            function=function,
            full_event=full_event,
            input_path=input_path,
            result_path=result_path,
            max_iterations=max_iterations,
            call=call,
        )

    def append(
        self,
        after: tuple[str, ...],
        class_name: object,
        name: str | None,
        handler: Handler,
        class_args: Mapping[str, object],
        *,
        before: tuple[str, ...] = (),
        cycle_to: tuple[str, ...] = (),
        **options: object,
    ) -> GraphStep:
        """Make a step, connect it, and return it; nothing is added if any name is wrong."""
        step = make_step(self, class_name, name, handler, class_args, **options)
        previous = self._resolve_previous(after)
        self._refuse_taken(step.name)
        followers = self._followers(step, previous, before)
        self._take_models(step)
        self.cycle_targets(tuple(target for target in cycle_to if target != step.name))
        self.steps[step.name] = step
        inherited = [name for follower in followers for name in follower.after]
        step.after_step(*previous, *inherited)
        for follower in followers:
            follower.after_step(step.name, append=False)
        if cycle_to:
            step.cycle_to(cycle_to)
        self._last = step
        return step

    def cycle_targets(self, names: tuple[str, ...]) -> tuple[GraphStep, ...]:
        """Return the steps that a cycle may lead back to; GraphError for a missing one or a graph that allows no cycles."""
        if not self.allow_cyclic and names:
            raise GraphError(
                "cyclic graphs are not allowed, enable allow_cyclic",
                hint='pass allow_cyclic=True to set_topology("flow", ...), or set graph.allow_cyclic = True first',
            )
        for name in names:
            if name not in self.steps:
                raise GraphError(
                    f"step {name} doesnt exist in the graph under ",
                    hint=f"cycle_to leads back to steps that exist already; {did_you_mean(name, self.steps)}",
                )
        return tuple(self.steps[name] for name in names)

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
    ) -> FlowGraph:
        """Catch the errors of all steps that have no handler of their own; return the graph."""
        if before:
            raise MLRunInvalidArgumentError("`before` arg can't be specified for graph error handler")
        self.on_error = self.add_error_handler(
            name,
            class_name,
            handler,
            class_args,
            function=function,
            full_event=full_event,
            input_path=input_path,
            result_path=result_path,
        ).name
        return self

    def add_error_handler(
        self,
        name: str | None,
        class_name: object,
        handler: Handler,
        class_args: Mapping[str, object],
        *,
        before: str | None = None,
        **options: object,
    ) -> GraphStep:
        """Add a step that only errors lead to, and return it; *before* is the step that its result goes on to."""
        step = make_step(self, class_name, name, handler, class_args, **options)
        self._refuse_taken(step.name)
        step.error_before = before or ""
        self.steps[step.name] = step
        return step

    def add_shared_model(
        self,
        name: str,
        model_class: object,
        execution_mechanism: object,
        model_artifact: object = None,
        inputs: object = None,
        outputs: object = None,
        input_path: str | None = None,
        result_path: str | None = None,
        override: bool = False,
        **model_parameters: object,
    ) -> None:
        """Add a model that proxies in any model runner step can use; see `fnkit.serving.SharedModels`."""
        self.shared_models.add(
            name,
            model_class,
            execution_mechanism,
            model_artifact,
            inputs,
            outputs,
            input_path,
            result_path,
            override,
            **model_parameters,
        )

    def configure_shared_pool_resource(
        self, max_processes: int | None = None, max_threads: int | None = None, pool_factor: float | None = None
    ) -> None:
        """Limit the pools of all model runner steps that say nothing else; shared models run in these."""
        said = {"max_processes": max_processes, "max_threads": max_threads, "pool_factor": pool_factor}
        self.shared_pool = {key: value for key, value in said.items() if value is not None}

    def set_flow(self, steps: Sequence[object], force: bool = False) -> GraphStep:
        """Make the graph a chain of *steps* (objects, names or mappings of arguments of `to`); return the last."""
        return self.chain(None, steps, force=force)

    def chain(self, start: GraphStep | None, steps: Sequence[object], *, force: bool) -> GraphStep:
        """Chain *steps* behind *start*, or from the beginning; what is there already goes only with *force*."""
        standing = [step for step in self.steps.values() if start is None or start.name in step.after]
        if standing and not force:
            raise MLRunInvalidArgumentError(
                "set_flow() called on a step that already has downstream steps. "
                "If you want to overwrite existing steps, set force=True."
            )
        for step in standing:
            self._remove_with_followers(step.name)
        last: GraphStep | FlowGraph = start or self
        for item in steps:
            last = last.to(**item) if isinstance(item, Mapping) else last.to(item)
        if isinstance(last, FlowGraph):
            raise MLRunInvalidArgumentError("set_flow() needs at least one step")
        return last

    def _named(self) -> str:
        return "the graph"

    def clear_children(self, steps: Sequence[str] | None = None) -> None:
        """Remove the named steps, or all."""
        for name in list(steps or self.steps):
            del self[name]

    def to_dict(self) -> dict[str, object]:
        """Return the graph as it was written, under MLRun's keys."""
        said: dict[str, object] = {
            "kind": self.kind,
            "steps": {name: step.to_dict() for name, step in self.steps.items()},
            "engine": self.engine,
            "on_error": self.on_error,
            "call": written(self.call),
            "allow_cyclic": self.allow_cyclic,
            "max_iterations": self.max_iterations,
        }
        return {key: value for key, value in said.items() if value or key == "steps"}

    def _resolve_previous(self, after: tuple[str, ...]) -> tuple[str, ...]:
        names = []
        for name in after:
            if name == "$prev":
                names += [self._last.name] if self._last else []
            elif name in self.steps:
                names.append(name)
            else:
                raise MLRunInvalidArgumentError(
                    f"cant set after, there is no step named {name}", hint=did_you_mean(name, self.steps)
                )
        return tuple(dict.fromkeys(names))

    def _followers(self, step: GraphStep, previous: tuple[str, ...], before: tuple[str, ...]) -> list[GraphStep]:
        for name in before:
            if name == step.name or name in previous:
                raise GraphError(f"graph loop, step {name} is specified in before and/or after {step.name}")
            if name not in self.steps:
                raise MLRunInvalidArgumentError(
                    f"cant set before, there is no step named {name}", hint=did_you_mean(name, self.steps)
                )
        return [self.steps[name] for name in before]

    def _refuse_taken(self, name: str) -> None:
        if name in self.steps:
            raise GraphError(
                f"there is already a step named {name}",
                where=f"step {name!r}",
                hint=f'give the new one another name=, or remove the old one first: del graph["{name}"]',
            )

    def _take_models(self, step: GraphStep) -> None:
        """Let the models of a model runner step use those that the graph shares."""
        if step.class_name == RUNNER and self.engine == "sync":
            raise GraphError(
                "ModelRunnerStep can be added to 'Flow' topology graph only", hint='use set_topology("flow", engine="async")'
            )
        adopt(step.routes, [other.routes for other in self.steps.values()], self.shared_models)

    def _remove_with_followers(self, name: str) -> None:
        if name not in self.steps:
            return
        del self[name]
        for step in list(self.steps.values()):
            if name in step.after and set(step.after) <= {name, *step.cycle_from}:
                self._remove_with_followers(step.name)
