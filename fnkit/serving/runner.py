"""The model runner where the graph runs: choose models, run them at the same time, put their results together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, cast

from fnkit.engine.construct import suspends
from fnkit.engine.event import Event
from fnkit.engine.isolation import isolate
from fnkit.engine.powers import STREAMS
from fnkit.engine.stream import close_source
from fnkit.errors import GraphError, ModelRunnerError, StreamingError
from fnkit.serving.artifacts import Artifact
from fnkit.serving.models import Model, ModelRunnerSelector

if TYPE_CHECKING:
    from fnkit.engine.context import Context
    from fnkit.serving.mechanisms import Pools

_MANY_STREAMS = (
    "Streaming is not supported when multiple runnables are selected. "
    "Streaming runnables must be the only runnable selected for an event."
)


class Call(Protocol):
    """Runs one model: body, path and endpoint in, the result out (or a stream)."""

    async def __call__(self, body: object, path: str, endpoint: str) -> object: ...


class Shared:
    """A model of this process and how it is called; several endpoints may share it."""

    __slots__ = ("call", "model")

    def __init__(self, model: Model, call: Call) -> None:
        self.model = model
        self.call = call


class ModelRunner:
    """Runs models on each event. *routes* hold the models' objects, *models* says for each endpoint where it runs and what is known of it.

    One registered model: the next body is its result. Several: `{endpoint: result}` of those that were selected. An endpoint whose
    `shared_model_name` is the name of another's is the same object, which is loaded once.
    """

    def __init__(
        self,
        routes: Mapping[str, object],
        models: Mapping[str, Mapping[str, object]],
        context: Context | None = None,
        name: str = "",
        model_runner_selector: Callable[..., object] | None = None,
        model_runner_selector_parameters: Mapping[str, object] | None = None,
        raise_exception: bool = True,
        max_processes: int | None = None,
        max_threads: int | None = None,
        pool_factor: float | None = None,
    ) -> None:
        self.name = name
        self._raises = raise_exception
        self._selector = _selector(model_runner_selector, model_runner_selector_parameters or {})
        if type(self._selector).select_outlets is not ModelRunnerSelector.select_outlets:
            self.select_outlets = self._selector.select_outlets
        self._pools: Pools | None = None
        self._endpoints: dict[str, Shared] = {}
        limits = {"max_processes": max_processes, "max_threads": max_threads, "pool_factor": pool_factor}
        self._register(routes, models, context, {key: value for key, value in limits.items() if value is not None})

    @property
    def needs_loop(self) -> bool:
        """Whether a model runs anywhere but right here."""
        return self._pools is not None or any(
            suspends(hook) for hook in (self._selector.select_models, self._selector.select_outlets)
        )

    async def do_event(self, event: Event) -> object:
        """Return the event with the results as its body, or the stream of the one model that streams."""
        body = event.body
        chosen = await self._choose(event)
        began = perf_counter()
        results = await self._run(chosen, body, event.path)
        taken = {
            "model_runner_name": self.name,
            "inputs": body,
            "microsec": int((perf_counter() - began) * 1e6),
            "when": str(datetime.now(UTC)),
            "selected_models": list(chosen),
        }
        event._metadata = taken  # type: ignore[attr-defined]  # events take further attributes
        streams = [result for result in results.values() if result.__class__ in STREAMS]
        if streams and len(results) > 1:
            for stream in streams:
                await close_source(stream)
            raise StreamingError(_MANY_STREAMS)
        if streams:
            return streams[0]
        event.body = self._body(results)
        return event

    async def close(self) -> None:
        """Stop threads and processes."""
        if self._pools is not None:
            await self._pools.close()

    def _register(
        self,
        routes: Mapping[str, object],
        models: Mapping[str, Mapping[str, object]],
        context: Context | None,
        limits: Mapping[str, object],
    ) -> None:
        shared = _shared_of(context)
        fresh: dict[str, tuple[Model, str]] = {}
        for endpoint, facts in models.items():
            model = getattr(routes[endpoint], "object", None)
            mechanism = str(facts.get("execution_mechanism", "naive"))
            if not isinstance(model, Model):
                raise GraphError(
                    f"the model {endpoint} is a {type(model).__name__}, which is no fnkit.serving.Model",
                    where=f"step '{self.name}'",
                    hint="derive its class from fnkit.serving.Model",
                )
            key = str(facts.get("shared_model_name") or "")
            known = shared[key].model if key in shared else fresh[key][0] if key in fresh else model
            known.attach(endpoint, cast(Artifact, facts.get("model_artifact") or {}))
            if key and facts.get("shared_artifact"):
                known.attach(key, cast(Artifact, facts["shared_artifact"]))
            if not (key and (key in shared or key in fresh)):
                _check_method(known, mechanism)
                fresh[key or endpoint] = (model, mechanism)
        calls = self._calls(fresh, limits)
        for endpoint, facts in models.items():
            key = str(facts.get("shared_model_name") or "")
            one = shared.get(key) if key else None
            if one is None:
                one = Shared(fresh[key or endpoint][0], calls[key or endpoint])
            if key:
                shared[key] = one
            self._endpoints[endpoint] = one

    def _calls(self, models: Mapping[str, tuple[Model, str]], limits: Mapping[str, object]) -> dict[str, Call]:
        """Return how each of the models is called, loaded and ready."""
        if all(mechanism == "naive" for _, mechanism in models.values()):
            return {key: _here(model) for key, (model, _) in models.items()}
        pools: Callable[..., Pools] = import_module("fnkit.serving.mechanisms").Pools
        self._pools = pools(models, **limits)
        return {
            key: _here(model) if mechanism == "naive" else self._pools.calls[key] for key, (model, mechanism) in models.items()
        }

    async def _choose(self, event: Event) -> list[str]:
        """Return the endpoints that run for *event*; ValueError for names that are not registered, or come twice."""
        available = [shared.model for shared in self._endpoints.values()]
        selected: object = self._selector.select_models(event, available)
        if isinstance(selected, Awaitable):
            selected = await selected
        if selected is None:
            return list(self._endpoints)
        wanted = [selected] if isinstance(selected, str | Model) else list(cast("Sequence[object]", selected))
        names = [self._name_of(item) for item in wanted]
        unknown = [name for name in names if name not in self._endpoints]
        if unknown:
            raise ValueError(f"The following selected Runnables are not registered: {','.join(unknown)}")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"select_runnables() returned more than one outlet named '{twice}'")
        return names

    def _name_of(self, item: object) -> str:
        if isinstance(item, Model):
            return next((name for name, shared in self._endpoints.items() if shared.model is item), item.name)
        return str(item)

    async def _run(self, chosen: Sequence[str], body: object, path: str) -> dict[str, object]:
        """Return the result of each chosen model, which gets a copy of the body.

        ModelRunnerError, in MLRun's words, which its clients know: the message begins with the class's name and has a line for each
        model that ran, `NAME ERROR` or `NAME None`.
        """
        if len(chosen) == 1 or self._pools is None:
            outcomes = [await self._outcome(name, body, path) for name in chosen]
        else:
            outcomes = await self._pools.gather([self._outcome(name, body, path) for name in chosen])
        results = dict(zip(chosen, outcomes, strict=True))
        failed = {name: outcome for name, outcome in results.items() if isinstance(outcome, Exception)}
        told = {name: f"{type(error).__name__}: {error}" for name, error in failed.items()}
        raising = [name for name in failed if self._raises and self._endpoints[name].model.raise_exception]
        if raising:
            for result in results.values():
                if result.__class__ in STREAMS:
                    await close_source(result)
            lines = ";\n".join(f"{name} {told.get(name)}" for name in results)
            raise ModelRunnerError(f"ModelRunnerError: {lines}") from failed[raising[0]]
        return {name: {"error": told[name]} if name in told else result for name, result in results.items()}

    async def _outcome(self, endpoint: str, body: object, path: str) -> object:
        try:
            return await self._endpoints[endpoint].call(isolate(body), path, endpoint)
        except Exception as error:
            return error

    def _body(self, results: dict[str, object]) -> object:
        if len(self._endpoints) == 1 and results:
            return next(iter(results.values()))
        return results


def _here(model: Model) -> Call:
    """Load *model* and return the call that runs it right here."""
    model.init()

    async def call(body: object, path: str, endpoint: str) -> object:
        return model.run(body, path, endpoint)

    return call


def _check_method(model: Model, mechanism: str) -> None:
    method = "predict_async" if mechanism == "asyncio" else "predict"
    if getattr(type(model), method) is getattr(Model, method):
        raise ModelRunnerError(
            f"ModelRunnerError: {model.name} is running with {mechanism} execution_mechanism but {method}() is not implemented"
        )


def _selector(selector: Callable[..., object] | None, parameters: Mapping[str, object]) -> ModelRunnerSelector:
    made = selector(**parameters) if selector is not None else ModelRunnerSelector()
    if not isinstance(made, ModelRunnerSelector):
        raise GraphError(f"{type(made).__name__} is no selector", hint="derive it from fnkit.serving.ModelRunnerSelector")
    return made


def _shared_of(context: Context | None) -> dict[str, Shared]:
    """Return the shared models of this process: the context is one for all steps of a graph."""
    if context is None:
        return {}
    shared: dict[str, Shared] = context.__dict__.setdefault("_shared_models", {})
    return shared
