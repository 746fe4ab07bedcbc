"""What is known of a model and of its prompts, as plain data that a manifest can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass

from fnkit.errors import MLRunInvalidArgumentError

Artifact = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ModelArtifact:
    """A model that is not a file of the project: *model_url* says where it answers (`"openai://gpt-4o-mini"`, `"mock://"`).

    *default_config* is sent along with every invocation.
    """

    key: str = ""
    model_url: str = ""
    default_config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LLMPromptArtifact:
    """A prompt for a language model.

    *prompt_template*: messages `{"role": ..., "content": ...}` whose contents have placeholders in braces. *prompt_legend*: placeholder ->
    `{"field": name in the body, "description": ...}`. *invocation_config* is sent along. *model_artifact* is the model to ask.
    """

    key: str = ""
    prompt_template: tuple[Mapping[str, str], ...] | list[Mapping[str, str]] = ()
    prompt_legend: Mapping[str, Mapping[str, str] | str | None] = field(default_factory=dict)
    invocation_config: Mapping[str, object] = field(default_factory=dict)
    model_artifact: ModelArtifact | None = None


_FIELDS = ("key", "model_url", "default_config", "prompt_template", "prompt_legend", "invocation_config", "model_artifact")


def artifact_data(artifact: object) -> dict[str, object]:
    """Return *artifact* as plain data: one of the classes here, a mapping, a URL, or any object with their attributes.

    MLRunInvalidArgumentError for anything else.
    """
    if artifact is None:
        return {}
    if isinstance(artifact, str):
        return {"model_url": artifact}
    if is_dataclass(artifact) and not isinstance(artifact, type):
        return _without_empty(asdict(artifact))
    if isinstance(artifact, Mapping):
        return _without_empty(artifact)
    found = {name: getattr(getattr(artifact, "spec", artifact), name, getattr(artifact, name, None)) for name in _FIELDS}
    if not any(found.values()):
        raise MLRunInvalidArgumentError(
            f"a model_artifact cannot be a {type(artifact).__name__}",
            hint="pass a URL such as 'openai://gpt-4o-mini', or a fnkit.serving.ModelArtifact or LLMPromptArtifact",
        )
    if found["model_artifact"] is not None:
        found["model_artifact"] = artifact_data(found["model_artifact"])
    return _without_empty(found)


def _without_empty(data: Mapping[str, object]) -> dict[str, object]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items() if value}
