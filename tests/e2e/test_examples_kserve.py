"""The five graphs of examples/kserve, each run from its bundle by `fnkit emulate`."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fnkit.net import blocking
from fnkit.net.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples" / "kserve"
IRIS = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}


@contextmanager
def emulated(name: str, tmp_path: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "fnkit", "emulate", str(EXAMPLES / f"{name}.yaml"), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready", ready
        yield ready["url"]
    finally:
        process.terminate()
        process.communicate(timeout=20)


def ask(url: str, body: Any) -> tuple[int, Any]:
    async def scenario() -> tuple[int, Any]:
        async with Client(blocking.connector()) as client:
            headers = [("Content-Type", "application/json")]
            reply = await client.request("POST", url, headers=headers, body=json.dumps(body).encode(), timeout_s=30)
            return reply.status, json.loads(await reply.read())

    return blocking.run(scenario())


def test_the_ensemble_answers_the_documented_shape(tmp_path: Path) -> None:
    with emulated("ensemble", tmp_path) as url:
        answer = {"predictions": [1, 1]}
        assert ask(url, IRIS) == (200, {"model_a": answer, "model_b": answer, "model_c": answer})


def test_the_splitter_answers_with_one_model_unwrapped(tmp_path: Path) -> None:
    with emulated("splitter", tmp_path) as url:
        assert ask(url, IRIS) == (200, {"predictions": [1, 1]})


@pytest.mark.parametrize("name", ["combined"])
def test_nodes_run_other_nodes(name: str, tmp_path: Path) -> None:
    with emulated(name, tmp_path) as url:
        answer = {"predictions": [1, 1]}
        assert ask(url, IRIS) == (200, {"nearest": answer, "rule": answer, "tree": answer})


def test_the_switch_chooses_by_the_request(tmp_path: Path) -> None:
    with emulated("switch", tmp_path) as url:
        for value, chosen in ((0.95, "upper"), (0.7, "middle"), (0.5, "lower")):
            status, answer = ask(url, {"instances": [{"data": value}]})
            assert (status, answer["predictions"][0]["range"]) == (200, chosen)
        assert ask(url, {"instances": []})[0] == 404


def test_the_sequence_goes_on_while_its_conditions_hold(tmp_path: Path) -> None:
    texts = {
        "The team won the  MATCH": {"class": "sports"},  # classify says sports: classify_text does not run
        "A film was shown in Rome": {"class": "culture"},  # the last condition does not hold
        "An Olympic village in Milan": {"entities": ["Olympic", "Milan"]},
    }
    with emulated("sequence", tmp_path) as url:
        for text, prediction in texts.items():
            assert ask(url, {"instances": [{"text": text}]}) == (200, {"predictions": [prediction]})


@pytest.mark.parametrize("name", ["ensemble", "splitter", "combined", "switch", "sequence"])
def test_an_example_has_no_warnings(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fnkit", "check", str(EXAMPLES / f"{name}.yaml")], capture_output=True, text=True, check=False
    )

    assert (done.returncode, "warning" in done.stdout + done.stderr) == (0, False)
