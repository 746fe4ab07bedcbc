"""The ready-made steps. Each name is loaded when it is first used: one small module per family.

::

    transform    Map, MapClass, Extend, Rename, DropColumns, ReifyMetadata
    routing      Choice, ChoiceByField, Partition
    selection    Filter, SampleWindow
    grouping     FlatMap, Flatten, Batch
    state        MapWithState, Reduce, ForEach
    joining      Collector, Merge
    checks       Assert, Recover, Complete
    concurrent   ConcurrentExecution
    remote       RemoteStep (also Remote), BatchHttpRequests
    once         Once, SqliteRecords, DynamoRecords: no steps, but what a step needs that must not do its work twice

`ALIASES` maps the names under which MLRun's and storey's users know them to targets of the manifest.
"""

from __future__ import annotations

from fnkit.lean import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.steps.aliases import ALIASES
    from fnkit.steps.checks import Assert, Complete, Recover
    from fnkit.steps.concurrent import ConcurrentExecution
    from fnkit.steps.grouping import Batch, FlatMap, Flatten
    from fnkit.steps.joining import Collector, Merge
    from fnkit.steps.once import DynamoRecords, Once, SqliteRecords, UnderWayError
    from fnkit.steps.remote import BatchHttpRequests, Remote, RemoteStep
    from fnkit.steps.routing import Choice, ChoiceByField, Partition, Partitioned
    from fnkit.steps.selection import Filter, SampleWindow
    from fnkit.steps.state import ForEach, MapWithState, Reduce
    from fnkit.steps.transform import DropColumns, Extend, Map, MapClass, ReifyMetadata, Rename

__all__ = [
    "ALIASES",
    "Assert",
    "Batch",
    "BatchHttpRequests",
    "Choice",
    "ChoiceByField",
    "Collector",
    "Complete",
    "ConcurrentExecution",
    "DropColumns",
    "DynamoRecords",
    "Extend",
    "Filter",
    "FlatMap",
    "Flatten",
    "ForEach",
    "Map",
    "MapClass",
    "MapWithState",
    "Merge",
    "Once",
    "Partition",
    "Partitioned",
    "Recover",
    "Reduce",
    "ReifyMetadata",
    "Remote",
    "RemoteStep",
    "Rename",
    "SampleWindow",
    "SqliteRecords",
    "UnderWayError",
]

_FAMILIES = {
    "aliases": ("ALIASES",),
    "checks": ("Assert", "Complete", "Recover"),
    "concurrent": ("ConcurrentExecution",),
    "grouping": ("Batch", "FlatMap", "Flatten"),
    "joining": ("Collector", "Merge"),
    "once": ("DynamoRecords", "Once", "SqliteRecords", "UnderWayError"),
    "remote": ("BatchHttpRequests", "Remote", "RemoteStep"),
    "routing": ("Choice", "ChoiceByField", "Partition", "Partitioned"),
    "selection": ("Filter", "SampleWindow"),
    "state": ("ForEach", "MapWithState", "Reduce"),
    "transform": ("DropColumns", "Extend", "Map", "MapClass", "ReifyMetadata", "Rename"),
}
_HOMES = {name: family for family, names in _FAMILIES.items() for name in names}


def __getattr__(name: str) -> object:
    family = _HOMES.get(name)
    if family is None:
        raise AttributeError(f"module 'fnkit.steps' has no attribute {name!r}")
    value: object = getattr(import_module(f"fnkit.steps.{family}"), name)
    globals()[name] = value
    return value
