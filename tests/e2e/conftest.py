"""Bundles and binaries of the end-to-end tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.bundles import Built, build_bundles
from tests.contract.cases import CASES
from tests.fakes.rie import find_rie

PROJECT = Path(__file__).parent.parent / "projects" / "contract"
FOUR = ("linear", "stream", "stream that fails at once", "stream that fails in its middle")


@pytest.fixture(scope="session")
def rie() -> Path:
    """Amazon's emulator binary."""
    binary = find_rie()
    if binary is None:
        pytest.skip("the Runtime Interface Emulator cannot be had here: it takes Linux and the package index")
    return binary


@pytest.fixture(scope="session")
def four(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """The bundles of a plain answer, a stream, an error before the first chunk and one in mid-stream, by the case's name."""
    out = tmp_path_factory.mktemp("four")
    return {case.name: build_bundles(case.manifest, PROJECT, out / str(at)) for at, case in enumerate(CASES) if case.name in FOUR}
