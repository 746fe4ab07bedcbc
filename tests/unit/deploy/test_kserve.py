"""Exporting a graph to a cluster."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fnkit.deploy.container_names import cluster_name
from fnkit.deploy.export import Order
from fnkit.deploy.knative import Served
from fnkit.deploy.kserve import documents_text, export_kserve, export_target, find_crd_violations, write_export
from fnkit.errors import DeployError, ProblemsError
from fnkit.functions.services import code_services
from fnkit.inference_graph.decode import read_graph
from fnkit.inference_graph.encode import to_document
from fnkit.inference_graph.spec import InferenceGraph
from fnkit.manifest import Document, Flow, Function, Manifest
from fnkit.project.loaded import Loaded


def graph(*steps: dict[str, Any], kind: str = "Sequence", **spec: Any) -> InferenceGraph:
    return read_graph(
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "InferenceGraph",
            "metadata": {"name": "pipeline", "namespace": "models"},
            "spec": {"nodes": {"root": {"routerType": kind, "steps": list(steps)}}, **spec},
        }
    )


FUNCTION = Served("Iris_Tree", "registry/iris:1", memory_mb=256, timeout_s=30, environment={"B": "2", "A": "1"})


def test_a_graph_and_a_knative_service_per_function_are_written() -> None:
    service, exported = export_kserve(graph({"serviceName": "Iris_Tree"}, {"serviceName": "sklearn"}), [FUNCTION])

    assert service == {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "iris-tree", "namespace": "models", "labels": {"app": "iris-tree", "fnkit": "function"}},
        "spec": {
            "template": {
                "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "0"}},
                "spec": {
                    "containerConcurrency": 1,
                    "timeoutSeconds": 30,
                    "containers": [
                        {
                            "image": "registry/iris:1",
                            "ports": [{"containerPort": 8080}],
                            "resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": "256Mi"}},
                            "readinessProbe": {"httpGet": {"path": "/_fnkit/ready", "port": 8080}},
                            "livenessProbe": {"httpGet": {"path": "/_fnkit/live", "port": 8080}, "failureThreshold": 6},
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                        }
                    ],
                },
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
        export_kserve(bad, [Served("a-b", "i"), Served("a_b", "i")])

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


def loaded(exported: InferenceGraph) -> Loaded:
    entry = Function(exported.name, "entry", memory_mb=256, timeout_s=30, requirements=("numpy",))
    return Loaded(Manifest(exported.name, Document(to_document(exported)), "inference_graph", functions=(entry,)), Path())


def test_every_step_class_becomes_a_service_of_its_own() -> None:
    services = {"Iris": "models:IrisTree", "far": "http://far.example/v1/models/far:predict"}
    steps = ({"serviceName": "Iris"}, {"serviceName": "far"}, {"serviceName": "sklearn"})

    export = export_target(loaded(graph(*steps, fnkit={"services": services})), image=lambda name: f"registry/{name}:1")

    service, exported = export.documents
    assert json.dumps(service).count("registry/iris:1") == 1
    assert exported["spec"] == {
        "nodes": {
            "root": {
                "routerType": "Sequence",
                "steps": [
                    {"name": "Iris", "serviceUrl": "http://iris.models.svc.cluster.local"},
                    {"name": "far", "serviceUrl": "http://far.example/v1/models/far:predict"},
                    {"serviceName": "sklearn"},
                ],
            }
        }
    }
    assert "annotations" not in str(exported["metadata"])
    (made,) = export.services
    assert isinstance(made.manifest.spec, Document)
    assert (made.manifest.name, code_services(made.manifest.spec.spec)["Iris"].target) == ("iris", "models:IrisTree")
    assert made.manifest.entry.requirements == ("numpy",)


def test_only_an_inference_graph_can_be_exported() -> None:
    with pytest.raises(DeployError, match="no InferenceGraph"):
        export_target(Loaded(Manifest("flow", Flow(())), Path()), image=str)


def test_the_documents_are_one_yaml_text() -> None:
    documents = export_kserve(graph({"serviceName": "Iris_Tree"}), [FUNCTION])

    assert tuple(yaml.safe_load_all(documents_text(documents))) == documents


def test_an_export_is_a_yaml_file_and_a_build_context_per_step_class(tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / "examples" / "kserve" / "switch.yaml"

    path, containers = write_export(Order(str(example), tmp_path / "out", given={"registry": "registry.example/team"}))

    assert [container.name for container in containers] == ["upper", "lower", "middle-model"]
    *services, exported = yaml.safe_load_all(path.read_text("utf-8"))
    assert exported["kind"] == "InferenceGraph"
    images = [service["spec"]["template"]["spec"]["containers"][0]["image"] for service in services]
    assert images == [container.image for container in containers]
    assert all(re.fullmatch(r"registry\.example/team/[a-z-]+:[0-9a-f]{12}", image) for image in images)
    upper = containers[0].folder
    assert (upper / "upper.zip").is_file()
    assert {entry.name for entry in upper.iterdir()} >= {"Dockerfile", ".dockerignore", "bundle"}
    assert (upper / "bundle" / "bundle.json").is_file()
