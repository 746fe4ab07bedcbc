"""Export a graph to Knative: the containers of its functions, and a Service for each.

Source of the rules: the documentation and the CRDs of `serving.knative.dev/v1`. Only the entry function is visible outside of the cluster.
Kafka topics that wake functions become sources (`knative_sources`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from shlex import quote
from typing import TYPE_CHECKING

import yaml

from fnkit.deploy.container import (
    PORT,
    TAKES,
    Container,
    environment,
    events,
    image_commands,
    registry_warnings,
    rows,
    service_urls,
    write_containers,
)
from fnkit.deploy.container_names import NAME_LIMIT
from fnkit.deploy.export import Exported, Exporter, Order
from fnkit.deploy.knative_sources import source_documents, why_not_woken
from fnkit.errors import ProblemsError, UsageError
from fnkit.runtime.asgi_paths import LIVE_PATH, READY_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from fnkit.manifest import Function

Document = dict[str, object]

_RESERVED = frozenset(
    {"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"}
)  # Knative sets these itself, and refuses others' values
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LONGEST_S = 600  # max-revision-timeout-seconds, unless the cluster's operator has raised it


@dataclass(frozen=True, slots=True)
class Served:
    """One function on a cluster, as its documents say it.

    *concurrency* is that of one pod, *scale* the least and the greatest number of pods.
    """

    name: str
    image: str
    memory_mb: int = 512
    port: int = PORT
    timeout_s: int = 60
    concurrency: int = 1
    scale: tuple[int, int | None] = (0, None)
    environment: Mapping[str, str] = field(default_factory=dict)
    public: bool = True


def pod_concurrency(function: Function) -> int:
    """Return how many requests a pod of *function* handles at a time: gunicorn starts `WEB_CONCURRENCY` workers."""
    workers = function.environment.get("WEB_CONCURRENCY", "")
    return function.concurrency * (int(workers) if workers.isdecimal() and int(workers) else 1)


def container_spec(served: Served) -> Document:
    """Return the container of a pod."""
    memory = f"{served.memory_mb}Mi"
    container: Document = {
        "image": served.image,
        "ports": [{"containerPort": served.port}],
        "resources": {"requests": {"memory": memory}, "limits": {"memory": memory}},
        "readinessProbe": {"httpGet": {"path": READY_PATH, "port": served.port}},
        "livenessProbe": {"httpGet": {"path": LIVE_PATH, "port": served.port}, "failureThreshold": 6},
    }
    if served.environment:
        container["env"] = [{"name": name, "value": value} for name, value in sorted(served.environment.items())]
    return container


def metadata(name: str, namespace: str, labels: Mapping[str, str]) -> Document:
    """Return the metadata of a document about the service *name*; an empty *namespace* leaves it to kubectl."""
    found: Document = {"name": name, "labels": {"app": name, "fnkit": "function", **labels}}
    if namespace:
        found["namespace"] = namespace
    return found


def service_document(served: Served, namespace: str = "") -> Document:
    """Return the Knative Service of one function."""
    least, most = served.scale
    annotations = {"autoscaling.knative.dev/min-scale": str(least)}
    if most is not None:
        annotations["autoscaling.knative.dev/max-scale"] = str(most)
    template = {
        "metadata": {"annotations": annotations},
        "spec": {
            "containerConcurrency": served.concurrency,
            "timeoutSeconds": served.timeout_s,
            "containers": [container_spec(served)],
        },
    }
    labels = {} if served.public else {"networking.knative.dev/visibility": "cluster-local"}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": metadata(served.name, namespace, labels),
        "spec": {"template": template},
    }


def find_refusals(served: Sequence[Served]) -> Iterator[str]:
    """Yield what a cluster would refuse of *served*: names, and variables."""
    for one in served:
        if len(one.name) > NAME_LIMIT or not _LABEL.fullmatch(one.name):
            yield f"{one.name!r} is no name of a Service: lower case letters, digits and hyphens, at most {NAME_LIMIT}"
        for name in sorted(one.environment):
            if name in _RESERVED:
                yield f"service {one.name!r}: the variable {name} is Knative's own"
            elif not _VARIABLE.fullmatch(name):
                yield f"service {one.name!r}: {name!r} is no name of a variable"


def find_warnings(served: Sequence[Served]) -> tuple[str, ...]:
    """Return what a cluster refuses unless its operator allows it."""
    return tuple(
        f"service {one.name!r}: timeoutSeconds {one.timeout_s} is above {_LONGEST_S}, the most that Knative takes by default "
        "(config-defaults: max-revision-timeout-seconds)"
        for one in served
        if one.timeout_s > _LONGEST_S
    )


def export_order(order: Order) -> Exported:
    """Write the containers of *order*, and `service.yaml` into the folder of each."""
    namespace, least = order.text("namespace"), _least(order.text("min_scale", "0"))
    if namespace and not _LABEL.fullmatch(namespace):
        raise UsageError(
            f"{namespace!r} is no name of a namespace", where="--namespace", hint="lower case letters, digits, hyphens"
        )
    built, containers = write_containers(order, why_not_woken)
    urls = service_urls(containers, f"http://{{service}}.{namespace or '{namespace}'}.svc.cluster.local")
    served = [_served(found, environment(found, urls), least) for found in containers]
    if problems := tuple(find_refusals(served)):
        raise ProblemsError(f"the export of {built.manifest.name!r}", problems, hint="a cluster would refuse these")
    paths = []
    for found, one in zip(containers, served, strict=True):
        path = found.folder / "service.yaml"
        path.write_text(yaml.safe_dump(service_document(one, namespace), sort_keys=False, width=110), "utf-8")
        paths.append(path)
    paths += _write_sources(
        order, source_documents(built.manifest, {found.function.name: found.name for found in containers}, namespace)
    )
    apply = "kubectl apply " + " ".join(f"-f {quote(str(path))}" for path in paths)
    return Exported(
        built.manifest.name,
        ("FUNCTION", "IMAGE", "FOLDER"),
        rows(containers),
        events(containers),
        {"folder": str(order.out)},
        (*image_commands(order, containers), apply),
        (*built.warnings, *registry_warnings(order), *find_warnings(served)),
    )


def _write_sources(order: Order, documents: Sequence[Document]) -> list[Path]:
    """Write what wakes functions of the graph, if there is anything."""
    path = order.out / "sources.yaml"
    path.unlink(missing_ok=True)
    if not documents:
        return []
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False, width=110), "utf-8")
    return [path]


def _least(text: str) -> int:
    if not text.isdecimal():
        raise UsageError(f"{text!r} is no number of pods", where="--min-scale", hint="write 0 or more")
    return int(text)


def _served(found: Container, variables: Mapping[str, str], least: int) -> Served:
    function = found.function
    return Served(
        found.name,
        found.image,
        function.memory_mb,
        timeout_s=function.timeout_s,
        concurrency=pod_concurrency(function),
        scale=(least, function.max_environments),
        environment=variables,
        public=function.kind == "entry",
    )


EXPORTER = Exporter(export_order, TAKES | {"namespace", "min_scale"}, "the same with a Knative Service for each function")
