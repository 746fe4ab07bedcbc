"""Exporting a graph as containers, and to Knative."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fnkit.deploy import container, knative
from fnkit.deploy.container_names import service_name
from fnkit.deploy.export import Exported, Exporter, Order
from fnkit.errors import ProblemsError, UsageError
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit.project.loaded import Loaded
from tests.fakes.containers import read_dockerfile

PROJECT = Path(__file__).parents[2] / "projects" / "contract"
LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # RFC 1035, which is RFC 1123 without a digit in front


def target(tmp_path: Path, *steps: Step, **entry: object) -> str:
    """Write a graph of *steps* and return it as a TARGET."""
    function = Function("Graph", "entry", module="steps", **entry)  # type: ignore[arg-type]  # options of the test
    children = {step.function: Function(step.function, "child", module="steps") for step in steps if step.function}
    manifest = Manifest("Graph", Flow(steps), functions=(function, *children.values()), streaming=True)
    path = tmp_path / "loaded.json"
    path.write_text(Loaded(manifest, PROJECT).to_json())
    return str(path)


TWO = (Step("ticks", target="steps:Ticks"), Step("shout", target="steps:Shout", after=("ticks",), responder=True))


def export(exporter: Exporter, tmp_path: Path, *steps: Step, entry: Mapping[str, object] | None = None, **given: str) -> Exported:
    return exporter.export(Order(target(tmp_path, *(steps or TWO), **(entry or {})), tmp_path / "out", given=given))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, Path]:
    """The graph of two steps as containers, and the folder that they are in."""
    folder = tmp_path_factory.mktemp("plain")
    return export(container.EXPORTER, folder, entry={"timeout_s": 45, "environment": {"PRICE": "$5"}}), folder / "out"


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The Knative Services of the same graph, by name."""
    folder = tmp_path_factory.mktemp("services")
    export(knative.EXPORTER, folder)
    return documents(folder)


def documents(tmp_path: Path) -> dict[str, Any]:
    return {path.parent.name: yaml.safe_load(path.read_text()) for path in (tmp_path / "out").glob("*/service.yaml")}


def test_each_function_has_a_folder_to_build_its_image_of(plain: tuple[Exported, Path]) -> None:
    exported, out = plain

    assert [row[0] for row in exported.rows] == ["Graph", "ticks", "shout"]
    for name in ("graph", "graph-ticks", "graph-shout"):
        folder = out / name
        assert (folder / "bundle" / "bundle.json").is_file()
        assert (folder / ".dockerignore").read_text().split("\n")[1:3] == ["*", "!bundle"]
    assert (out / "bundles.json").is_file()


def test_a_dockerfile_starts_the_server_without_root(plain: tuple[Exported, Path]) -> None:
    image = read_dockerfile(plain[1] / "graph")

    assert image.lines[0] == f"FROM python:{json.loads((image.folder / 'bundle.json').read_text())['python']}-slim"
    assert "USER 10001:10001" in image.lines
    assert image.command[0] == "gunicorn"
    assert image.command[-1] == "fnkit.runtime.asgi:application"
    assert image.command[image.command.index("--graceful-timeout") + 1] == "45"
    (installed,) = [line for line in image.lines if line.startswith("RUN pip install")]
    assert '"gunicorn>=25.1,<28"' in installed


def test_everybody_can_read_what_is_in_an_image(plain: tuple[Exported, Path]) -> None:
    modes = {path.stat().st_mode & 0o444 for path in (plain[1] / "graph" / "bundle").rglob("*") if path.is_file()}

    assert modes == {0o444}


def test_the_tag_of_an_image_is_that_of_its_content(tmp_path: Path) -> None:
    def images(folder: str, **entry: object) -> dict[str, str]:
        (tmp_path / folder).mkdir()
        exported = export(container.EXPORTER, tmp_path / folder, entry=entry, registry="registry.example/team/")
        return {row[0]: row[1] for row in exported.rows}

    first, again, slower = images("a"), images("b"), images("c", timeout_s=90)

    assert first == again
    assert re.fullmatch(r"registry\.example/team/graph-ticks:[0-9a-f]{12}", first["ticks"])
    assert slower["Graph"] != first["Graph"]


def test_a_compose_file_tells_the_entry_function_where_the_others_are(plain: tuple[Exported, Path]) -> None:
    exported, out = plain

    composed = yaml.safe_load(Path(exported.files["compose"]).read_text())
    entry = composed["services"]["graph"]
    urls = {"shout": "http://graph-shout:8080", "ticks": "http://graph-ticks:8080"}
    assert json.loads(entry["environment"]["FNKIT_SERVICE_URLS"]) == urls
    assert entry["environment"]["PRICE"] == "$$5"
    assert entry["ports"] == ["127.0.0.1:8080:8080"]
    assert entry["depends_on"] == ["graph-ticks", "graph-shout"]
    others = [composed["services"][name] for name in ("graph-ticks", "graph-shout")]
    assert all("ports" not in other for other in others)
    assert all((out / service["build"] / "Dockerfile").is_file() for service in composed["services"].values())


