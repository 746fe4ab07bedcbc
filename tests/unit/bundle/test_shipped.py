import pytest

from fnkit.bundle.shipped import ALWAYS, choose_packages, shipped_files
from fnkit.manifest import Document, Flow, Manifest, Step
from fnkit.manifest.model import Topology


@pytest.mark.parametrize(
    ("topology", "package"), [("router", "serving"), ("inference_graph", "inference_graph"), ("gateway", "gateway")]
)
def test_a_topology_is_shipped_where_it_is_used(topology: Topology, package: str) -> None:
    assert package in choose_packages(Manifest("g", Document(), topology=topology), ())


def test_a_flow_of_the_users_own_classes_ships_no_other_topology() -> None:
    assert choose_packages(Manifest("g", Flow(())), ("fnkit.steps", "fnkit", "steps.greet", "fnkit.project")) == ALWAYS


def test_no_tool_is_ever_shipped() -> None:
    names = shipped_files((*ALWAYS, "gateway", "inference_graph", "serving"))

    assert not [name for name in names if name.startswith(("fnkit/project", "fnkit/bundle", "fnkit/deploy", "fnkit/cli"))]
    assert {"fnkit/__init__.py", "fnkit/errors.py", "fnkit/engine/__init__.py"} <= set(names)


def test_only_a_graph_with_queues_brings_the_code_of_queues() -> None:
    queue = Step("jobs", "queue", args={"path": ""})

    without = shipped_files(choose_packages(Manifest("g", Flow(())), ()))
    with_queue = shipped_files(choose_packages(Manifest("g", Flow((queue,))), ()))

    assert set(with_queue) - set(without) == {name for name in with_queue if name.startswith("fnkit/functions/queues/")}
    assert "fnkit/functions/queues/local.py" in with_queue
