"""The five graphs of examples/kserve, each run from its bundles by `fnkit emulate`: a function per service, and all in one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fnkit.net import blocking
from fnkit.net.client import Client
from tests.fakes.patience import quickest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXAMPLES = Path(__file__).parents[2] / "examples" / "kserve"
IRIS = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}


PLACEMENTS = ("step", "fused")


@dataclass(frozen=True, slots=True)
class Running:
    """An emulated graph: its URL and that of each of its functions."""

    url: str
    functions: dict[str, str]


@contextmanager
def emulated(target: Path, tmp_path: Path, placement: str = "step") -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "fnkit", "emulate", str(target), "--port", "0", "--json", "--placement", placement],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready", ready
        yield Running(ready["url"], ready["functions"])
    finally:
        process.terminate()
        process.communicate(timeout=60)


def example(name: str) -> Path:
    return EXAMPLES / f"{name}.yaml"


def ask(url: str, body: Any, *, as_json: bool = True) -> tuple[int, Any]:
    async def scenario() -> tuple[int, Any]:
        async with Client(blocking.connector()) as client:
            headers = [("Content-Type", "application/json")]
            reply = await client.request("POST", url, headers=headers, body=json.dumps(body).encode(), timeout_s=60)
            content = await reply.read()
            return reply.status, json.loads(content) if as_json else content.decode()

    return blocking.run(scenario())


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_ensemble_answers_the_documented_shape(placement: str, tmp_path: Path) -> None:
    with emulated(example("ensemble"), tmp_path, placement) as graph:
        answer = {"predictions": [1, 1]}
        assert ask(graph.url, IRIS) == (200, {"model_a": answer, "model_b": answer, "model_c": answer})


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_splitter_answers_with_one_model_unwrapped(placement: str, tmp_path: Path) -> None:
    with emulated(example("splitter"), tmp_path, placement) as graph:
        assert ask(graph.url, IRIS) == (200, {"predictions": [1, 1]})


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_nodes_run_other_nodes(placement: str, tmp_path: Path) -> None:
    with emulated(example("combined"), tmp_path, placement) as graph:
        answer = {"predictions": [1, 1]}
        assert ask(graph.url, IRIS) == (200, {"nearest": answer, "rule": answer, "tree": answer})


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_switch_chooses_by_the_request(placement: str, tmp_path: Path) -> None:
    with emulated(example("switch"), tmp_path, placement) as graph:
        for value, chosen in ((0.95, "upper"), (0.7, "middle"), (0.5, "lower")):
            status, answer = ask(graph.url, {"instances": [{"data": value}]})
            assert (status, answer["predictions"][0]["range"]) == (200, chosen)
        assert ask(graph.url, {"instances": []})[0] == 404


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_sequence_goes_on_while_its_conditions_hold(placement: str, tmp_path: Path) -> None:
    texts = {
        "The team won the  MATCH": {"class": "sports"},  # classify says sports: classify_text does not run
        "A film was shown in Rome": {"class": "culture"},  # the last condition does not hold
        "An Olympic village in Milan": {"entities": ["Olympic", "Milan"]},
    }
    with emulated(example("sequence"), tmp_path, placement) as graph:
        for text, prediction in texts.items():
            assert ask(graph.url, {"instances": [{"text": text}]}) == (200, {"predictions": [prediction]})


def test_each_service_answers_on_the_url_of_its_function(tmp_path: Path) -> None:
    with emulated(example("ensemble"), tmp_path) as graph:
        assert sorted(graph.functions) == ["model-a", "model-b", "model-c", "model-ensemble"]
        for path in ("", "v1/models/model-a:predict"):
            assert ask(graph.functions["model-a"] + path, IRIS) == (200, {"predictions": [1, 1]})


SERVICES = r"""
import os
import time
from fnkit.serving import V2ModelServer

class Sum(V2ModelServer):
    def load(self):
        self.offset = self.get_param("offset", 0)

    def predict(self, request):
        return [sum(row) + self.offset for row in request["inputs"]]

class Slow:
    def __init__(self, seconds):
        self.seconds = seconds

    def do(self, body):
        time.sleep(self.seconds)
        return {"predictions": ["slow"]}

class Crash:
    def do(self, body):
        os._exit(1)

class Raise:
    def do(self, body):
        raise ValueError("not this one")

class Count:
    def do(self, body):
        for number in range(3):
            yield f"{number}\n"
