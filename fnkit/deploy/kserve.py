"""Export a graph to a cluster: the InferenceGraph and a Service per function, as documents for `kubectl apply`.

Each function runs in a container of its own bundle; its Service is a Knative Service, or with `knative=False` a Deployment with a
Service before it. Steps that name a function by `serviceName` get its address as `serviceUrl`, because KServe would look for an
InferenceService of that name; so do steps whose service has a URL in the graph's `services`.

`export_target` starts from a loaded graph: every step class among its services becomes a function of its own, a graph of this one service.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import yaml

from fnkit.bundle import build
from fnkit.deploy.export import Exported, Exporter, Order
from fnkit.errors import DeployError, ProblemsError, UsageError
from fnkit.functions.services import code_services
from fnkit.inference_graph.decode import read_graph
from fnkit.inference_graph.encode import to_document
from fnkit.inference_graph.spec import ROOT, ROUTER_TYPES, Extensions, InferenceGraph, Node, Step
from fnkit.inference_graph.webhook import find_refusals
from fnkit.manifest import Document as ManifestDocument
from fnkit.manifest import Manifest
from fnkit.project import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fnkit.functions.services import ServiceCode
    from fnkit.manifest import Function
    from fnkit.project.loaded import Loaded

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
    addresses = graph.extensions.urls
    addresses |= {function.name: _address(function.name, graph.namespace) for function in functions}
    addressed = replace(
        graph,
        nodes={name: _addressed(node, addresses) for name, node in graph.nodes.items()},
        extensions=replace(graph.extensions, services={}),
    )
    problems = (*find_crd_violations(addressed), *find_refusals(addressed), *_name_problems(functions))
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
        ServedFunction(name, image(cluster_name(name)), entry.memory_mb, timeout_s=entry.timeout_s, environment=entry.environment)
        for name in classes
    ]
    services = tuple(replace(loaded, manifest=_service_manifest(name, code, entry)) for name, code in classes.items())
    return Export(export_kserve(graph, functions, knative=knative), services)


def write_export(
    loaded: Loaded,
    out: Path,
    *,
    image: Callable[[str], str],
    knative: bool = True,
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Path, ...]:
    """Write the export of *loaded* into the folder *out* and return what was written: `kserve.yaml`, a folder per step class.

    *report* is told what takes long. Raises what `export_target` and `fnkit.bundle.build` raise.
    """
    export = export_target(loaded, image=image, knative=knative)
    written = []
    for service in export.services:
        folder = out / service.manifest.name
        build(service, folder, placement="fused", report=report)
        written.append(folder)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "kserve.yaml"
    path.write_text(documents_text(export.documents), "utf-8")
    return (path, *written)


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


def _address(name: str, namespace: str) -> str:
    return f"http://{cluster_name(name)}.{namespace or 'default'}.svc.cluster.local"


def _addressed(node: Node, addresses: Mapping[str, str]) -> Node:
    return replace(node, steps=tuple(_with_address(step, addresses) for step in node.steps))


def _with_address(step: Step, addresses: Mapping[str, str]) -> Step:
    url = addresses.get(step.service_name)
    return replace(step, service_name="", service_url=url, name=step.name or step.service_name) if url else step


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


def export_order(order: Order) -> Exported:
    """Write what puts the InferenceGraph of *order* on a cluster; `--image` names the images by `{name}`."""
    loaded = load(order.target)
    image = order.text("image", "{name}:latest")
    _check_image(image, _services_of(loaded))

    def named(name: str) -> str:
        return image.replace("{name}", name)

    documents, *folders = write_export(
        loaded, order.out, image=named, knative=not order.given.get("no_knative"), report=order.report
    )
    return Exported(
        loaded.manifest.name,
        ("SERVICE", "IMAGE", "BUNDLE"),
        tuple((folder.name, named(folder.name), str(folder)) for folder in folders),
        tuple(
            {"event": "service", "service": folder.name, "image": named(folder.name), "folder": str(folder)} for folder in folders
        ),
        {"documents": str(documents)},
        (f"kubectl apply -f {documents}",),
    )


def _services_of(loaded: Loaded) -> tuple[str, ...]:
    spec = loaded.manifest.spec
    return tuple(code_services(spec.spec)) if isinstance(spec, ManifestDocument) else ()


def _check_image(image: str, services: tuple[str, ...]) -> None:
    if len(services) > 1 and "{name}" not in image:
        raise UsageError(
            f"{image!r} would be the image of {len(services)} services: {', '.join(services)}",
            where="--image",
            hint="write {name} where the name of the service goes: --image registry.example/{name}:1",
        )


EXPORTER = Exporter(export_order, frozenset({"image", "no_knative"}), "documents for a cluster, and a bundle per service")
