"""The paths that a container keeps for itself; all others belong to the graph."""

from __future__ import annotations

from fnkit.functions.http_invoker import STEPS_PATH

OWN_PATHS = "/_fnkit/"
LIVE_PATH, READY_PATH = f"{OWN_PATHS}live", f"{OWN_PATHS}ready"
EVENTS_PATH = f"{OWN_PATHS}events"  # messages of a queue, as Knative's sources post them
KUBELET_PATHS = ("/healthz", "/livez", "/readyz")  # answered only to a kubelet, which says who it is

__all__ = ["EVENTS_PATH", "KUBELET_PATHS", "LIVE_PATH", "OWN_PATHS", "READY_PATH", "STEPS_PATH"]