"""


def project(tmp_path: Path, services: Mapping[str, object], nodes: dict[str, object], **fnkit: object) -> Path:
    (tmp_path / "models.py").write_text(SERVICES)
    document = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "g"},
        "spec": {"nodes": nodes, "fnkit": {"services": services, **fnkit}},
    }
    (tmp_path / "graph.json").write_text(json.dumps(document))
    return tmp_path / "graph.json"


def root(kind: str, *steps: Mapping[str, object]) -> dict[str, object]:
    return {"root": {"routerType": kind, "steps": list(steps)}}


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_services_take_arguments_and_model_servers_speak_both_protocols(placement: str, tmp_path: Path) -> None:
    services = {"sums": {"target": "models:Sum", "args": {"offset": 10}}}
    graph = project(tmp_path, services, root("Sequence", {"serviceName": "sums"}))

    with emulated(graph, tmp_path, placement) as running:
        assert ask(running.url, {"instances": [[1, 2]]}) == (200, {"predictions": [13]})
        status, answer = ask(running.url, {"inputs": [[1, 2]]})
        assert (status, answer["outputs"], answer["model_name"]) == (200, [13], "sums")


def test_an_ensemble_calls_its_functions_at_the_same_time(tmp_path: Path) -> None:
    services = {name: {"target": "models:Slow", "args": {"seconds": 1}} for name in ("a", "b", "c")}
    steps = [{"serviceName": name, "name": name} for name in services]
    graph = project(tmp_path, services, root("Ensemble", *steps))

    with emulated(graph, tmp_path) as running:

        def seconds() -> float:
            begun = time.monotonic()
            status, answer = ask(running.url, {})
            assert (status, sorted(answer)) == (200, ["a", "b", "c"])
            return time.monotonic() - begun

        assert 1 <= quickest(seconds, 2.5) < 2.5


def test_a_function_that_crashes_or_raises_is_a_failing_service(tmp_path: Path) -> None:
    nodes = root("Switch", {"serviceName": "crash", "condition": "crash"}, {"serviceName": "raise", "condition": "raise"})
    graph = project(tmp_path, {"crash": "models:Crash", "raise": "models:Raise"}, nodes)

    with emulated(graph, tmp_path) as running:
        status, answer = ask(running.url, {"crash": True})
        assert (status, answer["error"]) == (502, "Failed to process request")
        assert "crash" in answer["cause"]
        assert ask(running.url, {"raise": True}, as_json=False) == (400, "ValueError: not this one")


@pytest.mark.parametrize("placement", ["step", "declared", "fused"])
def test_a_service_streams_through_the_graph_in_every_placement(placement: str, tmp_path: Path) -> None:
    services = {"count": {"target": "models:Count", "function": "counters"}}
    graph = project(tmp_path, services, root("Sequence", {"serviceName": "count"}), stream=True)

    with emulated(graph, tmp_path, placement) as running:
        assert sorted(running.functions) == (["g"] if placement == "fused" else ["counters", "g"])
        assert ask(running.url, {}, as_json=False) == (200, "0\n1\n2\n")


def test_a_limit_of_time_of_the_graph_holds_for_functions(tmp_path: Path) -> None:
    slow = {"slow": {"target": "models:Slow", "args": {"seconds": 3}}}
    graph = project(tmp_path, slow, root("Sequence", {"serviceName": "slow"}))
    document = json.loads(graph.read_text())
    document["spec"]["routerTimeouts"] = {"serviceClient": 1}
    graph.write_text(json.dumps(document))

    with emulated(graph, tmp_path) as running:
        status, answer = ask(running.url, {})

    assert status == 500, answer
    assert "did not answer within 1 s" in answer["cause"]


@pytest.mark.parametrize("command", ["check", "build", "emulate"])
def test_a_class_that_is_not_there_is_refused_by_name(command: str, tmp_path: Path) -> None:
    graph = project(tmp_path, {"sums": "models:Summ"}, root("Sequence", {"serviceName": "sums"}))

    done = subprocess.run(
        [sys.executable, "-m", "fnkit", command, str(graph)], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert done.returncode == 2
    assert "sums" in done.stdout + done.stderr
    assert "did you mean 'Sum'?" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["ensemble", "splitter", "combined", "switch", "sequence"])
def test_an_example_has_no_warnings(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fnkit", "check", str(EXAMPLES / f"{name}.yaml")], capture_output=True, text=True, check=False
    )

    assert (done.returncode, "warning" in done.stdout + done.stderr) == (0, False)
