"""What KServe lets pass and fnkit warns of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fnkit.inference_graph.cycles import edges_of, find_cycle
from fnkit.inference_graph.decode import read_graph_json
from fnkit.inference_graph.lint import find_warnings
from fnkit.inference_graph.spec import InferenceGraph

URL = {"serviceUrl": "http://h/"}


def graph(**nodes: tuple[str, list[dict[str, Any]]]) -> InferenceGraph:
    spec = {name: {"routerType": kind, "steps": steps} for name, (kind, steps) in nodes.items()}
    return read_graph_json(json.dumps({"nodes": spec}))


def codes(of: InferenceGraph) -> list[tuple[str, str]]:
    return [(problem.step, problem.code) for problem in find_warnings(of)]


def test_a_sound_graph_has_no_warnings() -> None:
    sound = graph(
        root=("Sequence", [URL, {"nodeName": "pick", "data": "$response", "condition": "predictions.0", "dependency": "Hard"}]),
        pick=("Switch", [{**URL, "condition": '[@this].#(a=="b")'}, {"nodeName": "split", "condition": "@this"}]),
        split=("Splitter", [{**URL, "weight": 50}, {"nodeName": "all", "weight": 50}]),
        all=("Ensemble", [URL, {**URL, "dependency": "Hard"}]),
    )

    assert codes(sound) == []


def test_a_scale_metric_that_a_cluster_does_not_know_is_remarked() -> None:
    spec = {"nodes": {"root": {"routerType": "Sequence", "steps": [URL]}}}

    assert codes(read_graph_json(json.dumps({**spec, "scaleMetric": "rps"}))) == []
    assert codes(read_graph_json(json.dumps({**spec, "scaleMetric": "RPS"}))) == [("", "scale-metric")]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({"root": ("Sequence", [{"nodeName": "nope"}])}, ("root/0", "unknown-node")),
        ({"root": ("Sequence", [{**URL, "condition": "a", "name": "first"}])}, ("root/first", "first-condition")),
        ({"root": ("Switch", [URL])}, ("root/0", "no-condition")),
        ({"root": ("Switch", [{**URL, "condition": "#(a>1 && b<2)"}])}, ("root/0", "condition")),
        ({"root": ("Switch", [{**URL, "condition": "[a"}])}, ("root/0", "condition")),
        ({"root": ("Splitter", [{**URL, "weight": 100, "condition": "a"}])}, ("root/0", "ignored")),
        ({"root": ("Ensemble", [{**URL, "condition": "a"}])}, ("root/0", "ignored")),
        ({"root": ("Sequence", [{**URL, "weight": 5}])}, ("root/0", "ignored")),
        ({"root": ("Splitter", [{**URL, "weight": -5}, {**URL, "weight": 105}])}, ("root/0", "weight")),
        ({"root": ("Sequence", [URL, {**URL, "data": "$respons"}])}, ("root/1", "data")),
        ({"root": ("Sequence", [{**URL, "data": "$response"}])}, ("root/0", "data")),
        ({"root": ("Sequence", [{**URL, "dependency": "hard"}])}, ("root/0", "dependency")),
        ({"root": ("Switch", [{**URL, "condition": "@this", "dependency": "Hard"}])}, ("root/0", "ignored")),
        ({"root": ("Ensemble", [{**URL, "mapPredictionsToInstances": True}])}, ("root/0", "ignored")),
        ({"root": ("sequence", [URL])}, ("root", "router-type")),
        ({"root": ("Sequence", [])}, ("root", "no-steps")),
        ({"root": ("Sequence", [URL]), "lost": ("Sequence", [URL])}, ("lost", "unreachable")),
        ({"root": ("Sequence", [{"nodeName": "root"}])}, ("root", "cycle")),
    ],
)
def test_a_likely_mistake_is_warned_of(nodes: Any, expected: tuple[str, str]) -> None:
    assert codes(graph(**nodes)) == [expected]


def test_a_cycle_is_named_with_its_path() -> None:
    looped = graph(
        root=("Sequence", [URL, {"nodeName": "a"}]), a=("Ensemble", [{"nodeName": "b"}]), b=("Sequence", [{"nodeName": "a"}])
    )

    assert "a -> b -> a" in find_warnings(looped)[0].message


@pytest.mark.parametrize(
    "steps",
    [
        ("Sequence", [URL, {"nodeName": "root", "condition": "more"}]),
        ("Sequence", [URL, {**URL, "condition": "more"}, {"nodeName": "root"}]),
        ("Switch", [{"nodeName": "root", "condition": "more"}]),
        ("Splitter", [{"nodeName": "root", "weight": 50}, {**URL, "weight": 50}]),
    ],
)
def test_a_cycle_that_can_end_is_a_loop(steps: tuple[str, list[dict[str, Any]]]) -> None:
    looped = graph(root=steps)

    assert codes(looped) == []
    assert find_cycle(edges_of(looped)) == ("root", "root")


def test_a_large_graph_is_searched_in_time() -> None:
    nodes = {f"n{at}": ("Sequence", [{"nodeName": f"n{at + step}"} for step in (1, 2, 3)]) for at in range(3000)}
    large = graph(root=("Sequence", [{"nodeName": "n0"}]), **nodes)

    assert find_cycle(edges_of(large)) == ()


def test_header_patterns_that_will_be_skipped_are_named() -> None:
    spec = {"nodes": {"root": {"routerType": "Sequence", "steps": [URL]}}, "fnkit": {"propagateHeaders": ["*x"]}}

    assert codes(read_graph_json(json.dumps(spec))) == [("", "header-pattern")]


def test_merge_strategies_are_checked() -> None:
    for kind, merge in (("Ensemble", "votes"), ("Sequence", "vote")):
        spec = {"nodes": {"root": {"routerType": kind, "steps": [URL], "fnkit": {"merge": merge}}}}
        assert codes(read_graph_json(json.dumps(spec))) == [("root", "merge")]