def test_each_function_is_a_knative_service(tmp_path: Path) -> None:
    entry = {"concurrency": 4, "timeout_s": 30, "max_environments": 7, "memory_mb": 256, "environment": {"A": "1"}}
    exported = export(knative.EXPORTER, tmp_path, entry=entry, namespace="models", min_scale="1", image="r.example/{name}:7")

    found = documents(tmp_path)["graph"]
    assert (found["apiVersion"], found["kind"]) == ("serving.knative.dev/v1", "Service")
    assert found["metadata"]["namespace"] == "models"
    template = found["spec"]["template"]
    assert template["metadata"]["annotations"] == {
        "autoscaling.knative.dev/min-scale": "1",
        "autoscaling.knative.dev/max-scale": "7",
    }
    assert (template["spec"]["containerConcurrency"], template["spec"]["timeoutSeconds"]) == (4, 30)
    (served,) = template["spec"]["containers"]
    assert served["image"] == "r.example/graph:7"
    assert served["resources"]["limits"] == {"memory": "256Mi"}
    assert served["readinessProbe"] == {"httpGet": {"path": "/_fnkit/ready", "port": 8080}}
    variables = {one["name"]: one["value"] for one in served["env"]}
    assert variables["A"] == "1"
    assert json.loads(variables["FNKIT_SERVICE_URLS"])["ticks"] == "http://graph-ticks.models.svc.cluster.local"
    assert exported.commands[-1].startswith("kubectl apply -f ")
    assert exported.commands[-1].count("service.yaml") == 3


def test_documents_hold_what_the_crd_requires(services: dict[str, Any]) -> None:
    """Facts of serving.knative.dev/v1: names, types, quantities as strings, annotations as strings, one container with an image."""
    for name, found in services.items():
        assert found["metadata"]["name"] == name
        assert LABEL.fullmatch(name)
        assert set(found) == {"apiVersion", "kind", "metadata", "spec"}
        template = found["spec"]["template"]
        assert all(isinstance(value, str) for value in template["metadata"]["annotations"].values())
        assert all(isinstance(value, str) for value in found["metadata"]["labels"].values())
        assert set(template["spec"]) == {"containerConcurrency", "timeoutSeconds", "containers"}
        (served,) = template["spec"]["containers"]
        assert set(served) <= {"image", "ports", "resources", "readinessProbe", "livenessProbe", "env"}
        assert len(served["ports"]) == 1
        assert all(isinstance(one["value"], str) and set(one) == {"name", "value"} for one in served.get("env", ()))


def test_only_the_entry_function_is_visible_from_outside(services: dict[str, Any]) -> None:
    visible = {name: found["metadata"]["labels"].get("networking.knative.dev/visibility") for name, found in services.items()}

    assert visible == {"graph": None, "graph-ticks": "cluster-local", "graph-shout": "cluster-local"}


