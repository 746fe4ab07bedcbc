"""Containers as processes: what their Dockerfiles start, without Docker, from the folders that `fnkit build` writes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from fnkit.bundle import Options
from fnkit.deploy import container as docker
from fnkit.deploy import knative
from fnkit.deploy.container import export_order
from fnkit.deploy.export import Exporter, Order
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit.project.loaded import Loaded
from tests.fakes.containers import PATIENCE_S, container, containers, read_dockerfile, start, wait_until

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "kserve"
IRIS = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}
STEPS = r'''
import asyncio
import os
import time


class Gated:
    """Streams a piece, then one more each time that a file with its number is there."""

    def __init__(self, folder):
        self.folder = folder

    def do(self, body):
        try:
            for number in range(1000):
                while not os.path.exists(f"{self.folder}/{number}"):
                    time.sleep(0.01)
                yield f"{number};"
                if os.path.exists(f"{self.folder}/last"):
                    return
        finally:
            print("closed", flush=True)


class AsyncGated(Gated):
    async def do(self, body):
        try:
            for number in range(1000):
                while not os.path.exists(f"{self.folder}/{number}"):
                    await asyncio.sleep(0.01)
                yield f"{number};"
                if os.path.exists(f"{self.folder}/last"):
                    return
        finally:
            print("closed", flush=True)


class Pid:
    def do(self, body):
        return {"pid": os.getpid()}


class Double:
    def do(self, body):
        print("doubled", 2 * int(body), flush=True)


class Crash:
    def do(self, body):
        if b"crash" in body:
            os._exit(1)
        return "here"


class Broken:
    def __init__(self):
        raise ValueError("no such model")
'''


def export(tmp_path: Path, *steps: Step, placement: str = "fused", exporter: Exporter = docker.EXPORTER) -> dict[str, Path]:
    """Write the containers of a graph of *steps*; return their folders by function."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "steps.py").write_text(STEPS)
    children = {step.function: Function(step.function, "child", module="steps") for step in steps if step.function}
    functions = (Function("graph", "entry", module="steps"), *children.values())
    manifest = Manifest("graph", Flow(steps), functions=functions, streaming=True)
    (tmp_path / "loaded.json").write_text(Loaded(manifest, project).to_json())
    exported = exporter.export(Order(str(tmp_path / "loaded.json"), tmp_path / "out", Options(placement)))
    return {function: Path(folder) for function, _, folder in exported.rows}


def gated(tmp_path: Path, kind: str) -> Step:
    (tmp_path / "gates").mkdir()
    return Step("gated", target=f"steps:{kind}", args={"folder": str(tmp_path / "gates")}, responder=True)


def open_gate(tmp_path: Path, name: object) -> None:
    (tmp_path / "gates" / str(name)).touch()


@pytest.mark.parametrize(("kind", "placement"), [("Gated", "fused"), ("AsyncGated", "step"), ("Gated", "step")])
def test_pieces_come_as_they_are_made_and_a_client_that_leaves_ends_the_stream(kind: str, placement: str, tmp_path: Path) -> None:
    folders = export(tmp_path, gated(tmp_path, kind), placement=placement)
    open_gate(tmp_path, 0)

    with containers(folders, "graph", tmp_path) as running:
        with requests.post(running["graph"].url, data=b"x", stream=True, timeout=PATIENCE_S) as answer:
            pieces = answer.iter_content(None)
            assert next(pieces) == b"0;"
            open_gate(tmp_path, 1)
            assert next(pieces) == b"1;"
            assert answer.headers["Transfer-Encoding"] == "chunked"
        at = "gated" if placement == "step" else "graph"
        running[at].wait_for_line("closed")


@pytest.mark.parametrize("kind", ["Gated", pytest.param("AsyncGated", marks=pytest.mark.long)])
def test_a_server_that_is_told_to_end_finishes_what_it_has_begun(kind: str, tmp_path: Path) -> None:
    folder = export(tmp_path, gated(tmp_path, kind))["graph"]
    open_gate(tmp_path, 0)

    with container(folder, tmp_path / "log") as running:
        with requests.post(running.url, data=b"x", stream=True, timeout=PATIENCE_S) as answer:
            pieces = answer.iter_content(None)
            assert next(pieces) == b"0;"
            running.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not listens(running.url), "the listener is closed", running.log)
            open_gate(tmp_path, "last")
            open_gate(tmp_path, 1)
            assert b"".join(pieces) == b"1;"
        assert running.process.wait(PATIENCE_S) == 0


