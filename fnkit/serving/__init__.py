"""Model serving: routers over models, the V2 protocol, and model runners in a flow. Names are loaded when they are first used.

::

    routers        BaseModelRouter, ModelRouter: one request to one route
    ensembles      ParallelRun, VotingEnsemble: one request to all routes; and what is refused
    v2             V2ModelServer: load, predict and the protocol around them
    pickled        PickledModelServer: a V2 server of a pickled model
    models         Model, ModelRunnerSelector: what a model runner runs and chooses
    authoring      ModelRunnerStep, SharedModels: model runners while a graph is written
    runner         ModelRunner: what a ModelRunnerStep becomes where the graph runs
    mechanisms     where a model's predict runs: on the event loop, in threads
    processes      ... or in processes of its own
    llm            LLModel: prompts from templates, answers from a provider
    artifacts      ModelArtifact, LLMPromptArtifact: what is known of a model and its prompts
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.serving.artifacts import LLMPromptArtifact, ModelArtifact
    from fnkit.serving.authoring import ModelRunnerStep, SharedModels
    from fnkit.serving.ensembles import EnrichmentModelRouter, EnrichmentVotingEnsemble, ParallelRun, VotingEnsemble
    from fnkit.serving.llm import LLModel
    from fnkit.serving.models import Model, ModelRunnerSelector, ModelSelector
    from fnkit.serving.pickled import PickledModelServer
    from fnkit.serving.routers import BaseModelRouter, ModelRouter
    from fnkit.serving.runner import ModelRunner
    from fnkit.serving.strategies import ModelEndpointCreationStrategy
    from fnkit.serving.topology import compile_router
    from fnkit.serving.v2 import V2ModelServer

__all__ = [
    "BaseModelRouter",
    "EnrichmentModelRouter",
    "EnrichmentVotingEnsemble",
    "LLMPromptArtifact",
    "LLModel",
    "Model",
    "ModelArtifact",
    "ModelEndpointCreationStrategy",
    "ModelRouter",
    "ModelRunner",
    "ModelRunnerSelector",
    "ModelRunnerStep",
    "ModelSelector",
    "ParallelRun",
    "PickledModelServer",
    "SharedModels",
    "V2ModelServer",
    "VotingEnsemble",
    "compile_router",
]

_MODULES = {
    "artifacts": ("LLMPromptArtifact", "ModelArtifact"),
    "authoring": ("ModelRunnerStep", "SharedModels"),
    "ensembles": ("EnrichmentModelRouter", "EnrichmentVotingEnsemble", "ParallelRun", "VotingEnsemble"),
    "llm": ("LLModel",),
    "models": ("Model", "ModelRunnerSelector", "ModelSelector"),
    "pickled": ("PickledModelServer",),
    "routers": ("BaseModelRouter", "ModelRouter"),
    "runner": ("ModelRunner",),
    "strategies": ("ModelEndpointCreationStrategy",),
    "topology": ("compile_router",),
    "v2": ("V2ModelServer",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    module = _HOMES.get(name)
    if module is None:
        raise AttributeError(f"module 'fnkit.serving' has no attribute {name!r}")
    value: object = getattr(import_module(f"fnkit.serving.{module}"), name)
    globals()[name] = value
    return value
