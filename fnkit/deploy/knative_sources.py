"""Kafka topics that wake functions on Knative: a KafkaSource for each, which posts every message to the function.

Source of the rules: the documentation of the KafkaSource and its CRD, `sources.knative.dev`. It waits for an answer before it posts the
next message of the same partition, and asks again after a failure. A message that fails must not be lost: it is asked for so often, and
so much more slowly each time, that this takes days; no later message of its partition overtakes it, as with a Kafka mapping on AWS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fnkit.deploy.container_names import NAME_LIMIT, cluster_name
from fnkit.functions.queues.readers import find_mappings
from fnkit.runtime.asgi_paths import EVENTS_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fnkit.functions.queues.spec import QueueSpec
    from fnkit.manifest import Manifest

_DELIVERY: Mapping[str, object] = {"retry": 1000, "backoffPolicy": "linear", "backoffDelay": "PT1S"}


def why_not_woken(spec: QueueSpec) -> str:
    """Return why no source here reads the queue *spec*, "" where one does."""
    if spec.kind != "kafka":
        return f"Knative reads no queue of kind {spec.kind!r} for a function, only Kafka topics"
    if spec.credentials or spec.security_protocol or spec.sasl_mechanism or spec.cluster:
        return "a KafkaSource takes credentials from Secrets of the cluster, which are not written here"
    return "" if spec.brokers else "no broker is named"


def source_documents(manifest: Manifest, services: Mapping[str, str], namespace: str) -> tuple[dict[str, object], ...]:
    """Return a KafkaSource for each topic that wakes a function; *services* are the names of Services, by function."""
    return tuple(
        _document(mapping.spec, services[mapping.function], namespace)
        for mapping in find_mappings(manifest)
        if not why_not_woken(mapping.spec)
    )


def _document(spec: QueueSpec, service: str, namespace: str) -> dict[str, object]:
    metadata: dict[str, object] = {"name": cluster_name(f"{service}-{spec.name}")[:NAME_LIMIT].rstrip("-")}
    if namespace:
        metadata["namespace"] = namespace
    return {
        "apiVersion": "sources.knative.dev/v1beta1",
        "kind": "KafkaSource",
        "metadata": metadata,
        "spec": {
            "bootstrapServers": list(spec.brokers),
            "topics": [spec.address],
            "consumerGroup": spec.group or service,
            "consumers": spec.max_concurrency,
            "initialOffset": spec.starting,
            "ordering": "ordered",
            "delivery": dict(_DELIVERY),
            "sink": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": service}, "uri": EVENTS_PATH},
        },
    }
