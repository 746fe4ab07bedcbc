"""What authoring answers with where no graph is being written."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from fnkit.bundle import build
from fnkit.inert import INERT

PROJECT = Path(__file__).parents[1] / "projects" / "calls_at_module_level"


def test_what_is_inert_answers_everything_with_itself_and_is_empty() -> None:
    with INERT.to_mock_server() as server:
        answer = server.test("/", body=1)

    assert answer["result"].url is INERT
    assert (bool(answer), len(answer), list(answer), 1 in answer, f"{answer}") == (False, 0, [], False, "")


def test_a_script_that_builds_and_calls_its_graph_can_be_imported_inside_its_bundle(tmp_path: Path) -> None:
    built = build(str(PROJECT / "graph.py"), tmp_path / "built")
    bundle = next(bundle for bundle in built.bundles if bundle.function.name == "Double")
    with zipfile.ZipFile(bundle.path) as archive:
        archive.extractall(tmp_path / "task")
    program = f"import sys; sys.path[:0] = [{str(tmp_path / 'task')!r}]; import graph; print(graph.Double().do(4))"

    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "8"
