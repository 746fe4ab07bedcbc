"""Export a graph to a cluster: the InferenceGraph and a Service per function, as documents for `kubectl apply`.

Each function runs in a container of its own bundle; its Service is a Knative Service, or with `knative=False` a Deployment with a
Service before it. Steps that name a function by `serviceName` get its address as `serviceUrl`, because KServe would look for an
InferenceService of that name; so do steps whose service has a URL in the graph's `services`.

`export_target` starts from a loaded graph: every step class among its services becomes a function of its own, a graph of this one service.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING

import yaml

from fnkit.bundle import build
from fnkit.deploy.container import (
    TAKES,
    Container,
    check_image,
    docker_platform,
    image_commands,
    image_name,
    registry_warnings,
    rows,
    write_context,
)
from fnkit.deploy.container_names import NAME_LIMIT, cluster_name, find_clashes
from fnkit.deploy.export import Exported, Exporter, Order
from fnkit.deploy.knative import Document, Served, container_spec, find_refusals, metadata, pod_concurrency, service_document
from fnkit.errors import DeployError, ProblemsError
from fnkit.functions.services import code_services
from fnkit.inference_graph.decode import read_graph
from fnkit.inference_graph.encode import to_document
from fnkit.inference_graph.spec import ROOT, ROUTER_TYPES, Extensions, InferenceGraph, Node, Step
from fnkit.inference_graph.webhook import find_refusals as find_webhook_refusals
from fnkit.manifest import Document as ManifestDocument
from fnkit.manifest import Manifest
from fnkit.project import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fnkit.functions.services import ServiceCode
    from fnkit.manifest import Function
    from fnkit.project.loaded import Loaded


def export_kserve(graph: InferenceGraph, functions: Sequence[Served], *, knative: bool = True) -> tuple[Document, ...]:
    """Return the documents that put *graph* and its *functions* on a cluster, the services first.

    Raises `ProblemsError` with everything that the CRD or the webhook would refuse.
    """
    addresses = graph.extensions.urls
    addresses |= {function.name: _address(function.name, graph.namespace) for function in functions}
    addressed = replace(
        graph,
        nodes={name: _addressed(node, addresses) for name, node in graph.nodes.items()},
        extensions=replace(graph.extensions, services={}),
    )
    problems = (*find_crd_violations(addressed), *find_webhook_refusals(addressed), *_name_problems(functions))
    if problems:
        raise ProblemsError(f"the export of {graph.name!r}", problems, hint="a cluster would refuse these")
    services = [document for function in functions for document in _service(function, graph.namespace, knative=knative)]
    return (*services, to_document(addressed, for_cluster=True))


@dataclass(frozen=True, slots=True)
class Export:
    """What a graph becomes on a cluster: *documents* for kubectl, and *services*, the graphs of one step to build images of."""

    documents: tuple[Document, ...]
    services: tuple[Loaded, ...]


def export_target(loaded: Loaded, *, image: Callable[[str], str], knative: bool = True) -> Export:
    """Export the InferenceGraph that was *loaded*; *image* names the image of a function.

    Raises `DeployError` for a graph of another kind, and `ProblemsError` with everything that a cluster would refuse.
    """
    spec = loaded.manifest.spec
    if loaded.manifest.topology != "inference_graph" or not isinstance(spec, ManifestDocument):
        raise DeployError(
            f"{loaded.manifest.name!r} is no InferenceGraph",
            hint="only an InferenceGraph can be exported to KServe; `fnkit build` makes bundles of any graph",
        )
    graph = read_graph(spec.spec, where=loaded.manifest.name)
    classes = graph.extensions.code
    entry = loaded.manifest.entry
    functions = [
        Served(
            name,
            image(cluster_name(name)),
            entry.memory_mb,
            timeout_s=entry.timeout_s,
            concurrency=pod_concurrency(entry),
            scale=(0, entry.max_environments),
            environment=entry.environment,
        )
        for name in classes
    ]
    services = tuple(replace(loaded, manifest=_service_manifest(name, code, entry)) for name, code in classes.items())
    return Export(export_kserve(graph, functions, knative=knative), services)


def write_export(order: Order) -> tuple[Path, tuple[Container, ...]]:
    """Write the export of *order*: `kserve.yaml`, and a folder per step class to build its image of. Return both.

    Raises what `export_target` and `fnkit.bundle.build` raise.
    """
    loaded, knative = load(order.target), not order.given.get("no_knative")
    check_image(order, _services_of(loaded))
    services = export_target(loaded, image=str, knative=knative).services  # refused before anything is written
    containers = tuple(_write_service(order, service) for service in services)
    images = {container.name: container.image for container in containers}
    export = export_target(loaded, image=images.__getitem__, knative=knative)
    order.out.mkdir(parents=True, exist_ok=True)
    path = order.out / "kserve.yaml"
    path.write_text(documents_text(export.documents), "utf-8")
    return path, containers


def _write_service(order: Order, service: Loaded) -> Container:
    name = service.manifest.name
    folder = order.out / name
    options = replace(order.build, placement="fused", for_cloud=True)
    built = build(service, folder, options=options, report=order.report)
    (bundle,) = built.bundles
    tag = write_context(built.manifest, bundle, folder)
    return Container(bundle.function, name, image_name(order, name, tag), folder, docker_platform(order))


def documents_text(documents: Sequence[Document]) -> str:
    """Return *documents* as one YAML text."""
    text: str = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=110)
    return text


def _service_manifest(name: str, code: ServiceCode, entry: Function) -> Manifest:
    """Return a graph of the one service *name*, in its own function: it answers what the service answers."""
    own = cluster_name(name)
    requirements = tuple(dict.fromkeys((*entry.requirements, *code.requirements)))
    function = replace(entry, name=own, requirements=requirements, streaming=False)
    step = Step(name=name, service_name=name)
    extensions = Extensions(services={name: replace(code, function="", requirements=())}, propagate_headers=(".",))
    graph = InferenceGraph(own, {ROOT: Node("Sequence", (step,))}, extensions=extensions)
    return Manifest(own, ManifestDocument(to_document(graph)), "inference_graph", functions=(function,))


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
    if len(graph.name) > NAME_LIMIT:
        yield f"metadata.name: must be no more than {NAME_LIMIT} characters: the graph's Service has this name"


def _name_problems(functions: Sequence[Served]) -> Iterator[str]:
    yield from find_clashes((function.name, cluster_name(function.name)) for function in functions)
    yield from find_refusals([_on_cluster(function) for function in functions])


def _on_cluster(function: Served) -> Served:
    return replace(function, name=cluster_name(function.name))


def _address(name: str, namespace: str) -> str:
    return f"http://{cluster_name(name)}.{namespace or 'default'}.svc.cluster.local"


def _addressed(node: Node, addresses: Mapping[str, str]) -> Node:
    return replace(node, steps=tuple(_with_address(step, addresses) for step in node.steps))


def _with_address(step: Step, addresses: Mapping[str, str]) -> Step:
    url = addresses.get(step.service_name)
    return replace(step, service_name="", service_url=url, name=step.name or step.service_name) if url else step


def _service(function: Served, namespace: str, *, knative: bool) -> Iterator[Document]:
    served = _on_cluster(function)
    if knative:
        yield service_document(served, namespace)
        return
    name, labels = served.name, {"app": served.name}
    about = metadata(name, namespace, {})
    # A Service learns of a pod's end only while that ends already: it serves on until then.
    container = {"name": "function", **container_spec(served), "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}}}
    pod = {"terminationGracePeriodSeconds": served.timeout_s + 10, "containers": [container]}
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": about,
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": about,
        "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": served.port}]},
    }


def export_order(order: Order) -> Exported:
    """Write what puts the InferenceGraph of *order* on a cluster."""
    documents, containers = write_export(order)
    return Exported(
        load(order.target).manifest.name,
        ("SERVICE", "IMAGE", "FOLDER"),
        rows(containers),
        tuple(
            {"event": "service", "service": found.name, "image": found.image, "folder": str(found.folder)} for found in containers
        ),
        {"documents": str(documents)},
        (*image_commands(order, containers), f"kubectl apply -f {quote(str(documents))}"),
        registry_warnings(order),
    )


def _services_of(loaded: Loaded) -> tuple[str, ...]:
    spec = loaded.manifest.spec
    return tuple(code_services(spec.spec)) if isinstance(spec, ManifestDocument) else ()


EXPORTER = Exporter(
    export_order,
    TAKES - {"placement"} | {"no_knative"},
    "an InferenceGraph with a Service for each of its classes, and a folder to build the image of each",
)
