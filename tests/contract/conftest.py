"""Bundles of the contract's graphs, built once for all hosts, each when it is first asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.manifest.model import Placement
from tests.contract.bundles import Built, build_bundles
from tests.contract.cases import CASES

PROJECT = Path(__file__).parent.parent / "projects" / "contract"


class Bundles(dict[str, Built]):
    """The bundles of each case by the case's name, with one placement: a worker of the tests builds those that its tests use."""

    def __init__(self, out: Path, placement: Placement) -> None:
        super().__init__()
        self._out, self._placement = out, placement

    def __missing__(self, name: str) -> Built:
        number, case = next((number, case) for number, case in enumerate(CASES) if case.name == name)
        self[name] = build_bundles(case.manifest, PROJECT, self._out / str(number), self._placement)
        return self[name]


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """The fused bundle of each case, by the case's name."""
    return Bundles(tmp_path_factory.mktemp("fused"), "fused")


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """The bundles of each case with every class in a function of its own."""
    return Bundles(tmp_path_factory.mktemp("step"), "step")
