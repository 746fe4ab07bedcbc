"""What a model runner runs, and what chooses among it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fnkit.serving.artifacts import Artifact

if TYPE_CHECKING:
    from fnkit.engine.event import Event

_INJECTED = ("context", "input_path", "result_path", "full_event", "graph_step")  # not of the model, and not for other processes


class Model:
    """The base of models. Subclasses define `predict(body)`, or `async def predict_async(body)` for the mechanism asyncio, and perhaps
    `load()`, which is called once, where the model runs, before the first event. A generator as `predict` streams.

    With *raise_exception* false an error of this model becomes its result, `{"error": "Type: message"}`.
    """

    def __init__(self, name: str = "", raise_exception: bool = True, artifact_uri: str | None = None, **kwargs: object) -> None:
        self.name = name
        self.raise_exception = raise_exception
        self.artifact_uri = artifact_uri
        self.artifacts: dict[str, Artifact] = {}
        self.parameters = {key: value for key, value in kwargs.items() if key not in _INJECTED}

    def load(self) -> None:
        """Load what `predict` needs."""

    def init(self) -> None:
        """Prepare the model for its first event."""
        self.load()

    def attach(self, endpoint: str, artifact: Artifact) -> None:
        """Take what is known of the model (or of its prompts) for the endpoint of that name."""
        self.artifacts[endpoint] = artifact

    def predict(self, body: object, **kwargs: object) -> object:
        """Return the result for *body*; subclasses say how."""
        raise NotImplementedError(f"{type(self).__name__} has no method predict(self, body)")

    async def predict_async(self, body: object, **kwargs: object) -> object:
        """Return the result for *body* on the event loop; subclasses say how."""
        raise NotImplementedError(f"{type(self).__name__} has no method predict_async(self, body)")

    def format_batch(self, body: list[object]) -> object:
        """Return what `predict` gets for a list of inputs."""
        return body

    def is_streaming(self) -> bool:
        """Tell whether results are streams, as far as that is known beforehand."""
        return False

    def run(self, body: object, path: str = "/", origin_name: str | None = None) -> object:
        """Return what `predict` makes of *body*. *origin_name* is the endpoint that asks, where several share this model."""
        return self.predict(self.format_batch(body) if isinstance(body, list) else body)

    def run_async(self, body: object, path: str = "/", origin_name: str | None = None) -> object:
        """Return what `predict_async` makes of *body*: a coroutine, or an async generator."""
        return self.predict_async(self.format_batch(body) if isinstance(body, list) else body)

    def do(self, body: object) -> object:
        """Run the model as the route of a router."""
        return self.run(body)


class ModelRunnerSelector:
    """Chooses which models run for an event, and where it goes afterwards. Subclasses override one of the methods, or both."""

    def __init__(self, **parameters: object) -> None:
        self.parameters = parameters

    def __call__(self) -> ModelRunnerSelector:
        """Return this selector: an object can stand where its class is expected."""
        return self

    def select_models(self, event: Event, available_models: Sequence[Model]) -> Sequence[str | Model] | str | None:
        """Return names of endpoints or models; None means all, an empty list none: then the next body is `{}`."""
        return None

    def select_outlets(self, event: object) -> Sequence[str] | str | None:
        """Return the names of the next steps for the body after the models; None means all."""
        return None


class ModelSelector(ModelRunnerSelector):
    """A selector under its former name, with its former method `select`."""

    def select(self, event: Event, available_models: Sequence[Model]) -> Sequence[str | Model] | str | None:
        """Return names of endpoints or models; None means all."""
        return None

    def select_models(self, event: Event, available_models: Sequence[Model]) -> Sequence[str | Model] | str | None:
        """Return what `select` returns."""
        return self.select(event, available_models)