def test_without_a_namespace_the_container_asks_its_cluster(services: dict[str, Any]) -> None:
    found = services["graph"]
    variables = {one["name"]: one["value"] for one in found["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert "namespace" not in found["metadata"]
    assert json.loads(variables["FNKIT_SERVICE_URLS"])["ticks"] == "http://graph-ticks.{namespace}.svc.cluster.local"


def test_what_knative_would_refuse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError) as caught:
        export(knative.EXPORTER, tmp_path, entry={"environment": {"PORT": "1", "a b": "2"}})

    text = str(caught.value)
    assert "the variable PORT is Knative's own" in text
    assert "'a b' is no name of a variable" in text


def test_a_longer_answer_than_knative_takes_by_default_is_a_warning(tmp_path: Path) -> None:
    exported = export(knative.EXPORTER, tmp_path, entry={"timeout_s": 900})

    assert any("timeoutSeconds 900 is above 600" in warning for warning in exported.warnings)


def behind(path: str, **args: object) -> tuple[Step, ...]:
    """Return a graph with a function behind a queue."""
    return (
        Step("ticks", target="steps:Ticks"),
        Step("out", kind="queue", args={"path": path, **args}, after=("ticks",)),
        Step("shout", target="steps:Shout", after=("out",), function="child"),
    )


def test_what_no_container_can_do_is_said_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    steps = (*behind("kafka://broker:9092/out"), Step("end", kind="queue", args={"path": "here"}, after=("shout",)))

    with pytest.raises(ProblemsError) as caught:
        export(container.EXPORTER, tmp_path, *steps)

    text = str(caught.value)
    assert "step 'out': a container has no event source, so nothing would wake function 'child' behind this queue" in text
    assert "step 'end': a queue of kind 'local'" in text
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (behind("sqs://orders"), "Knative reads no queue of kind 'sqs' for a function"),
        (behind("orders"), "Knative reads no queue of kind 'local' for a function"),
        (behind("kafka://broker:9092/out", credentials="KAFKA_LOGIN"), "a KafkaSource takes credentials from Secrets"),
    ],
)
def test_a_queue_that_knative_does_not_read_is_refused(steps: tuple[Step, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=said):
        export(knative.EXPORTER, tmp_path, *steps)

    assert not (tmp_path / "out").exists()


def test_a_kafka_topic_wakes_its_function_by_a_source(tmp_path: Path) -> None:
    exported = export(knative.EXPORTER, tmp_path, *behind("kafka://a:9092,b:9092/out"), namespace="models")

    (source,) = yaml.safe_load_all((tmp_path / "out" / "sources.yaml").read_text())
    assert (source["apiVersion"], source["kind"]) == ("sources.knative.dev/v1beta1", "KafkaSource")
    assert source["metadata"] == {"name": "graph-child-out", "namespace": "models"}
    spec = source["spec"]
    assert (spec["bootstrapServers"], spec["topics"], spec["ordering"]) == (["a:9092", "b:9092"], ["out"], "ordered")
    assert spec["consumerGroup"] == "graph-child"
    assert spec["sink"] == {
        "ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "graph-child"},
        "uri": "/_fnkit/events",
    }
    assert spec["delivery"]["retry"] == 1000
    assert exported.commands[-1].endswith(f"-f {tmp_path}/out/sources.yaml")


def test_a_function_that_a_topic_wakes_is_told_where_those_are_that_it_calls(tmp_path: Path) -> None:
    steps = (*behind("kafka://a:9092/out"), Step("echo", target="steps:Echo", after=("shout",), function="far"))

    export(knative.EXPORTER, tmp_path, *steps, namespace="models")

    (served,) = documents(tmp_path)["graph-child"]["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in served["env"]}
    assert json.loads(variables["FNKIT_SERVICE_URLS"])["far"] == "http://graph-far.models.svc.cluster.local"


def test_a_queue_that_somebody_else_reads_may_be_written_to(tmp_path: Path) -> None:
    steps = (
        Step("echo", target="steps:Echo"),
        Step("out", kind="queue", args={"path": "kafka://broker:9092/out"}, after=("echo",)),
    )

    exported = export(container.EXPORTER, tmp_path, *steps)

    assert [row[0] for row in exported.rows] == ["Graph", "echo"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"image": "one:1"}, "would be the image of 3 services"),
        ({"image": "{name}:{other}"}, "names no image"),
        ({"image": "a {name}"}, "names no image"),
    ],
)
def test_images_that_cannot_be_are_refused(given: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        container.EXPORTER.export(Order(target(tmp_path, *TWO), tmp_path / "out", given=given))

    assert not (tmp_path / "out").exists()


def test_what_was_built_before_can_be_exported_and_its_folders_are_made_anew(
    plain: tuple[Exported, Path], tmp_path: Path
) -> None:
    left = tmp_path / "graph" / "bundle" / "left.py"
    left.parent.mkdir(parents=True)
    left.touch()

    again = container.EXPORTER.export(Order(str(plain[1]), tmp_path))

    assert again.rows[0][:2] == plain[0].rows[0][:2]
    assert (tmp_path / "graph" / "bundle" / "bundle.json").is_file()
    assert not left.exists()


@pytest.mark.parametrize(
    ("graph", "function", "name"),
    [("g", "", "g"), ("My_Graph", "", "my-graph"), ("g", "score", "g-score"), ("9g", "", "fn-9g")],
)
def test_services_are_named_after_graph_and_function(graph: str, function: str, name: str) -> None:
    functions = (Function(graph, "entry"), Function(function or "other", "step"))
    manifest = Manifest(graph, Flow(()), functions=functions)

    assert service_name(manifest, functions[bool(function)]) == name


def test_names_that_are_too_long_stay_different() -> None:
    functions = tuple(Function(f"{'f' * 39}{digit}", "step") for digit in "12")
    manifest = Manifest("g" * 40, Flow(()), functions=(Function("g" * 40, "entry"), *functions))

    names = {service_name(manifest, function) for function in functions}

    assert len(names) == 2
    assert all(LABEL.fullmatch(name) and len(name) <= 50 for name in names)


def test_the_workers_of_a_pod_count_for_its_concurrency() -> None:
    assert knative.pod_concurrency(Function("g", "entry", concurrency=3, environment={"WEB_CONCURRENCY": "2"})) == 6
