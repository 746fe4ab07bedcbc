"""Bundles of the contract's graphs, built once for all hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.bundles import Built, build_bundles
from tests.contract.cases import CASES

PROJECT = Path(__file__).parent.parent / "projects" / "contract"


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """The fused bundle of each case, by the case's name."""
    out = tmp_path_factory.mktemp("contract")
    return {case.name: build_bundles(case.manifest, PROJECT, out / str(number)) for number, case in enumerate(CASES)}