def listens(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S):
            return True
    except OSError:
        return False


def test_several_workers_share_the_port(tmp_path: Path) -> None:
    folder = export(tmp_path, Step("pid", target="steps:Pid", responder=True))["graph"]
    found: set[int] = set()

    with container(folder, tmp_path / "log", {"WEB_CONCURRENCY": "2"}) as running:

        def both() -> bool:
            found.add(requests.post(running.url, data=b"x", timeout=PATIENCE_S).json()["pid"])
            return len(found) == 2

        wait_until(both, "answers of both workers", running.log)

    assert running.process.pid not in found


@pytest.mark.long
def test_a_worker_that_crashes_fails_its_own_request_and_is_replaced(tmp_path: Path) -> None:
    folder = export(tmp_path, Step("crash", target="steps:Crash", responder=True))["graph"]

    with container(folder, tmp_path / "log") as running:
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.post(running.url, data=b"crash", timeout=PATIENCE_S)
        answer = requests.post(running.url, data=b"x", timeout=PATIENCE_S)

    assert answer.text == "here"


def test_a_bundle_that_does_not_load_ends_the_server_with_the_reason(tmp_path: Path) -> None:
    folder = export(tmp_path, Step("broken", target="steps:Broken", responder=True))["graph"]

    running = start(read_dockerfile(folder), 0, tmp_path / "log", {})
    try:
        assert running.process.wait(PATIENCE_S) == 3
    finally:
        running.process.kill()
        running.process.wait()

    said = running.log.read_text()
    assert "ValueError: no such model" in said
    assert "asgi.py" not in said  # the traceback begins with the user's code


def test_the_bundle_can_be_served_without_the_container(tmp_path: Path) -> None:
    """As documented: the server started in the folder of the bundle, or told where it is."""
    folder = export(tmp_path, Step("pid", target="steps:Pid", responder=True))["graph"]
    command = [str(Path(sys.executable).parent / "gunicorn"), "-k", "uvicorn_worker.UvicornWorker", "--no-control-socket"]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        descriptor = listener.fileno()
        process = subprocess.Popen(
            [*command, "--bind", f"fd://{descriptor}", "fnkit.runtime.asgi:application"],
            cwd=folder / "bundle",
            pass_fds=[descriptor],
            stderr=subprocess.DEVNULL,
        )
        try:
            answer = requests.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", data=b"x", timeout=PATIENCE_S)
            assert answer.json()["pid"] != process.pid
        finally:
            process.terminate()
            assert process.wait(PATIENCE_S) == 0


def test_a_function_behind_a_topic_takes_what_a_kafka_source_posts(tmp_path: Path) -> None:
    steps = (
        Step("pid", target="steps:Pid"),
        Step("out", kind="queue", args={"path": "kafka://broker:9092/out"}, after=("pid",)),
        Step("double", target="steps:Double", after=("out",), function="child"),
    )
    folder = export(tmp_path, *steps, exporter=knative.EXPORTER)["child"]
    headers = {
        "ce-id": "partition:0/offset:1",
        "ce-subject": "partition:0#1",
        "ce-source": "/source#out",
        "ce-specversion": "1.0",
    }

    with container(folder, tmp_path / "log") as running:
        url = f"{running.url}/_fnkit/events"
        taken = requests.post(
            url, data=b'{"full_event_wrapper": true, "body": 21, "id": "e"}', headers=headers, timeout=PATIENCE_S
        )
        failed = requests.post(url, data=b"[", headers=headers, timeout=PATIENCE_S)
        running.wait_for_line("doubled 42")

    assert (taken.status_code, failed.status_code) == (200, 500)


# ---- the graphs of examples/kserve, as a cluster would run them


