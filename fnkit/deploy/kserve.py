"""Export a graph to a cluster: the InferenceGraph and a Service per function, as documents for `kubectl apply`.

Each function runs in a container of its own bundle; its Service is a Knative Service, or with `knative=False` a Deployment with a
Service before it. Steps that name a function by `serviceName` get its address as `serviceUrl`, because KServe would look for an
InferenceService of that name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fnkit.errors import ProblemsError
from fnkit.inference_graph.encode import to_document
from fnkit.inference_graph.spec import ROUTER_TYPES
from fnkit.inference_graph.webhook import find_refusals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fnkit.inference_graph.spec import InferenceGraph, Node, Step

Document = dict[str, object]

_NAME_LIMIT = 63  # RFC 1035 label, which names of Services are


@dataclass(frozen=True, slots=True)
class ServedFunction:
    """One function on the cluster: the *image* is built from its bundle and listens on *port*."""

    name: str
    image: str
    memory_mb: int = 512
    port: int = 8080
    timeout_s: int = 60
    environment: Mapping[str, str] | None = None


def export_kserve(graph: InferenceGraph, functions: Sequence[ServedFunction], *, knative: bool = True) -> tuple[Document, ...]:
    """Return the documents that put *graph* and its *functions* on a cluster, the services first.

    Raises `ProblemsError` with everything that the CRD or the webhook would refuse.
    """
    names = {function.name: cluster_name(function.name) for function in functions}
    addressed = replace(graph, nodes={name: _addressed(node, names, graph.namespace) for name, node in graph.nodes.items()})
    problems = (*find_crd_violations(addressed), *find_refusals(addressed), *_name_problems(functions))
    if problems:
        raise ProblemsError(f"the export of {graph.name!r}", problems, hint="a cluster would refuse these")
    services = [document for function in functions for document in _service(function, graph.namespace, knative=knative)]
    return (*services, to_document(addressed, for_cluster=True))


def cluster_name(name: str) -> str:
    """Return *name* as the name of a Service: lower case letters, digits and hyphens."""
    text = "".join(char if char.isascii() and char.isalnum() else "-" for char in name.lower())
    text = text[:_NAME_LIMIT].strip("-")
    return text if text[:1].isalpha() else f"fn-{text}"[:_NAME_LIMIT].strip("-")


def find_crd_violations(graph: InferenceGraph) -> tuple[str, ...]:
    """Return what the schema of the CRD refuses, which the webhook never sees: wrong words in its enumerations."""
    return tuple(_violations(graph))


def _violations(graph: InferenceGraph) -> Iterator[str]:
    for name, node in graph.nodes.items():
        if node.router_type not in ROUTER_TYPES:
            yield (
                f'spec.nodes.{name}.routerType: Unsupported value: "{node.router_type}": supported values: '
                + ", ".join(f'"{word}"' for word in ROUTER_TYPES)
            )
        for at, step in enumerate(node.steps):
            if step.dependency not in ("", "Soft", "Hard"):
                yield (
                    f"spec.nodes.{name}.steps[{at}].dependency: Unsupported value: "
                    f'"{step.dependency}": supported values: "Soft", "Hard"'
                )
    metric = graph.pod.get("scaleMetric")
    if metric not in (None, "cpu", "memory", "concurrency", "rps"):
        yield f'spec.scaleMetric: Unsupported value: "{metric}": supported values: "cpu", "memory", "concurrency", "rps"'
    if len(graph.name) > _NAME_LIMIT:
        yield f"metadata.name: must be no more than {_NAME_LIMIT} characters: the graph's Service has this name"


def _name_problems(functions: Sequence[ServedFunction]) -> Iterator[str]:
    taken: dict[str, str] = {}
    for function in functions:
        name = cluster_name(function.name)
        if name in taken:
            yield f"functions {taken[name]!r} and {function.name!r} are both called {name!r} on a cluster"
        taken[name] = function.name


def _addressed(node: Node, names: Mapping[str, str], namespace: str) -> Node:
    return replace(node, steps=tuple(_with_address(step, names, namespace) for step in node.steps))


def _with_address(step: Step, names: Mapping[str, str], namespace: str) -> Step:
    name = names.get(step.service_name)
    if name is None:
        return step
    url = f"http://{name}.{namespace or 'default'}.svc.cluster.local"
    return replace(step, service_name="", service_url=url, name=step.name or step.service_name)


def _service(function: ServedFunction, namespace: str, *, knative: bool) -> Iterator[Document]:
    name = cluster_name(function.name)
    metadata: Document = {"name": name, "labels": {"app": name, "fnkit": "function"}}
    if namespace:
        metadata["namespace"] = namespace
    container = _container(function)
    if knative:
        template = {"spec": {"timeoutSeconds": function.timeout_s, "containers": [container]}}
        yield {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata, "spec": {"template": template}}
        return
    labels = {"app": name}
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "function", **container}]}},
        },
    }
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": function.port}]},
    }


def _container(function: ServedFunction) -> Document:
    container: Document = {
        "image": function.image,
        "ports": [{"containerPort": function.port}],
        "resources": {"requests": {"memory": f"{function.memory_mb}Mi"}, "limits": {"memory": f"{function.memory_mb}Mi"}},
    }
    if function.environment:
        container["env"] = [{"name": name, "value": value} for name, value in sorted(function.environment.items())]
    return container
