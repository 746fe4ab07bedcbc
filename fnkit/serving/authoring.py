"""Model runners while a graph is written: which models a step has, which models the whole graph shares.

In the manifest a model runner is a router step whose routes are its models; what only the runner has to know of a model (where it
runs, its artifact) stands in the step's argument `models`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fnkit.errors import GraphError, MLRunInvalidArgumentError
from fnkit.serving.artifacts import artifact_data

RUNNER = "fnkit.serving:ModelRunner"
MECHANISMS = ("process_pool", "dedicated_process", "thread_pool", "asyncio", "shared_executor", "naive")


class ModelDraft:
    """One model of a runner, or one that the graph shares; the attributes are those of a route that is being written."""

    def __init__(
        self, key: str, class_name: object, mechanism: object, class_args: Mapping[str, object], facts: Mapping[str, object]
    ) -> None:
        if not class_name:
            raise MLRunInvalidArgumentError(f"the model {key} needs a model_class")
        if class_args and not isinstance(class_name, str | type):
            raise MLRunInvalidArgumentError(
                "Cannot provide a model object as argument to `model_class` and also provide `model_parameters`."
            )
        self.key = key
        self.class_name = class_name
        self.class_args = dict(class_args)
        self.handler: None = None
        self.function = ""
        self.facts = {"execution_mechanism": mechanism_name(mechanism), **_said(facts)}

    def to_dict(self) -> dict[str, object]:
        """Return what was said of this model."""
        name = self.class_name if isinstance(self.class_name, str) else getattr(self.class_name, "__qualname__", "")
        return {"class_name": name, "class_args": self.class_args, **self.facts}


class ProxyDraft:
    """A model of a runner that is one of the graph's shared models, under an endpoint name of its own."""

    def __init__(self, key: str, shared_name: str, facts: Mapping[str, object]) -> None:
        self.key = key
        self.shared_name = shared_name
        self.handler: None = None
        self.function = ""
        self._facts = _said(facts)
        self._models: SharedModels | None = None

    def bind(self, models: SharedModels) -> None:
        """Look the shared model up in *models* from now on."""
        self._models = models

    @property
    def class_name(self) -> object:
        """The class of the shared model; GraphError if there is no such model."""
        return self._shared.class_name

    @property
    def class_args(self) -> dict[str, object]:
        """The arguments of the shared model, which goes by its own name."""
        return {**self._shared.class_args, "name": self.shared_name}

    @property
    def facts(self) -> dict[str, object]:
        """What the runner has to know."""
        shared = self._shared.facts
        return {
            **shared,
            **self._facts,
            "shared_model_name": self.shared_name,
            "shared_artifact": shared.get("model_artifact", {}),
        }

    @property
    def _shared(self) -> ModelDraft:
        if self._models is None or self.shared_name not in self._models:
            raise GraphError(
                f"Can't find shared model named {self.shared_name}",
                where=f"model endpoint {self.key!r}",
                hint=f"add it first: graph.add_shared_model(name={self.shared_name!r}, model_class=..., execution_mechanism=...)",
            )
        return self._models[self.shared_name]

    def to_dict(self) -> dict[str, object]:
        """Return what was said of this model."""
        return {"shared_model_name": self.shared_name, **self._facts}


