"""Under which names MLRun's and storey's users know the ready-made classes, and what they are called here.

A class of the user's own file goes before a bare name of this table.
"""

from __future__ import annotations

_STEPS = (
    "Assert",
    "Batch",
    "Choice",
    "Collector",
    "Complete",
    "ConcurrentExecution",
    "DropColumns",
    "Extend",
    "Filter",
    "FlatMap",
    "Flatten",
    "ForEach",
    "Map",
    "MapClass",
    "MapWithState",
    "Partition",
    "Recover",
    "Reduce",
    "ReifyMetadata",
    "Rename",
    "SampleWindow",
)
_STOREY_MODULES = ("storey", "storey.flow", "storey.transformations", "storey.steps")
_MLRUN_STEPS = {
    "ChoiceByField": ("mlrun.serving.steps",),
    "Merge": ("mlrun.serving.merger", "mlrun.serving", "storey"),
    "RemoteStep": ("mlrun.serving.remote", "mlrun.serving"),
    "BatchHttpRequests": ("mlrun.serving.remote", "mlrun.serving"),
}
_ROUTERS = (
    "ModelRouter",
    "VotingEnsemble",
    "ParallelRun",
    "EnrichmentModelRouter",
    "EnrichmentVotingEnsemble",
    "BaseModelRouter",
)
_MODELS = ("Model", "LLModel", "ModelRunnerStep", "ModelRunnerSelector", "ModelSelector")


def _aliases() -> dict[str, str]:
    table = {f"{module}.{name}": f"fnkit.steps:{name}" for name in _STEPS for module in _STOREY_MODULES}
    table["storey.steps.collector.Collector"] = "fnkit.steps:Collector"
    for name, modules in _MLRUN_STEPS.items():
        table.update({f"{module}.{name}": f"fnkit.steps:{name}" for module in modules})
    for names, home in ((_ROUTERS, "routers"), (_MODELS, "states"), (("V2ModelServer",), "v2_serving")):
        for name in names:
            table.update(dict.fromkeys((f"mlrun.serving.{name}", f"mlrun.serving.{home}.{name}", name), f"fnkit.serving:{name}"))
    table.update({name: f"fnkit.steps:{name}" for name in (*_STEPS, *_MLRUN_STEPS)})
    table.update(dict.fromkeys(("$remote", "Remote"), "fnkit.steps:RemoteStep"))
    return table


ALIASES = _aliases()
