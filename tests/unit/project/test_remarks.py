from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.manifest import Flow, Function, Manifest, Problem, Route, Router, Step
from fnkit.project import check
from fnkit.project.remarks import find_remarks
from fnkit.serving import ModelRunnerSelector
from fnkit.serving.authoring import RUNNER
from fnkit.steps import Choice


class Pick:
    def do(self, event: object) -> object:
        return event

    def select_outlets(self, _event: object) -> list[str]:
        return ["a"]


class Plain:
    def do(self, event: object) -> object:
        return event


class Chooses(ModelRunnerSelector):
    def select_outlets(self, event: object) -> list[str]:
        return ["a"]


class Takes(ModelRunnerSelector):
    pass


OBJECTS = {"m:Pick": Pick, "m:Plain": Plain, "fnkit.steps:Choice": Choice, "m:Chooses": Chooses, "m:Takes": Takes}


def step(name: str, *after: str, target: str = "m:Plain", responder: bool = False, **more: object) -> Step:
    return Step(name, target=target, after=after, responder=responder, **more)  # type: ignore[arg-type]  # what a test names


def remarks(*steps: Step, cyclic: bool = False) -> list[tuple[str, str]]:
    """Return step and code of each remark on a flow, and the branch that it names."""
    found = find_remarks(Manifest("g", Flow(steps, allow_cyclic=cyclic)), OBJECTS)
    return [(problem.step, problem.message.split("'")[1]) for problem in found if problem.code == "no-answer"]


@pytest.mark.parametrize(
    ("target", "args"),
    [("m:Pick", {}), ("fnkit.steps:Choice", {}), (RUNNER, {"_model_runner_selector": "m:Chooses"})],
)
def test_a_chosen_branch_that_ends_without_an_answer_is_named(target: str, args: dict[str, object]) -> None:
    pick = step("pick", target=target, args=args)

    found = remarks(pick, step("a", "pick", responder=True), step("b", "pick"), step("c", "b"))

    assert found == [("pick", "b")]


@pytest.mark.parametrize("target", ["m:Plain", RUNNER])
def test_a_side_branch_of_a_step_that_does_not_choose_is_nothing_to_speak_of(target: str) -> None:
    before = step("before", target=target, args={"_model_runner_selector": "m:Takes"})

    assert remarks(before, step("a", "before", responder=True), step("log", "before")) == []


def test_branches_that_meet_again_or_lead_back_are_answered() -> None:
    met = remarks(step("pick", target="m:Pick"), step("a", "pick"), step("b", "pick"), step("end", "a", "b", responder=True))
    back = remarks(
        step("make", "pick", cycle_from=("pick",)),
        step("pick", "make", target="m:Pick"),
        step("end", "pick", responder=True),
        cyclic=True,
    )

    assert (met, back) == ([], [])


def test_a_choice_beside_the_way_of_the_answer_is_nothing_to_speak_of() -> None:
    found = remarks(
        step("start"),
        step("a", "start", responder=True),
        step("pick", "start", target="m:Pick"),
        step("b", "pick"),
        step("c", "pick"),
    )

    assert found == []


def test_a_graph_that_answers_nobody_has_no_lost_branches() -> None:
    assert remarks(step("pick", target="m:Pick"), step("a", "pick"), step("b", "pick")) == []


def test_a_function_without_steps_is_named() -> None:
    functions = (Function("g", "entry"), Function("used", "child"), Function("idle", "child"))
    flow = Flow((step("a", function="used"),))
    router = Router(Step("r", "router", routes=(Route("m1", "m:Model", function="used"),)))

    of_flow, of_router = (find_remarks(Manifest("g", spec, functions=functions), OBJECTS) for spec in (flow, router))

    assert of_flow == of_router
    (problem,) = of_flow
    assert isinstance(problem, Problem)
    assert problem.code == "idle-function"
    assert "no step runs in the function 'idle'" in str(problem)


def test_fnkit_check_passes_them_on(tmp_path: Path) -> None:
    (tmp_path / "graph.py").write_text(
        "import fnkit\n"
        "class Pick:\n    def do(self, event): return event\n    def select_outlets(self, event): return ['a']\n"
        "class Plain:\n    def do(self, event): return event\n"
        "fn = fnkit.code_to_function('g')\nfn.add_child_function('idle')\ngraph = fn.set_topology('flow')\n"
        "graph.to(Pick, name='pick').to(Plain, name='a').respond()\ngraph.add_step(Plain, name='b', after='pick')\n"
    )

    checked = check(str(tmp_path / "graph.py"))

    assert checked.problems == ()
    assert [problem.code for problem in checked.warnings] == ["idle-function", "no-answer"]
    assert "the client gets 204" in checked.warnings[1].message
