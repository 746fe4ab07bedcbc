"""Exporting a graph to a cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fnkit.deploy.kserve import ServedFunction, cluster_name, export_kserve, find_crd_violations
from fnkit.errors import ProblemsError
from fnkit.inference_graph.decode import read_graph
from fnkit.inference_graph.spec import InferenceGraph


def graph(*steps: dict[str, Any], kind: str = "Sequence", **spec: Any) -> InferenceGraph:
    return read_graph(
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "InferenceGraph",
            "metadata": {"name": "pipeline", "namespace": "models"},
            "spec": {"nodes": {"root": {"routerType": kind, "steps": list(steps)}}, **spec},
        }
    )


FUNCTION = ServedFunction("Iris_Tree", "registry/iris:1", memory_mb=256, timeout_s=30, environment={"B": "2", "A": "1"})


def test_a_graph_and_a_knative_service_per_function_are_written() -> None:
    service, exported = export_kserve(graph({"serviceName": "Iris_Tree"}, {"serviceName": "sklearn"}), [FUNCTION])

    assert service == {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "iris-tree", "namespace": "models", "labels": {"app": "iris-tree", "fnkit": "function"}},
        "spec": {
            "template": {
                "spec": {
                    "timeoutSeconds": 30,
                    "containers": [
                        {
                            "image": "registry/iris:1",
                            "ports": [{"containerPort": 8080}],
                            "resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": "256Mi"}},
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                        }
                    ],
                }
            }
        },
    }
    assert exported["spec"] == {
        "nodes": {
            "root": {
                "routerType": "Sequence",
                "steps": [
                    {"name": "Iris_Tree", "serviceUrl": "http://iris-tree.models.svc.cluster.local"},
                    {"serviceName": "sklearn"},
                ],
            }
        }
    }


def test_without_knative_a_deployment_stands_behind_a_service() -> None:
    deployment, service, _ = export_kserve(graph({"serviceName": "Iris_Tree"}), [FUNCTION], knative=False)

    assert (deployment["kind"], service["kind"]) == ("Deployment", "Service")
    assert service["spec"] == {"selector": {"app": "iris-tree"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}


def test_what_fnkit_adds_travels_in_an_annotation() -> None:
    step = {"serviceName": "a", "fnkit": {"timeoutMs": 5}}
    (exported,) = export_kserve(graph(step, fnkit={"stream": True}), [])

    metadata = exported["metadata"]
    assert isinstance(metadata, dict)
    assert json.loads(metadata["annotations"]["fnkit/extensions"]) == {
        "stream": True,
        "nodes": {"root": {"steps": {"0": {"timeoutMs": 5}}}},
    }
    assert "fnkit" not in json.dumps(exported["spec"])
    assert read_graph(exported).nodes["root"].steps[0].timeout_ms == 5


def test_what_a_cluster_would_refuse_is_refused_at_once() -> None:
    bad = graph({"serviceName": "a", "dependency": "hard"}, {}, kind="sequence", scaleMetric="gpu")

    with pytest.raises(ProblemsError) as caught:
        export_kserve(bad, [ServedFunction("a-b", "i"), ServedFunction("a_b", "i")])

    text = str(caught.value)
    assert 'spec.nodes.root.routerType: Unsupported value: "sequence"' in text
    assert 'spec.nodes.root.steps[0].dependency: Unsupported value: "hard"' in text
    assert "spec.scaleMetric" in text
    assert "does not specify an inference target" in text
    assert "both called 'a-b'" in text


def test_a_sound_graph_violates_nothing() -> None:
    assert find_crd_violations(graph({"serviceName": "a", "dependency": "Soft"}, scaleMetric="rps")) == ()


@pytest.mark.parametrize(("name", "form"), [("Iris_Tree", "iris-tree"), ("9lives", "fn-9lives"), ("-x-", "x"), ("é" * 3, "fn")])
def test_names_fit_a_cluster(name: str, form: str) -> None:
    assert cluster_name(name) == form
