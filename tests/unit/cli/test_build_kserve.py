"""The command `fnkit build --target kserve`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from fnkit.bundle import read_bundles
from fnkit.cli.build import command
from fnkit.deploy.kserve import find_crd_violations
from fnkit.inference_graph.decode import read_graph
from fnkit.inference_graph.webhook import find_refusals

EXAMPLES = Path(__file__).parents[3] / "examples"
SWITCH = EXAMPLES / "kserve" / "switch.yaml"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_a_graph_is_written_for_a_cluster_that_would_take_it(tmp_path: Path) -> None:
    result = run(SWITCH, "--target", "kserve", "-o", tmp_path, "--image", "registry.example/{name}:1", "--json")

    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["event"], line.get("service"), line.get("image")) for line in lines] == [
        ("service", "upper", "registry.example/upper:1"),
        ("service", "lower", "registry.example/lower:1"),
        ("service", "middle-model", "registry.example/middle-model:1"),
        ("exported", None, None),
    ]
    *services, graph = yaml.safe_load_all(Path(lines[-1]["documents"]).read_text("utf-8"))
    assert [service["kind"] for service in services] == ["Service"] * 3
    exported = read_graph(graph)
    assert (*find_refusals(exported), *find_crd_violations(exported)) == ()
    urls = {step.service_url for node in exported.nodes.values() for step in node.steps if step.service_url}
    assert urls == {f"http://{service['metadata']['name']}.default.svc.cluster.local" for service in services}


def test_each_service_has_a_bundle_to_build_its_image_of(tmp_path: Path) -> None:
    run(SWITCH, "--target", "kserve", "-o", tmp_path)

    built = read_bundles(tmp_path / "upper")

    assert [(function.name, function.steps) for function in built.manifest.functions] == [("upper", ("upper",))]


def test_without_knative_deployments_are_written(tmp_path: Path) -> None:
    result = run(SWITCH, "--target", "kserve", "-o", tmp_path, "--no-knative")

    assert result.exit_code == 0, result.output
    kinds = [document["kind"] for document in yaml.safe_load_all((tmp_path / "kserve.yaml").read_text("utf-8"))]
    assert kinds == ["Deployment", "Service"] * 3 + ["InferenceGraph"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((SWITCH, "--target", "kserve", "--image", "one"), "would be the image of 3 services: upper, lower, middle-model"),
        ((SWITCH, "--target", "kserve", "--placement", "fused"), "--placement: does not go with --target kserve"),
        ((SWITCH, "--image", "{name}"), "--image: goes with --target container or knative or kserve only"),
        ((SWITCH, "--no-knative"), "--no-knative: goes with --target kserve only"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: tuple[object, ...], said: str, tmp_path: Path) -> None:
    result = run(*arguments, "-o", tmp_path / "out")

    assert result.exit_code == 2
    assert said in result.output
    assert not (tmp_path / "out").exists()


def test_a_graph_of_another_kind_does_not_fit(tmp_path: Path) -> None:
    result = run(EXAMPLES / "cyclic" / "serve.py", "--target", "kserve", "-o", tmp_path / "out")

    assert result.exit_code != 0
    assert "'cyclic-function' is no InferenceGraph" in result.output
    assert not (tmp_path / "out").exists()


def test_everything_that_a_cluster_would_refuse_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("class A:\n    def do(self, body):\n        return body\n")
    document = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "g"},
        "spec": {
            "fnkit": {"services": {"a_b": "models:A", "a-b": "models:A"}},
            "scaleMetric": "gpu",
            "nodes": {
                "root": {
                    "routerType": "Sequence",
                    "steps": [{"serviceName": "a_b", "dependency": "hard"}, {"serviceName": "a-b"}],
                }
            },
        },
    }
    (tmp_path / "graph.json").write_text(json.dumps(document))

    result = run(tmp_path / "graph.json", "--target", "kserve", "-o", tmp_path / "out")

    assert result.exit_code == 2
    for said in ("both called 'a-b'", 'Unsupported value: "hard"', 'Unsupported value: "gpu"'):
        assert said in result.output
    assert not (tmp_path / "out").exists()
