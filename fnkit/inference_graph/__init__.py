"""KServe's InferenceGraph: its spec, its checks, and a router that answers as KServe's does.

::

    spec        a graph as frozen data
    decode      plain JSON -> spec, all faults of form at once        encode      spec -> plain JSON
    webhook     what KServe's admission webhook refuses, in its words  lint       what it lets pass and should not
    gjson       conditions: paths and queries on the bytes of a JSON text
    go_json     what Go's encoding/json makes of a body                sniff      the content type of what is no JSON
    graph       a spec compiled to something that answers requests
    nodes       Sequence, Switch, Splitter                             ensemble   Ensemble, and all that needs an event loop
    calls       services behind HTTP                                   services   where a service name leads
    step_service  services that are step classes, here or as functions of their own
    function_service  services in other functions               model_protocol  V1 and V2 for model servers
    headers     which headers of a client reach the services
    answers     what the client sees                                   topology   the same inside a function

Bodies are bytes from end to end: only an Ensemble and `mapPredictionsToInstances` take them apart.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.inference_graph.topology import compile_topology

__all__ = ["compile_topology"]


def __getattr__(name: str) -> object:
    if name != "compile_topology":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Lazy: a file that only tries conditions does not load the engine.
    return import_module("fnkit.inference_graph.topology").compile_topology