@contextmanager
def on_a_cluster(name: str, tmp_path: Path) -> Iterator[str]:
    """Run the services of an exported graph, each from its container, and the router with its InferenceGraph; yield its URL."""
    subprocess.run(
        [sys.executable, "-m", "fnkit", "build", str(EXAMPLES / f"{name}.yaml"), "--target", "kserve", "-o", "out", "-q"],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    *services, graph = yaml.safe_load_all((tmp_path / "out" / "kserve.yaml").read_text())
    with ExitStack() as stack:
        urls = {}
        for service in services:
            found = service["metadata"]["name"]
            (served,) = service["spec"]["template"]["spec"]["containers"]
            assert served["image"].startswith(f"{found}:")
            running = stack.enter_context(container(tmp_path / "out" / found, tmp_path / f"{found}.log"))
            urls[f"http://{found}.default.svc.cluster.local"] = running.url
        spec = json.dumps(graph["spec"])
        for address, url in urls.items():
            assert address in spec
            spec = spec.replace(f'"{address}"', f'"{url}"')
        yield stack.enter_context(router(spec))


@contextmanager
def router(spec: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "fnkit", "router", "--graph-json", spec, "--port", "0", "--json", "--drain-seconds", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def ask(url: str, body: object) -> Any:
    answer = requests.post(url, json=body, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_exported_ensemble_answers_as_documented(tmp_path: Path) -> None:
    with on_a_cluster("ensemble", tmp_path) as url:
        model = {"predictions": [1, 1]}
        assert ask(url, IRIS) == {"model_a": model, "model_b": model, "model_c": model}


@pytest.mark.long
def test_the_exported_switch_answers_as_documented(tmp_path: Path) -> None:
    with on_a_cluster("switch", tmp_path) as url:
        for value, chosen in ((0.95, "upper"), (0.7, "middle"), (0.5, "lower")):
            assert ask(url, {"instances": [{"data": value}]})["predictions"][0]["range"] == chosen


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("splitter", IRIS, {"predictions": [1, 1]}),
        ("combined", IRIS, {name: {"predictions": [1, 1]} for name in ("nearest", "rule", "tree")}),
        ("sequence", {"instances": [{"text": "A film was shown in Rome"}]}, {"predictions": [{"class": "culture"}]}),
    ],
)
def test_the_other_exported_graphs_answer_as_documented(name: str, body: object, expected: object, tmp_path: Path) -> None:
    with on_a_cluster(name, tmp_path) as url:
        assert ask(url, body) == expected


def test_an_inference_graph_runs_as_containers_of_its_own(tmp_path: Path) -> None:
    """The graph itself is a container too, and calls its services over HTTP."""
    exported = export_order(Order(str(EXAMPLES / "ensemble.yaml"), tmp_path / "out"))
    folders = {function: Path(folder) for function, _, folder in exported.rows}

    with containers(folders, "model-ensemble", tmp_path) as running:
        model = {"predictions": [1, 1]}
        assert ask(running["model-ensemble"].url, IRIS) == {"model_a": model, "model_b": model, "model_c": model}


def test_models_of_a_router_are_served(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(
        "from fnkit.serving import V2ModelServer\n\n\nclass Double(V2ModelServer):\n    def load(self):\n        pass\n\n"
        "    def predict(self, request):\n        return [2 * value for value in request['inputs']]\n"
    )
    (tmp_path / "serve.py").write_text(
        "import fnkit\nfrom models import Double\n\n"
        "fn = fnkit.new_function('models', kind='serving')\n"
        "fn.set_topology('router')\n"
        "fn.add_model('m1', class_name=Double, model_path='.')\n"
    )
    exported = export_order(Order(str(tmp_path / "serve.py"), tmp_path / "out"))
    (folder,) = [Path(folder) for _, _, folder in exported.rows]

    with container(folder, tmp_path / "log") as running:
        assert ask(f"{running.url}/v2/models/m1/infer", {"inputs": [1, 2]})["outputs"] == [2, 4]


@pytest.mark.long
def test_no_process_is_left(tmp_path: Path) -> None:
    folder = export(tmp_path, Step("pid", target="steps:Pid", responder=True))["graph"]
    with container(folder, tmp_path / "log") as running:
        worker = requests.post(running.url, data=b"x", timeout=PATIENCE_S).json()["pid"]

    until = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{worker}").exists() and os.name == "posix":
        assert time.monotonic() < until
        time.sleep(0.02)
