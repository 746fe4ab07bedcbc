"""What holds for the drawing of every graph."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as some

from fnkit.manifest.model import Flow, Function, Manifest, Step
from fnkit.project.plot import plot
from tests.unit.project.plot.test_plot import inside, overlap, rectangles


@some.composite
def manifests(draw: some.DrawFn) -> Manifest:
    names = [f"s{number}" for number in range(draw(some.integers(1, 14)))]
    steps = []
    for number, name in enumerate(names):
        before = draw(some.sets(some.sampled_from(names[:number]), max_size=2)) if number else set()
        cycle = draw(some.sets(some.sampled_from(names[number:]), max_size=1))
        queue = draw(some.integers(0, 5)) == 0
        handler = draw(some.sampled_from(["", "", "", *names]))
        steps.append(
            Step(
                name,
                kind="queue" if queue else "task",
                target="" if queue else "m:X",
                after=tuple(sorted(before | cycle)),
                cycle_from=tuple(cycle),
                on_error=handler,
            )
        )
    parts = draw(some.integers(1, 4))
    functions = tuple(Function(f"f{part}", "step" if part else "entry", steps=tuple(names[part::parts])) for part in range(parts))
    return Manifest("g", Flow(tuple(steps), allow_cyclic=True), functions=functions, placement="step")


@settings(max_examples=40, deadline=None)
@given(manifest=manifests(), rankdir=some.sampled_from(["LR", "TB", "RL", "BT"]))
def test_nothing_overlaps_and_every_step_lies_in_the_box_of_its_function(manifest: Manifest, rankdir: str) -> None:
    drawing = plot(manifest, rankdir=rankdir)

    svg = drawing.svg()
    boxes, nodes = rectangles(svg, "function"), rectangles(svg, "node")
    assert not [pair for pair in (*combinations(nodes, 2), *combinations(boxes, 2)) if overlap(*pair)]
    assert all(inside(node, box) for node in nodes for box in boxes if overlap(node, box))
    assert isinstance(manifest.spec, Flow)
    drawn = {"".join(text.itertext()) for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert {step.name for step in manifest.spec.steps} <= drawn
    assert drawing.mermaid().startswith(f"flowchart {rankdir}")
    assert drawing.source.count("->") == len(drawing.edges)