class SharedModels(dict[str, ModelDraft]):
    """The models that a graph shares, by name. Each is loaded once in every function that runs it."""

    def add(
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
        """Add a model; MLRunInvalidArgumentError for a name that is taken (unless *override*) or a mechanism that cannot be."""
        if name in self and not override:
            raise MLRunInvalidArgumentError(f"Model with name {name} already exists in this graph.")
        if mechanism_name(execution_mechanism) == "shared_executor":
            raise MLRunInvalidArgumentError("Cannot add a shared model with execution mechanism 'shared_executor'")
        arguments = _with_paths(model_parameters, input_path, result_path)
        facts = {"model_artifact": artifact_data(model_artifact), "inputs": inputs, "outputs": outputs}
        self[name] = ModelDraft(name, model_class, execution_mechanism, arguments, facts)


class ModelRunnerStep:
    """A step that runs models on each event: one, or several at the same time.

    With one model the next body is its result, with several it is `{endpoint: result}`. *model_runner_selector* (the name of a class, a
    class, or an object) chooses models and outlets. With *raise_exception* false the error of a model is its result.
    A step is copied into the graph by `graph.to(step)`: models that are added afterwards are not in the graph.
    """

    def __init__(
        self,
        *args: object,
        name: str | None = None,
        model_runner_selector: object = None,
        model_runner_selector_parameters: Mapping[str, object] | None = None,
        model_selector: object = None,
        model_selector_parameters: Mapping[str, object] | None = None,
        raise_exception: bool = True,
        **kwargs: object,
    ) -> None:
        if args:
            raise MLRunInvalidArgumentError("ModelRunnerStep takes its arguments by name: ModelRunnerStep(name=..., ...)")
        if kwargs:
            raise MLRunInvalidArgumentError(f"ModelRunnerStep does not know {', '.join(sorted(kwargs))}")
        if model_runner_selector and model_selector:
            raise GraphError("use either model_runner_selector or model_selector, not both: the second is its former name")
        self.name = name or ""
        self.selector = model_runner_selector or model_selector
        self.selector_parameters = dict(model_runner_selector_parameters or model_selector_parameters or {})
        if self.selector_parameters and not isinstance(self.selector, str | type):
            raise MLRunInvalidArgumentError(
                "a selector that is an object has its parameters already; pass its class to give some"
            )
        self.raise_exception = raise_exception
        self.models: dict[str, ModelDraft | ProxyDraft] = {}
        self.pools: dict[str, int | float] = {}

    def add_model(
        self,
        endpoint_name: str,
        model_class: object,
        execution_mechanism: object,
        model_artifact: object = None,
        labels: object = None,
        model_endpoint_creation_strategy: object = None,
        inputs: object = None,
        outputs: object = None,
        input_path: str | None = None,
        result_path: str | None = None,
        override: bool = False,
        **model_parameters: object,
    ) -> None:
        """Add a model; *model_parameters* are arguments of its class.

        *execution_mechanism*: `naive` (where the events are handled), `asyncio` (needs `predict_async`), `thread_pool`, `process_pool`,
        `dedicated_process`. MLRunInvalidArgumentError for a name that is taken, unless *override*.
        """
        self._refuse_taken(endpoint_name, override)
        if getattr(model_class, "name", endpoint_name) not in ("", endpoint_name) and not isinstance(model_class, type):
            raise MLRunInvalidArgumentError("Inconsistent name for model added to ModelRunnerStep.")
        if mechanism_name(execution_mechanism) == "shared_executor":
            raise MLRunInvalidArgumentError("shared_executor is for proxies of shared models: use add_shared_model_proxy")
        arguments = _with_paths(model_parameters, input_path, result_path)
        facts = {"model_artifact": artifact_data(model_artifact), "labels": labels, "inputs": inputs, "outputs": outputs}
        self.models[endpoint_name] = ModelDraft(endpoint_name, model_class, execution_mechanism, arguments, facts)

    def add_shared_model_proxy(
        self,
        endpoint_name: str,
        model_artifact: object = None,
        shared_model_name: str | None = None,
        labels: object = None,
        model_endpoint_creation_strategy: object = None,
        override: bool = False,
    ) -> None:
        """Let the endpoint be answered by the graph's shared model *shared_model_name*, with an artifact (a prompt) of its own."""
        self._refuse_taken(endpoint_name, override)
        if not shared_model_name:
            raise MLRunInvalidArgumentError(f"the proxy {endpoint_name} needs a shared_model_name")
        facts = {"model_artifact": artifact_data(model_artifact), "labels": labels}
        self.models[endpoint_name] = ProxyDraft(endpoint_name, shared_model_name, facts)

    def configure_pool_resource(
        self, max_processes: int | None = None, max_threads: int | None = None, pool_factor: float | None = None
    ) -> None:
        """Limit the pools: processes (default: one per processor), threads (32), and how many of them per model (1)."""
        said = {"max_processes": max_processes, "max_threads": max_threads, "pool_factor": pool_factor}
        self.pools.update({key: value for key, value in said.items() if value is not None})

    def to_step(self) -> dict[str, object]:
        """Return the fields of this step for a graph."""
        if not self.models:
            raise GraphError(
                f"the model runner step {self.name!r} has no models" if self.name else "a model runner step has no models",
                hint="add models before the step is put into the graph: step.add_model(...)",
            )
        arguments: dict[str, object] = {"models": _Facts(self.models), **self.pools}
        if self.selector is not None:
            arguments["_model_runner_selector"] = self.selector
        if self.selector_parameters:
            arguments["model_runner_selector_parameters"] = self.selector_parameters
        if not self.raise_exception:
            arguments["raise_exception"] = False
        return {"name": self.name, "kind": "router", "class_name": RUNNER, "class_args": arguments, "routes": dict(self.models)}

    def _refuse_taken(self, endpoint_name: str, override: bool) -> None:
        if endpoint_name in self.models and not override:
            raise MLRunInvalidArgumentError(f"Model with name {endpoint_name} already exists in this ModelRunnerStep.")


class _Facts(Mapping[str, object]):
    """What a runner has to know of its models, by endpoint: read when the manifest is written, when shared models are known."""

    def __init__(self, models: Mapping[str, ModelDraft | ProxyDraft]) -> None:
        self._models = dict(models)

    def __getitem__(self, key: str) -> object:
        return self._models[key].facts

    def __iter__(self) -> Iterable[str]:  # type: ignore[override]  # an iterator is an iterable
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)


def adopt(routes: Mapping[str, object], others: Iterable[Mapping[str, object]], shared: SharedModels) -> None:
    """Let the proxies among *routes*, those of a step that joins a graph, use its *shared* models.

    GraphError if an endpoint is in the graph already: *others* are the routes of its other steps.
    """
    taken = {
        key for routes_of_other in others for key, route in routes_of_other.items() if isinstance(route, ModelDraft | ProxyDraft)
    }
    twice = [key for key, route in routes.items() if key in taken and isinstance(route, ModelDraft | ProxyDraft)]
    if twice:
        raise GraphError(f"The graph already contains the model endpoints named - {twice}.")
    for route in routes.values():
        if isinstance(route, ProxyDraft):
            route.bind(shared)


def mechanism_name(mechanism: object) -> str:
    """Return the name of an execution mechanism; ValueError for one that there is not."""
    name = str(getattr(mechanism, "value", mechanism))
    if name not in MECHANISMS:
        raise ValueError(f"Execution mechanism '{name}' is invalid. It must be one of: [{', '.join(MECHANISMS)}]")
    return name


def _with_paths(parameters: Mapping[str, object], input_path: str | None, result_path: str | None) -> dict[str, object]:
    paths = {"input_path": input_path, "result_path": result_path}
    return {**parameters, **{key: value for key, value in paths.items() if value}}


def _said(facts: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in facts.items() if value}
