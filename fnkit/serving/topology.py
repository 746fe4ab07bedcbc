"""The router topology as hosts call it: the engine runs a router as a flow of one step that responds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fnkit.engine import FlowTopology, compile_flow
from fnkit.errors import GraphError
from fnkit.manifest.model import Router

if TYPE_CHECKING:
    from fnkit.engine.context import Context
    from fnkit.engine.resolve import Namespace
    from fnkit.manifest.model import Manifest


def compile_router(manifest: Manifest, *, namespaces: Sequence[Namespace] = (), context: Context) -> FlowTopology:
    """Compile *manifest*, whose topology is a router, to run in one place; its models are loaded here.

    GraphError where the manifest is of another topology, and whatever loading the models raises.
    """
    if not isinstance(manifest.spec, Router):
        raise GraphError(f"the graph {manifest.name!r} is a {manifest.topology}, not a router")
    return compile_flow(manifest, namespaces=namespaces, context=context)
