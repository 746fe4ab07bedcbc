"""Language models: a prompt is filled in from the body, a provider answers it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from fnkit.engine.paths import read_path, write_path
from fnkit.errors import MLRunRuntimeError
from fnkit.serving.artifacts import Artifact
from fnkit.serving.models import Model
from fnkit.serving.providers import Provider, provider_for

if TYPE_CHECKING:
    from fnkit.engine.context import Context

Message = Mapping[str, object]
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class LLModel(Model):
    """A language model. Each endpoint has a prompt artifact: its template is filled in from the body (`enrich_prompt`), and `predict`
    answers; by default it asks the provider that the model's artifact names by its URL.

    *input_path* chooses the part of the body that fills the template, *result_path* where the answer goes: `{"answer": text, "usage":
    {...}}` (without it the answer is the next body). With *streaming* the tokens are streamed, if the provider can.
    """

    def __init__(
        self,
        name: str = "",
        raise_exception: bool = True,
        artifact_uri: str | None = None,
        input_path: str | None = None,
        result_path: str | None = None,
        streaming: bool | None = None,
        context: Context | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(name, raise_exception, artifact_uri, **kwargs)
        self._input_path = input_path or ""
        self._result_path = result_path or ""
        self._streaming = bool(getattr(context, "streaming", False)) if streaming is None else streaming
        self._secrets = context.get_secret if context is not None else None
        self.model_provider: Provider | None = None

    def init(self) -> None:
        """Find the provider, then load."""
        url, config = self._model_url()
        if url:
            self.model_provider = provider_for(url, config, self._secrets)
        self.load()

    def is_streaming(self) -> bool:
        """Whether answers are streams of tokens."""
        return self._streaming and self.model_provider is not None and self.model_provider.supports_streaming

    def run(self, body: object, path: str = "/", origin_name: str | None = None) -> object:
        """Fill in the prompt of the endpoint *origin_name* and return what `predict` makes of it."""
        artifact = self._artifact(origin_name)
        messages, config = self.enrich_prompt(body, artifact)
        return self.predict(body, messages=messages, invocation_config=config, llm_prompt_artifact=artifact)

    def run_async(self, body: object, path: str = "/", origin_name: str | None = None) -> object:
        """As `run`, with `predict_async`."""
        artifact = self._artifact(origin_name)
        messages, config = self.enrich_prompt(body, artifact)
        return self.predict_async(body, messages=messages, invocation_config=config, llm_prompt_artifact=artifact)

    def enrich_prompt(self, body: object, artifact: Artifact) -> tuple[list[Message], dict[str, object]]:
        """Return the messages for *body*, and the settings of the invocation.

        A placeholder `{name}` of the template stands for the body's field that the legend says, or that has its name; one without a
        value stays as it is. Without a template the messages are those in the body.
        """
        data = read_path(body, self._input_path)
        config = dict(cast("Mapping[str, object]", artifact.get("invocation_config") or {}))
        template = cast("Sequence[Message]", artifact.get("prompt_template") or ())
        if not template:
            found = data.get("messages") if isinstance(data, Mapping) else None
            return list(cast("Sequence[Message]", found or ())), config
        values = _values(data, cast("Mapping[str, object]", artifact.get("prompt_legend") or {}))
        return [{**message, "content": _filled(str(message.get("content", "")), values)} for message in template], config

    def predict(self, body: object, **kwargs: object) -> object:
        """Return the body with the provider's answer; *kwargs* are `messages`, `invocation_config` and `llm_prompt_artifact`."""
        messages, config = _invocation(kwargs)
        provider = self._provider()
        if self.is_streaming():
            return provider.stream(messages, config)
        return self._answered(body, provider.invoke(messages, config))

    async def predict_async(self, body: object, **kwargs: object) -> object:
        """Return the body with the provider's answer, without holding up the event loop."""
        messages, config = _invocation(kwargs)
        return self._answered(body, await self._provider().invoke_async(messages, config))

    def _answered(self, body: object, answer: dict[str, object]) -> object:
        return write_path(body, self._result_path, answer)

    def _provider(self) -> Provider:
        if self.model_provider is None:
            raise MLRunRuntimeError(
                f"Model provider could not be determined for model '{self.name}', and the predict function was not overridden.",
                hint="give the model a model_artifact with a URL such as 'openai://gpt-4o-mini', or define predict in a subclass",
            )
        return self.model_provider

    def _artifact(self, endpoint: str | None) -> Artifact:
        return self.artifacts.get(endpoint or self.name) or self.artifacts.get(self.name) or {}

    def _model_url(self) -> tuple[str, Mapping[str, object]]:
        """Return URL and settings of the model: from its own artifact first, then from the model behind a prompt."""
        own = self.artifacts.get(self.name)
        for artifact in ([own] if own else []) + list(self.artifacts.values()):
            parent = artifact.get("model_artifact")
            for place in (artifact, parent if isinstance(parent, Mapping) else {}):
                if place.get("model_url"):
                    return str(place["model_url"]), cast("Mapping[str, object]", place.get("default_config") or {})
        return self.artifact_uri or "", {}


def _invocation(kwargs: Mapping[str, object]) -> tuple[list[Message], dict[str, object]]:
    return list(cast("Sequence[Message]", kwargs.get("messages") or ())), dict(
        cast("Mapping[str, object]", kwargs.get("invocation_config") or {})
    )


def _values(data: object, legend: Mapping[str, object]) -> dict[str, object]:
    values = dict(data) if isinstance(data, Mapping) else {}
    for placeholder, meaning in legend.items():
        field = meaning.get("field") if isinstance(meaning, Mapping) else meaning
        value = values.get(str(field or placeholder))
        if value:
            values[placeholder] = value
    return values


def _filled(text: str, values: Mapping[str, object]) -> str:
    """Replace the placeholders by their values; nothing in the values is looked at again."""
    return _PLACEHOLDER.sub(lambda match: str(values.get(match[1], match[0])), text)
