from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.manifest import (
    Document,
    Flow,
    Function,
    Manifest,
    Problem,
    Route,
    Router,
    Step,
    find_problems,
    resolve_function,
)
from fnkit.manifest.reach import find_cycle

A = Step("a", target="m:A")


def _step(name: str, *after: str, **fields: object) -> Step:
    return replace(A, name=name, after=after, **fields)  # type: ignore[arg-type]  # fields by name


def _manifest(*steps: Step, functions: tuple[Function, ...] = (), **fields: object) -> Manifest:
    return Manifest("g", Flow(steps, **fields), functions=(Function("g", "entry"), *functions))  # type: ignore[arg-type]  # by name


def _codes(*steps: Step, functions: tuple[Function, ...] = (), **fields: object) -> list[tuple[str, str]]:
    return [(problem.step, problem.code) for problem in find_problems(_manifest(*steps, functions=functions, **fields))]


def test_a_graph_without_faults_has_no_problems() -> None:
    queue = Step("q", "queue", args={"path": ""}, after=("b",))
    child = Function("far-child", "child")
    steps = (A, _step("b", "a", on_error="h"), queue, _step("c", "q", function="child", responder=True), _step("h"))

    assert find_problems(_manifest(*steps, functions=(child,))) == ()


def test_a_problem_reads_as_a_sentence_with_its_step_and_remedy() -> None:
    assert str(Problem("a", "code", "it is wrong", "mend it")) == "step 'a': it is wrong (hint: mend it)"
    assert str(Problem("", "code", "all is wrong")) == "all is wrong"


@pytest.mark.parametrize(
    ("steps", "fields", "found"),
    [
        ((), {}, [("", "no-steps")]),
        ((A, A), {}, [("a", "duplicate-step")]),
        ((_step("Complete"), _step(" b")), {}, [("Complete", "step-name"), (" b", "step-name")]),
        ((_step("b", "zz"),), {}, [("b", "missing-step")]),
        ((_step("b", on_error="zz"),), {}, [("b", "missing-step")]),
        ((_step("b", on_error="b"),), {}, [("b", "own-handler"), ("b", "unreachable")]),
        ((A,), {"on_error": "zz"}, [("", "missing-step")]),
        ((Step("b"),), {}, [("b", "no-code")]),
        ((_step("b", max_iterations=0),), {}, [("b", "max-iterations")]),
        ((A,), {"max_iterations": -1}, [("", "max-iterations")]),
        ((_step("r", kind="router"),), {}, [("r", "no-routes")]),
        ((_step("r", kind="router", routes=(Route("m"),)),), {}, [("r", "no-code")]),
        ((_step("a", responder=True), _step("b", responder=True)), {}, [("", "two-responders")]),
        ((_step("a", responder=True), _step("b", "a")), {}, [("a", "responder-mid-graph")]),
        ((A, _step("b", "a"), _step("c", "b", "d"), _step("d", "c")), {}, [("c", "loop")]),
        ((_step("b", "c"), _step("c", "b"), _step("d", "c")), {}, [("b", "loop")]),
        ((A, _step("b", "c"), _step("c", "b")), {"allow_cyclic": True}, [("b", "unreachable"), ("c", "unreachable")]),
        ((A, _step("b", "a"), _step("c", "a")), {"engine": "sync"}, [("c", "sync-branches")]),
        ((A, _step("b")), {"engine": "sync"}, [("b", "sync-branches")]),
        ((A,), {"engine": "sync", "allow_cyclic": True}, [("", "sync-cycles")]),
        ((Step("q", "queue"),), {}, [("q", "queue-path")]),
        ((Step("q", "queue", args={"path": ""}), _step("b", "q")), {}, [("b", "queue-function")]),
        ((_step("a", function="far"),), {}, [("a", "unknown-function")]),
    ],
)
def test_each_fault_is_found(steps: tuple[Step, ...], fields: dict[str, object], found: list[tuple[str, str]]) -> None:
    assert _codes(*steps, **fields) == found  # type: ignore[arg-type]  # fields by name


def test_a_cyclic_graph_may_answer_in_the_middle() -> None:
    steps = (_step("a", "b", cycle_from=("b",), responder=True), _step("b", "a"))

    assert _codes(*steps, allow_cyclic=True) == []


