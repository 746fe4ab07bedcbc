from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fnkit.errors import ManifestError
from fnkit.manifest import (
    CallOptions,
    Flow,
    Function,
    Manifest,
    Route,
    Router,
    Step,
    dumps,
    find_call_warnings,
    find_problems,
    loads,
)
from fnkit.manifest.calls import meant_option
from fnkit.manifest.pauses import longest_pauses_s, longest_wait_s

A = Step("a", target="m:A", responder=True)


def _graph(*steps: Step, functions: tuple[Function, ...] = (), timeout_s: int = 60) -> Manifest:
    return Manifest("g", Flow(steps), functions=(Function("g", "entry", timeout_s=timeout_s), *functions))


def test_options_that_were_not_said_are_not_written() -> None:
    said = replace(A, call=CallOptions(timeout_s=2, retry_on=("ConnectionError",)))

    written = json.loads(dumps(_graph(said, replace(A, name="b"))))

    assert written["spec"]["steps"][0]["call"] == {"timeout_s": 2, "retry_on": ["ConnectionError"]}
    assert "call" not in written["spec"]["steps"][1]


def test_faults_in_a_document_are_told_at_once_with_their_paths() -> None:
    call = {"timeout": 3, "timeout_s": "soon", "retries": -1, "backoff_s": 1e999, "backoff_rate": 0.5, "jitter": "some"}
    document = {"format": "fnkit.graph/1", "name": "g", "spec": {"steps": [{"name": "a", "call": call}]}}

    with pytest.raises(ManifestError) as caught:
        loads(json.dumps(document).replace("Infinity", "1e999"))

    for line in (
        "$.spec.steps[0].call.timeout: unknown key (did you mean 'timeout_s'?)",
        "$.spec.steps[0].call.timeout_s: expected a number, found a string",
        "$.spec.steps[0].call.retries: must be at least 0, found -1",
        "$.spec.steps[0].call.backoff_s: expected a number, found inf",
        "$.spec.steps[0].call.backoff_rate: must be at least 1, found 0.5",
        "$.spec.steps[0].call.jitter: 'some' is not one of full, half, none",
    ):
        assert line in str(caught.value)


def test_values_that_mean_nothing_are_problems_of_their_step() -> None:
    wrong = CallOptions(timeout_s=0, retries=True, retry_on="ValueError")  # type: ignore[arg-type]  # what a user may write
    router = Step("r", "router", target="m:R", routes=(Route("m1", "m:M", call=CallOptions(timeout_s=-1)),))
    queue = Step("q", "queue", args={"path": ""}, call=CallOptions(timeout_s=1))

    found = {(problem.step, problem.message) for problem in find_problems(_graph(replace(A, call=wrong), router, queue))}

    assert ("a", "call.retry_on: expected the names of error classes in a tuple, found 'ValueError'") in found
    assert ("r", "the route 'm1': call.timeout_s: must be more than 0, found -1") in found
    assert ("q", "a queue is not called, so it has no call options") in found

    wrong = replace(wrong, retry_on=())
    found = {(problem.step, problem.message) for problem in find_problems(_graph(replace(A, call=wrong)))}

    assert found == {
        ("a", "call.timeout_s: must be more than 0, found 0"),
        ("a", "call.retries: expected a whole number, found a boolean"),
    }


def test_a_step_may_not_wait_longer_than_its_function_or_its_caller_lives() -> None:
    far = replace(A, function="far", call=CallOptions(timeout_s=50))

    short_lived = find_call_warnings(_graph(far, functions=(Function("far", "child", timeout_s=30),)))
    short_caller = find_call_warnings(_graph(far, functions=(Function("far", "child", timeout_s=90),), timeout_s=40))
    fits = find_call_warnings(_graph(far, functions=(Function("far", "child", timeout_s=90),)))

    assert [(problem.step, problem.code) for problem in short_lived] == [("a", "call-timeout")]
    assert "never reached: function 'far', which it runs in, has 30 s" in short_lived[0].message
    assert "never reached: function 'g', which it is called by, has 40 s" in short_caller[0].message
    assert fits == ()


def test_all_attempts_together_must_fit_into_the_function_that_makes_them() -> None:
    call = CallOptions(timeout_s=20, retries=2, backoff_s=5, backoff_rate=2)

    (warning,) = find_call_warnings(_graph(replace(A, call=call)))

    assert (warning.step, warning.code) == ("a", "call-retries")
    assert "3 attempts of 20 s and the pauses between them take up to 70 s, and function 'g'" in warning.message
    assert find_call_warnings(_graph(replace(A, call=replace(call, retries=1)))) == ()
    assert find_call_warnings(_graph(replace(A, call=CallOptions(timeout_s=20)))) == ()  # failed calls fail quickly


def test_behind_a_queue_the_woken_function_is_the_one_that_calls() -> None:
    steps = (
        Step("a", target="m:A"),
        Step("q", "queue", args={"path": ""}, after=("a",)),
        Step("b", target="m:B", after=("q",), function="child", call=CallOptions(timeout_s=100)),
        Step("c", target="m:C", after=("b",), call=CallOptions(timeout_s=200)),
    )

    found = find_call_warnings(_graph(*steps, functions=(Function("child", "child", timeout_s=150),)))

    assert [(problem.step, problem.code) for problem in found] == [("c", "call-timeout")]
    assert "function 'child', which it runs in, has 150 s" in found[0].message


def test_routes_are_looked_at_too() -> None:
    route = Route("m1", "m:M", call=CallOptions(timeout_s=100))
    manifest = Manifest(
        "g", Router(Step("r", "router", target="m:R", routes=(route,))), "router", functions=(Function("g", "entry"),)
    )

    assert [(problem.step, problem.code) for problem in find_call_warnings(manifest)] == [("r/m1", "call-timeout")]


@pytest.mark.parametrize(
    ("call", "growing", "then"),
    [
        (CallOptions(), (0.05, 0.1, 0.2, 0.4), 2.0),
        (CallOptions(retries=8), (0.05, 0.1, 0.2, 0.4, 0.8, 1.6), 2.0),
        (CallOptions(backoff_s=5), (), 5),
        (CallOptions(backoff_s=1, backoff_rate=1, max_backoff_s=9), (1,), 1),
        (CallOptions(backoff_s=0), (0,), 0),
    ],
)
def test_pauses_grow_up_to_a_limit(call: CallOptions, growing: tuple[float, ...], then: float) -> None:
    found, later = longest_pauses_s(call)

    assert list(found) == pytest.approx(list(growing))
    assert later == then


def test_any_number_of_retries_is_counted_at_once() -> None:
    assert longest_wait_s(CallOptions(retries=10**12, backoff_rate=1.0000001, max_backoff_s=1e9)) > 1e12


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("timeout", "it is called 'timeout_s' here"),
        ("MaxAttempts", "it is called 'retries' here"),
        ("backoff_factor", "it is called 'backoff_s' here"),
        ("retrys", "did you mean 'retries'?"),
    ],
)
def test_the_words_of_other_systems_are_known(word: str, hint: str) -> None:
    assert meant_option(word).startswith(hint)
