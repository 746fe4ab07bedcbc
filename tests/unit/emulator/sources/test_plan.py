"""Where the queues of a graph are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.manifest import Flow, Manifest
from fnkit_emulator.sources.plan import plan_sources


@pytest.mark.parametrize(
    ("graph", "folder"),
    [("chat", "chat"), ("ünïcode fn", "ünïcode fn"), ("../../etc", "%2E.%2F..%2Fetc"), ("a/b", "a%2Fb"), (".", "%2E")],
)
def test_the_queues_of_a_graph_are_in_one_folder_below_the_base(graph: str, folder: str, tmp_path: Path) -> None:
    plan = plan_sources(Manifest(graph, Flow(())), tmp_path)

    assert plan.graph == folder
    assert (plan.base / plan.graph).resolve().parent == tmp_path.resolve()
