"""The commands `fnkit build --target container` and `--target knative`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from fnkit.cli.build import command

EXAMPLES = Path(__file__).parents[3] / "examples"
ENSEMBLE = EXAMPLES / "kserve" / "ensemble.yaml"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_containers_are_named_with_what_makes_and_runs_them(tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    result = run(ENSEMBLE, "--target", "container", "-o", out, "--json")

    assert result.exit_code == 0, result.output
    *containers, exported = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["event"], line["function"]) for line in containers] == [
        ("container", "model-ensemble"),
        ("container", "model-a"),
        ("container", "model-b"),
        ("container", "model-c"),
    ]
    assert (exported["event"], exported["graph"]) == ("exported", "model-ensemble")
    *builds, up = [shlex.split(line) for line in exported["commands"]]
    assert [(words[0:3], words[-1]) for words in builds] == [(["docker", "build", "-t"], line["folder"]) for line in containers]
    assert up == ["docker", "compose", "-f", str(out / "compose.yaml"), "up"]


def test_a_fused_graph_is_one_knative_service_for_the_asked_machine(tmp_path: Path) -> None:
    options = ("--placement", "fused", "--platform", "linux-arm64", "--registry", "r.example", "--min-scale", "2")
    result = run(ENSEMBLE, "--target", "knative", "-o", tmp_path, *options)

    assert result.exit_code == 0, result.output
    build, push, apply = result.stdout.splitlines()[-3:]
    assert build.startswith("docker build --platform linux/arm64 -t r.example/model-ensemble:")
    assert push.startswith("docker push r.example/model-ensemble:")
    assert apply == f"kubectl apply -f {tmp_path}/model-ensemble/service.yaml"
    service = yaml.safe_load((tmp_path / "model-ensemble" / "service.yaml").read_text())
    assert service["spec"]["template"]["metadata"]["annotations"]["autoscaling.knative.dev/min-scale"] == "2"


@pytest.mark.parametrize("kind", ["knative", "kserve"])
def test_images_that_a_cluster_does_not_find_are_a_warning_and_not_pushed(kind: str, tmp_path: Path) -> None:
    result = run(EXAMPLES / "kserve" / "switch.yaml", "--target", kind, "-o", tmp_path)

    assert "the images have no registry" in result.stderr
    assert "docker push" not in result.stdout


def test_a_graph_that_reads_a_queue_is_refused_with_the_reason(tmp_path: Path) -> None:
    result = run(EXAMPLES / "kafka" / "serve.py", "--target", "container", "-o", tmp_path / "out")

    assert result.exit_code == 2, result.output
    assert "a container has no event source, so nothing would wake" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target", "container", "--namespace", "models"), "--namespace: does not go with --target container"),
        (("--target", "knative", "--no-knative"), "--no-knative: does not go with --target knative"),
        (("--target", "knative", "--namespace", "No_Name"), "'No_Name' is no name of a namespace"),
        (("--registry", "r.example"), "--registry: goes with --target container or knative or kserve only"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = run(ENSEMBLE, *arguments, "-o", tmp_path / "out")

    assert result.exit_code == 2, result.output
    assert said in result.output
    assert not (tmp_path / "out").exists()
