"""Which service of an InferenceGraph runs in which function."""

from __future__ import annotations

from typing import Any

import pytest

from fnkit.functions import place
from fnkit.functions.services import ServiceCode, code_services, is_step, target_of
from fnkit.manifest import dumps, loads
from fnkit.manifest.model import Document, Function, Manifest

SERVICES: dict[str, object] = {
    "Iris_Tree": "models:IrisTree",
    "far": "http://far.example/",
    "nearest": {"target": "models:Nearest", "args": {"k": 3}, "requirements": ["numpy"], "function": "models"},
    "rule": {"target": "rules:Rule", "function": "models", "requirements": ["numpy", "scipy"]},
}


def manifest(services: dict[str, Any], name: str = "g") -> Manifest:
    entry = Function(name, "entry", requirements=("requests",), memory_mb=256, streaming=True)
    return Manifest(name, Document({"spec": {"fnkit": {"services": services}}}), "inference_graph", functions=(entry,))


def homes(placed: Manifest) -> dict[str, tuple[str, ...]]:
    return {function.name: function.steps for function in placed.functions}


def test_by_step_each_class_is_a_function_named_after_its_service() -> None:
    placed = place(manifest(SERVICES), "step")

    assert homes(placed) == {"g": (), "Iris-Tree": ("Iris_Tree",), "models": ("nearest", "rule")}
    assert [function.kind for function in placed.functions] == ["entry", "step", "step"]


def test_a_function_has_its_own_requirements_beside_those_of_the_graph() -> None:
    placed = place(manifest(SERVICES), "step")

    made = placed.function("models")
    assert made.requirements == ("requests", "numpy", "scipy")
    assert (made.module, made.memory_mb, made.streaming) == ("models", 256, True)
    assert placed.function("g").requirements == placed.function("Iris-Tree").requirements == ("requests",)


def test_declared_moves_only_the_services_that_say_so() -> None:
    assert homes(place(manifest(SERVICES), "declared")) == {"g": ("Iris_Tree",), "models": ("nearest", "rule")}


def test_fused_keeps_all_of_them_and_their_requirements_in_the_entry_function() -> None:
    placed = place(manifest(SERVICES), "fused")

    assert homes(placed) == {"g": ("Iris_Tree", "nearest", "rule")}
    assert placed.entry.requirements == ("requests", "numpy", "scipy")


def test_a_service_called_like_the_graph_gets_another_function() -> None:
    assert homes(place(manifest({"g": "models:A", "g-": "models:B"}), "step")) == {"g": (), "g-2": ("g",), "g-3": ("g-",)}


def test_a_placed_graph_is_the_same_after_it_was_written_and_read() -> None:
    placed = place(manifest(SERVICES), "step")

    assert loads(dumps(placed)) == placed
    assert place(placed, "fused") is placed


def test_a_document_says_classes_in_two_ways() -> None:
    assert code_services(manifest(SERVICES).spec.spec) == {  # type: ignore[union-attr]  # it is a Document
        "Iris_Tree": ServiceCode("models:IrisTree"),
        "nearest": ServiceCode("models:Nearest", {"k": 3}, "models", ("numpy",)),
        "rule": ServiceCode("rules:Rule", {}, "models", ("numpy", "scipy")),
    }


@pytest.mark.parametrize("text", ["http://a.example/x", "localhost:8080", "a b:C", "models:", ":C"])
def test_what_is_no_class_is_a_url(text: str) -> None:
    assert not is_step(text)
    assert target_of(text) == text
