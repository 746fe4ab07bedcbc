"""Every host answers every graph in the same way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.contract.bundles import Built
from tests.contract.cases import CASES, Case, Outcome
from tests.contract.hosts import Host, contained, emulated, in_process, worker

BY_NAME = {case.name: case for case in CASES}
HOSTS: dict[str, Callable[[Built, Path], AbstractContextManager[Host]]] = {
    "engine": in_process,
    "own loop, streamed": partial(worker, managed=False, streaming=True),
    "own loop, buffered": partial(worker, managed=False, streaming=False),
    "managed, streamed": partial(worker, managed=True, streaming=True),
    "managed, buffered": partial(worker, managed=True, streaming=False),
    "managed, fallen back": partial(worker, managed=True, streaming=False, FNKIT_STREAM_RUNTIME="off"),
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_host_answers_in_the_same_way(case: Case, host: str, bundles: dict[str, Built], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with HOSTS[host](bundles[case.name], log) as running:
        found = [running.ask(case.request) for _ in range(2)]

    for outcome in found:
        check(outcome, case.outcome, buffered="streamed" not in host and host != "engine")


FUSED = ("linear", "stream", "stream that fails in its middle", "request line, query and cookies")
APART = (
    *FUSED,
    "binary",
    "error",
    "error that its handler knows by its base",
    "keys of chunks",
    "keys of branches that meet",
    "stream through a step",
    "status, headers and cookies",
    "streamed response",
    "cycle",
    "choice",
    "late steps",
    "late chunk",
    "step that fails twice",
    "cycle that is too long",
)

CONTAINED = ("stream", "async stream that fails in its middle", "request line, query and cookies", "status, headers and cookies")


def check_served(
    host: Callable[[Built, Path], AbstractContextManager[Host]], name: str, bundles: dict[str, Built], folder: Path
) -> None:
    """Ask the case called *name* twice of *host*, which is processes of their own: texts of faults stay in their logs."""
    case = BY_NAME[name]
    with host(bundles[name], folder / "logs") as running:
        found = [running.ask(case.request) for _ in range(2)]

    for outcome in found:
        check(outcome, replace(case.outcome, fault="?" if case.outcome.fault else ""), buffered=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUSED)
def test_the_emulator_answers_in_the_same_way(name: str, bundles: dict[str, Built], tmp_path: Path) -> None:
    check_served(emulated, name, bundles, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", APART)
def test_so_does_a_graph_whose_steps_are_functions_of_their_own(name: str, apart: dict[str, Built], tmp_path: Path) -> None:
    check_served(emulated, name, apart, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTAINED)
def test_a_container_answers_in_the_same_way(name: str, bundles: dict[str, Built], tmp_path: Path) -> None:
    check_served(contained, name, bundles, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - CONTAINED))
def test_a_container_answers_all_other_cases_too(name: str, bundles: dict[str, Built], tmp_path: Path) -> None:
    check_served(contained, name, bundles, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stream through a step", "status, headers and cookies"])
def test_so_do_containers_that_call_each_other(name: str, apart: dict[str, Built], tmp_path: Path) -> None:
    check_served(contained, name, apart, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in APART if name not in ("stream through a step", "status, headers and cookies")])
def test_containers_that_call_each_other_answer_all_other_cases_too(name: str, apart: dict[str, Built], tmp_path: Path) -> None:
    check_served(contained, name, apart, tmp_path)


def check(found: Outcome, expected: Outcome, *, buffered: bool) -> None:
    """Compare; a buffered host reports a stream that broke off as an error of the function."""
    if buffered and expected.fault:
        assert (found.fault, found.body) == (expected.fault, expected.fault_text)
        return
    if expected.body.endswith(b"..."):
        assert found.body.startswith(expected.body[:-3])
    else:
        assert found.body == expected.body
    assert (found.status, found.content_type, found.cookies, found.fault) == (
        expected.status,
        expected.content_type,
        expected.cookies,
        expected.fault,
    )
    assert expected.headers.items() <= found.headers.items()
