"""Where a `serviceName` leads: what KServe's controller writes into `serviceUrl`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fnkit.inference_graph.spec import InferenceGraph

Protocol = Literal["v1", "v2", ""]


def prediction_path(model: str, protocol: Protocol = "v1") -> str:
    """Return the path of a model's predictions; other protocols have none."""
    if protocol == "v1":
        return f"/v1/models/{model}:predict"
    return f"/v2/models/{model}/infer" if protocol == "v2" else ""


def service_url(address: str, model: str, protocol: Protocol = "v1", *, multi_model: bool = False) -> str:
    """Return the URL of a service at *address*; a predictor without a storage URI serves many models and gets no path."""
    return address if multi_model else address + prediction_path(model, protocol)


def cluster_url(name: str, namespace: str, *, standard: bool = False, transformer: bool = False) -> str:
    """Return the URL of InferenceService *name* within its cluster, for the V1 protocol and a model of the same name.

    Knative gives the service's own host; a *standard* deployment that of its predictor, or of its transformer.
    """
    host = f"{name}-{'transformer' if transformer else 'predictor'}" if standard else name
    return service_url(f"http://{host}.{namespace or 'default'}.svc.cluster.local", name)


def resolve_with(services: Mapping[str, str]) -> Callable[[str], str | None]:
    """Return a resolver that knows *services*; each URL is used verbatim."""
    return dict(services).get


def resolve_in_cluster(graph: InferenceGraph, services: Mapping[str, str]) -> Callable[[str], str | None]:
    """Return a resolver that knows *services* and takes every other name for an InferenceService of the graph's namespace."""
    return lambda name: services.get(name) or cluster_url(name, graph.namespace)