def test_a_second_start_of_a_sync_graph_is_told_as_what_it_is() -> None:
    (problem,) = find_problems(_manifest(A, _step("b"), engine="sync"))

    assert problem.message == "sync engine can only have one starting step (without .after)"


def test_a_loop_is_told_with_its_path() -> None:
    (problem,) = find_problems(_manifest(_step("x"), _step("a", "x", "c"), _step("b", "a"), _step("c", "b")))

    assert problem.message == "Error, loop detected in step a, graph must be acyclic (DAG)"
    assert problem.hint.startswith("the loop is a -> b -> c -> a;")


def test_one_function_reads_one_queue() -> None:
    queues = tuple(Step(name, "queue", args={"path": ""}) for name in ("q1", "q2"))
    readers = (_step("a", "q1", function="f"), _step("b", "q2", function="f"))

    assert _codes(*queues, *readers, functions=(Function("f", "child"),)) == [("", "many-queues")]


def test_functions_have_names_that_can_be_deployed() -> None:
    functions = (Function("my_child", "child"), Function("x" * 41, "child"), Function("c", "child"), Function("c", "child"))

    assert _codes(A, functions=functions) == [("", "function-name"), ("", "function-name"), ("", "duplicate-function")]


def test_a_router_needs_routes_and_other_documents_check_themselves() -> None:
    router = Manifest("g", Router(Step("r", "router", target="fnkit.serving:ModelRouter")), "router")

    assert [problem.code for problem in find_problems(router)] == ["no-routes"]
    assert find_problems(Manifest("g", Document({}), "gateway")) == ()


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [("log-ds", "nuclio-log-ds"), ("nuclio-log-ds", "nuclio-log-ds"), ("ds", ""), ("g", "g"), ("zz", "")],
)
def test_a_function_is_meant_by_the_end_of_its_name_where_one_ends_so(wanted: str, meant: str) -> None:
    assert resolve_function(wanted, ("g", "nuclio-log-ds", "other-ds")) == meant


def test_a_name_that_several_functions_end_with_has_to_be_written_whole() -> None:
    children = (Function("a-log", "child"), Function("b-log", "child"))

    (problem,) = find_problems(_manifest(_step("x", function="log"), functions=children))

    assert problem.code == "unknown-function"
    assert problem.hint == "a-log and b-log end so: write the whole name of one of them"


def test_functions_of_routes_have_to_be_declared_too_and_their_keys_are_theirs_alone() -> None:
    routes = (Route("m", "app:M", function="gpu"), Route("a", "app:M", function="gpu"), Route("b", "app:M"))
    router = _step("r", kind="router", routes=routes)
    other = _step("s", kind="router", routes=(Route("m", "app:M", function="gpu"),))
    alone = Manifest("g", Router(Step("r", "router", target="fnkit.serving:ModelRouter", routes=routes)), "router")

    assert _codes(_step("a"), _step("b"), router, other, functions=(Function("gpu", "child"),)) == [
        ("r", "route-key"),
        ("s", "route-key"),
    ]
    assert [(problem.step, problem.code) for problem in find_problems(alone)] == [("r", "unknown-function")]


def test_a_long_chain_is_checked_quickly() -> None:
    steps = (A, *(_step(f"s{number}", f"s{number - 1}" if number else "a") for number in range(5000)))

    assert _codes(*steps) == []


_names = st.sampled_from(["a", "b", "c", "d", "e"])


@given(st.dictionaries(_names, st.lists(_names, max_size=3), min_size=1), st.booleans())
def test_any_graph_is_checked_without_an_error_of_ours(edges: dict[str, list[str]], allow_cyclic: bool) -> None:
    steps = tuple(_step(name, *after) for name, after in edges.items())

    problems = find_problems(_manifest(*steps, allow_cyclic=allow_cyclic))

    cycle = find_cycle(Flow(steps))
    assert (("loop" in [problem.code for problem in problems]) is bool(cycle)) or allow_cyclic
    for one, other in zip(cycle, (*cycle[1:], *cycle[:1]), strict=True):
        assert one in edges[other]
