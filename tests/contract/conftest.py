"""Bundles of the contract's graphs, built once for all hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.manifest.model import Placement
from tests.contract.bundles import Built, build_bundles
from tests.contract.cases import CASES

PROJECT = Path(__file__).parent.parent / "projects" / "contract"


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """The fused bundle of each case, by the case's name."""
    return build_cases(tmp_path_factory.mktemp("fused"), "fused")


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """The bundles of each case with every class in a function of its own."""
    return build_cases(tmp_path_factory.mktemp("step"), "step")


def build_cases(out: Path, placement: Placement) -> dict[str, Built]:
    """Build all cases with one placement."""
    return {case.name: build_bundles(case.manifest, PROJECT, out / str(number), placement) for number, case in enumerate(CASES)}
