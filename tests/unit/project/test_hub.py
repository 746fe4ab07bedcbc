"""The documented example of a model router, with a model of a file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import fnkit
from fnkit.manifest import Router
from fnkit.serving import PickledModelServer


class Doubler:
    def predict(self, inputs: list[int]) -> list[int]:
        return [value * 2 for value in inputs]


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.pkl").write_bytes(pickle.dumps(Doubler()))
    fn = fnkit.import_function("hub://v2_model_server")
    fn.add_model("model1", model_path="models/one")
    fn.add_model("model2", model_path=str(tmp_path / "models" / "two" / "model.pkl"))
    return fn


def test_a_ready_made_server_answers_by_protocol_v2(function: Any) -> None:
    with function.to_mock_server() as mock:
        answer = mock.test("/v2/models/model1/infer", body={"inputs": [5]})
        other = mock.test("/v2/models/model2/infer", body={"inputs": [1, 2]})
        with pytest.raises(RuntimeError, match="Doubler has no method predict_proba"):
            mock.test("/v2/models/model1/explain", body={"inputs": [5]})

    assert (answer["model_name"], answer["outputs"]) == ("model1", [10])
    assert other["outputs"] == [2, 4]


def test_model_files_travel_with_the_code(function: Any, tmp_path: Path) -> None:
    function.origin, function.folders = type(function.origin)(None, 0), (tmp_path,)  # as in a notebook

    loaded = function.load()

    assert loaded.root == tmp_path
    assert set(loaded.includes) == {"models/one", "models/two/model.pkl"}
    assert isinstance(loaded.manifest.spec, Router)
    assert [route.args["model_path"] for route in loaded.manifest.spec.step.routes] == ["models/one", "models/two/model.pkl"]


def test_a_function_can_be_imported_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "my_steps.py").touch()

    function = fnkit.import_function(str(tmp_path / "my_steps.py"))

    assert (function.name, function.file) == ("my-steps", tmp_path / "my_steps.py")


def test_a_model_server_that_is_given_as_an_object_is_loaded_too() -> None:
    function = fnkit.new_function("f")
    function.set_topology("router").add_route("m", class_name=PickledModelServer(name="m", model=Doubler()))

    with function.to_mock_server() as mock:
        answer = mock.test("/v2/models/m/infer", body={"inputs": [4]})

    assert isinstance(answer, dict)
    assert answer["outputs"] == [8]
