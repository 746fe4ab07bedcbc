from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it has no annotations
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnkit.manifest
from fnkit.errors import ManifestError
from fnkit.manifest import CallOptions, Document, Flow, Function, Manifest, Route, Router, Step, dumps, json_schema, loads

_text = st.text(st.characters(codec="utf-8"), max_size=8)
_filled = _text.filter(bool)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)
_any_map = st.dictionaries(_text, _json, max_size=3)
_names = st.lists(_filled, max_size=3).map(tuple)
_limit = st.none() | st.integers(1, 1000)
_seconds = st.none() | st.floats(0.001, 1e6)
_calls = st.builds(
    CallOptions,
    timeout_s=_seconds,
    idle_timeout_s=_seconds,
    retries=st.none() | st.integers(0, 1000),
    retry_on=_names,
    backoff_s=_seconds,
    backoff_rate=st.none() | st.floats(1, 10),
    max_backoff_s=_seconds,
    jitter=st.sampled_from(["", "full", "half", "none"]),
    breaker_threshold=st.none() | st.integers(0, 1000),
    breaker_rest_s=_seconds,
)
_routes = st.builds(Route, key=_filled, target=_text, handler=_text, args=_any_map, function=_text, call=_calls)
_steps = st.builds(
    Step,
    name=_filled,
    kind=st.sampled_from(["task", "queue", "router"]),
    target=_text,
    handler=_text,
    args=_any_map,
    after=_names,
    cycle_from=_names,
    function=_text,
    responder=st.booleans(),
    input_path=_text,
    result_path=_text,
    full_event=st.sampled_from([None, True, False]),
    on_error=_text,
    max_iterations=_limit,
    routes=st.lists(_routes, max_size=2).map(tuple),
    shape=_text,
    call=_calls,
)
_functions = st.builds(
    Function,
    name=_filled,
    kind=st.sampled_from(["entry", "step", "child"]),
    steps=_names,
    module=_text,
    requirements=_names,
    memory_mb=st.integers(1, 10240),
    timeout_s=st.integers(1, 900),
    concurrency=st.integers(1, 100),
    max_environments=_limit,
    environment=st.dictionaries(_text, _text, max_size=3),
    streaming=st.booleans(),
)
_flows = st.builds(
    Flow,
    steps=st.lists(_steps, max_size=3).map(tuple),
    engine=st.sampled_from(["async", "sync"]),
    allow_cyclic=st.booleans(),
    max_iterations=_limit,
    on_error=_text,
    options=_any_map,
)
_spec_of = st.one_of(
    st.tuples(st.just("flow"), _flows),
    st.tuples(st.just("router"), st.builds(Router, _steps)),
    st.tuples(st.sampled_from(["inference_graph", "gateway"]), st.builds(Document, _any_map)),
)


@st.composite
def _manifests(draw: st.DrawFn) -> Manifest:
    topology, spec = draw(_spec_of)
    head = draw(
        st.builds(
            Manifest,
            name=_filled,
            spec=st.just(spec),
            project=_text,
            functions=st.lists(_functions, max_size=2).map(tuple),
            placement=st.sampled_from(["", "step", "declared", "fused"]),
            streaming=st.booleans(),
            parameters=_any_map,
            default_content_type=_text,
            python=_text,
            labels=st.dictionaries(_text, _text, max_size=3),
        )
    )
    return replace(head, topology=topology)  # type: ignore[arg-type]  # hypothesis loses the literal


@given(_manifests())
def test_what_is_written_is_read_back(manifest: Manifest) -> None:
    assert loads(dumps(manifest)) == manifest


@given(_manifests())
def test_what_is_written_fits_the_published_schema(manifest: Manifest) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(dumps(manifest)))


@given(st.text(max_size=40) | st.binary(max_size=40) | _json.map(json.dumps))
def test_any_text_is_a_manifest_or_is_refused_with_a_reason(text: str | bytes) -> None:
    outcome: Manifest | str
    try:
        outcome = loads(text)
    except ManifestError as error:
        outcome = error.explain()

    assert outcome


def test_the_schema_file_is_the_schema_of_the_table() -> None:
    published = Path(fnkit.manifest.__file__).with_name("graph.schema.json").read_text()

    assert json.loads(published) == json_schema()


def test_the_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_every_fault_is_told_at_once_with_its_path() -> None:
    text = json.dumps(
        {
            "format": "fnkit.graph/1",
            "name": "",
            "spec": {"steps": [{"nme": "a", "after": "b"}], "engine": "bogus", "max_iterations": 0},
            "functons": [],
            "streaming": 1,
        }
    )

    with pytest.raises(ManifestError) as caught:
        loads(text)

    assert caught.value.message.splitlines()[1:] == [
        "  - $.functons: unknown key (did you mean 'functions'?)",
        "  - $.name: must not be empty",
        "  - $.spec.steps[0].nme: unknown key (did you mean 'name'?)",
        "  - $.spec.steps[0]: 'name' is missing",
        "  - $.spec.steps[0].after: expected an array, found a string",
        "  - $.spec.engine: 'bogus' is not one of async, sync",
        "  - $.spec.max_iterations: must be at least 1, found 0",
        "  - $.streaming: expected true or false, found a number",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1 column 1"),
        ("[]", "expected an object, found an array"),
        ("{}", "expected 'fnkit.graph/1', found None"),
        ('{"format": "fnkit.graph/2"}', "found 'fnkit.graph/2'"),
        (b"\xff\xfe{", "not UTF-8 text"),
        ("[" * 100_000, "nested too deeply"),
        ('{"format": "fnkit.graph/1", "name": "a", "spec": {"steps": []}, "parameters": {"x": NaN}}', "NaN is not JSON"),
        ('{"format": "fnkit.graph/1", "name": "a", "topology": "weird", "spec": {"steps": []}}', "'weird' is not one of flow"),
    ],
)
def test_a_text_that_is_no_manifest_is_refused_with_the_reason(text: str | bytes, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        loads(text)

    assert says in str(caught.value)


def test_an_argument_that_json_cannot_carry_is_refused_with_its_place() -> None:
    steps = (Step("a", target="m:A", args={"x": {"deep": [1, object()]}, "nan": float("nan"), "half": "\ud800"}),)

    with pytest.raises(ManifestError) as caught:
        dumps(Manifest("g", Flow(steps)))

    message = str(caught.value)
    assert "$.spec.steps[0].args.x.deep[1]: a object has no place in JSON" in message
    assert "$.spec.steps[0].args.nan: nan has no place in JSON" in message
    assert "$.spec.steps[0].args.half: a lone surrogate is no text" in message


def test_a_value_that_contains_itself_is_refused() -> None:
    knot: dict[str, object] = {}
    knot["self"] = knot

    with pytest.raises(ManifestError, match="contains itself"):
        dumps(Manifest("g", Flow(()), parameters=knot))


def test_defaults_are_left_out_and_equal_manifests_give_equal_text() -> None:
    one = Manifest("g", Flow((Step("a"),)), labels={"b": "2", "a": "1"})
    other = Manifest("g", Flow((Step("a"),)), labels={"a": "1", "b": "2"})

    assert dumps(one) == dumps(other)
    assert json.loads(dumps(one)) == {
        "format": "fnkit.graph/1",
        "name": "g",
        "spec": {"steps": [{"name": "a"}]},
        "labels": {"a": "1", "b": "2"},
    }
