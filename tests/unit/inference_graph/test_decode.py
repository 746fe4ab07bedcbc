"""Reading and writing InferenceGraphs as plain data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fnkit.errors import ProblemsError, UsageError
from fnkit.inference_graph.decode import read_graph, read_graph_json
from fnkit.inference_graph.encode import to_document, to_spec
from fnkit.inference_graph.spec import Extensions, Retry, Step, Timeouts


def document(spec: object, **metadata: object) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "g", **metadata},
        "spec": spec,
    }


FULL = document(
    {
        "nodes": {
            "root": {
                "routerType": "Sequence",
                "steps": [
                    {
                        "name": "one",
                        "serviceName": "a",
                        "data": "$response",
                        "condition": "x",
                        "dependency": "Hard",
                        "mapPredictionsToInstances": True,
                        "weight": 0,
                        "fnkit": {"timeoutMs": 500, "retry": {"attempts": 2, "statuses": [503]}},
                    },
                    {"nodeName": "all"},
                ],
            },
            "all": {"routerType": "Ensemble", "steps": [{"serviceUrl": "http://h/"}], "fnkit": {"merge": "list"}},
        },
        "routerTimeouts": {"serverRead": 5, "serviceClient": 7},
        "timeout": 9,
        "minReplicas": 0,
        "resources": {"limits": {"cpu": "1"}},
        "fnkit": {
            "stream": True,
            "traceContext": True,
            "metrics": True,
            "propagateHeaders": ["^X-"],
            "services": {"a": "http://a/"},
            "maxDepth": 12,
        },
    },
    namespace="ns",
    labels={"l": "1"},
    annotations={"a": "b"},
)


def test_every_field_is_read() -> None:
    graph = read_graph(FULL)

    assert (graph.name, graph.namespace, graph.labels, graph.annotations) == ("g", "ns", {"l": "1"}, {"a": "b"})
    assert graph.nodes["root"].steps[0] == Step(
        name="one",
        service_name="a",
        data="$response",
        condition="x",
        weight=0,
        dependency="Hard",
        map_predictions=True,
        retry=Retry(attempts=2, statuses=(503,)),
        timeout_ms=500,
    )
    assert graph.nodes["all"].merge == "list"
    assert graph.timeouts == Timeouts(server_read=5, service_client=7)
    assert graph.pod == {"timeout": 9, "minReplicas": 0, "resources": {"limits": {"cpu": "1"}}}
    assert graph.extensions == Extensions(True, True, True, ("^X-",), {"a": "http://a/"}, 12)


@pytest.mark.parametrize("for_cluster", [False, True])
def test_writing_and_reading_gives_the_same_graph(for_cluster: bool) -> None:
    graph = read_graph(FULL)

    again = read_graph(json.loads(json.dumps(to_document(graph, for_cluster=for_cluster))))

    assert again == graph


def test_a_document_for_a_cluster_has_no_fields_that_the_crd_does_not_know() -> None:
    text = json.dumps(to_document(read_graph(FULL), for_cluster=True)["spec"])

    assert "fnkit" not in text


def test_a_spec_alone_is_what_the_router_takes() -> None:
    graph = read_graph(FULL)

    assert read_graph_json(json.dumps(to_spec(graph))).nodes == graph.nodes


def test_keys_match_whatever_their_case_and_unknown_ones_are_ignored() -> None:
    graph = read_graph_json('{"NODES": {"root": {"RouterType": "Switch", "x": 1, "steps": [{"SERVICEurl": "u"}]}}}')

    assert graph.nodes["root"].router_type == "Switch"
    assert graph.nodes["root"].steps[0].service_url == "u"


def test_null_leaves_a_field_alone() -> None:
    graph = read_graph_json('{"nodes": {"root": {"steps": [{"weight": null, "name": null}], "routerType": null}}}')

    assert graph.nodes["root"].steps == (Step(),)


@pytest.mark.parametrize("weight", ['"100"', "1.5", "1.0", "true", "1e2", "9223372036854775808"])
def test_a_weight_that_go_would_not_take_is_refused(weight: str) -> None:
    with pytest.raises(ProblemsError, match=r"nodes\.root\.steps\[0\]\.weight: want an integer"):
        read_graph_json('{"nodes": {"root": {"steps": [{"weight": ' + weight + "}]}}}")


@pytest.mark.parametrize("text", ["", "{", "nope", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not JSON"):
        read_graph_json(text)


def test_all_faults_of_form_are_reported_at_once_with_their_paths() -> None:
    broken = document(
        {
            "nodes": {"root": {"routerType": 1, "steps": {"a": 1}}, "two": [], "three": {"steps": [3]}},
            "fnkit": {"stream": "yes", "strem": 1, "maxDepth": -1, "services": {"a": 1}, "propagateHeaders": [1]},
        },
        labels={"a": 1},
    )
    broken["kind"] = "Pod"

    with pytest.raises(ProblemsError) as caught:
        read_graph(broken)

    places = {str(problem).partition(":")[0] for problem in caught.value.problems}
    assert places == {
        "kind",
        "spec.nodes.root.routerType",
        "spec.nodes.root.steps",
        "spec.nodes.two",
        "spec.nodes.three.steps[0]",
        "spec.fnkit.stream",
        "spec.fnkit.strem",
        "spec.fnkit.maxDepth",
        "spec.fnkit.services.a",
        "spec.fnkit.propagateHeaders[0]",
        "metadata.labels.a",
    }


@pytest.mark.parametrize("value", [None, 1, "x", [], {"spec": 1}, {"metadata": []}])
def test_a_document_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(ProblemsError):
        read_graph(value)


def test_the_annotation_says_what_the_blocks_say() -> None:
    annotation = {
        "stream": True,
        "nodes": {"root": {"merge": "vote", "steps": {"0": {"timeoutMs": 5}, "second": {"retry": {"attempts": 9}}}}},
    }
    spec = {"nodes": {"root": {"routerType": "Ensemble", "steps": [{"serviceUrl": "u"}, {"name": "second", "serviceUrl": "u"}]}}}

    graph = read_graph(document(spec, annotations={"fnkit/extensions": json.dumps(annotation)}))

    assert graph.extensions.stream
    assert graph.nodes["root"].merge == "vote"
    assert [step.timeout_ms for step in graph.nodes["root"].steps] == [5, None]
    assert graph.nodes["root"].steps[1].retry == Retry(attempts=9)


def test_a_block_wins_over_the_annotation() -> None:
    graph = read_graph(
        document({"nodes": {}, "fnkit": {"maxDepth": 1}}, annotations={"fnkit/extensions": '{"maxDepth": 2, "stream": true}'})
    )

    assert (graph.extensions.max_depth, graph.extensions.stream) == (1, True)


@pytest.mark.parametrize(
    "annotation",
    [
        "{",
        "[]",
        '{"nodes": {"nope": {}}}',
        '{"nodes": {"root": {"steps": {"7": {}}}}}',
        '{"nodes": []}',
        '{"nodes": {"root": 1}}',
    ],
)
def test_an_annotation_that_fits_nothing_is_refused(annotation: str) -> None:
    spec = {"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "u"}]}}}

    with pytest.raises(ProblemsError, match="fnkit/extensions"):
        read_graph(document(spec, annotations={"fnkit/extensions": annotation}))


@pytest.mark.parametrize(
    "retry", [{"attempts": 0}, {"statuses": [99]}, {"statuses": ["503"]}, {"backoffMs": "1"}, {"unknown": 1}, 3]
)
def test_a_retry_that_makes_no_sense_is_refused(retry: object) -> None:
    spec = {"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "u", "fnkit": {"retry": retry}}]}}}

    with pytest.raises(ProblemsError, match="retry"):
        read_graph(document(spec))


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("timeout", "9", "timeout: want an integer"),
        ("minReplicas", 1.5, "minReplicas: want an integer"),
        ("maxReplicas", 2**31, "maxReplicas: want an integer of 32 bits"),
        ("scaleTarget", True, "scaleTarget: want an integer"),
        ("scaleMetric", 1, "scaleMetric: want a string"),
        ("nodeName", [], "nodeName: want a string"),
        ("nodeSelector", {"a": 1}, "nodeSelector.a: want a string"),
        ("tolerations", {}, "tolerations: want a list"),
        ("resources", [], "resources: want an object"),
    ],
)
def test_what_concerns_the_pod_has_the_types_that_kserve_wants(field: str, value: object, wanted: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        read_graph_json(json.dumps({"nodes": {}, field: value}))

    assert any(str(problem).startswith(wanted) for problem in caught.value.problems)


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(UsageError, match="JSON has no NaN"):
        read_graph_json('{"nodes": {}, "x": NaN}')


def test_half_a_pair_of_surrogates_is_no_character() -> None:
    spec = '{"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "http://h/\\ud800", "condition": "\\udfff\u00e9"}]}}}'

    (step,) = read_graph_json(spec).nodes["root"].steps

    assert (step.service_url, step.condition) == ("http://h/\ufffd", "\ufffd\u00e9")
