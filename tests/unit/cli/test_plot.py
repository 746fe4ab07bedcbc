"""The command `fnkit plot`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fnkit.cli.plot import command

GRAPH = """
import fnkit

class Double:
    def do(self, body):
        return body * 2

fn = fnkit.code_to_function("numbers", filename=__file__, kind="serving")
graph = fn.set_topology("flow")
graph.to(name="first", handler="(event + 1)").to("Double").respond()
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "numbers_graph.py"
    path.write_text(GRAPH)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_a_graph_is_drawn_into_a_file_with_the_functions_of_its_steps(graph: Path, tmp_path: Path) -> None:
    result = run(graph, "-o", tmp_path / "g.svg")

    assert result.exit_code == 0, result.output
    assert result.stdout == f"wrote {tmp_path / 'g.svg'}\n"
    assert "placement: step" in (tmp_path / "g.svg").read_text()


def test_placement_and_direction_can_be_chosen(graph: Path) -> None:
    unplaced = run(graph, "--format", "mermaid", "--placement", "none", "--rankdir", "tb")
    fused = run(graph, "--format", "dot", "--placement", "fused")

    assert unplaced.stdout.startswith("flowchart TB\n")
    assert "subgraph" not in unplaced.stdout
    assert fused.stdout.count("subgraph") == 1


def test_json_tells_where_the_drawing_is(graph: Path, tmp_path: Path) -> None:
    result = run(graph, "-o", tmp_path / "g.png", "--json")

    told = json.loads(result.stdout)
    assert told == {"event": "plot", "file": str(tmp_path / "g.png"), "bytes": (tmp_path / "g.png").stat().st_size}


def test_a_format_that_is_not_known_is_a_wrong_use(graph: Path) -> None:
    result = run(graph, "--format", "jpeg")

    assert result.exit_code == 2
    assert "unknown plot format 'jpeg'" in result.stderr
    assert "formats: svg, png, mermaid, dot" in result.stderr


def test_an_image_is_not_written_to_the_terminal(graph: Path) -> None:
    result = run(graph, "--format", "png")

    assert result.exit_code == 2
    assert "name a file" in result.stderr


def test_a_file_that_cannot_be_written_is_a_failure(graph: Path, tmp_path: Path) -> None:
    result = run(graph, "-o", tmp_path / "none" / "g.svg")

    assert result.exit_code == 1
    assert "cannot write the drawing" in result.stderr


def test_the_services_of_an_inference_graph_show_their_functions() -> None:
    example = Path(__file__).parents[3] / "examples" / "kserve" / "switch.yaml"

    placed = run(example, "--format", "mermaid")
    fused = run(example, "--format", "mermaid", "--placement", "fused")

    assert placed.exit_code == fused.exit_code == 0
    assert "function middle-model" in placed.output
    assert "function conditional-routing-pipeline" in fused.output
