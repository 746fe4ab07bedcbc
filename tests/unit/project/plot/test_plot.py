"""Drawings of graphs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fnkit.errors import FnkitError, UsageError
from fnkit.manifest.model import Document, Flow, Function, Manifest, Route, Router, Step
from fnkit.project.plot import plot

NAMESPACE = "{http://www.w3.org/2000/svg}"


def flow(*steps: Step, functions: tuple[Function, ...] = (), placement: str = "", on_error: str = "") -> Manifest:
    return Manifest("g", Flow(steps, on_error=on_error), functions=functions, placement=placement)  # type: ignore[arg-type]


def step(name: str, *after: str, **fields: object) -> Step:
    return Step(name, after=after, **{"target": f"mod:{name.title()}", **fields})  # type: ignore[arg-type]


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{NAMESPACE}text")]


def classes(svg: str) -> list[str]:
    return [element.get("class", "") for element in ElementTree.fromstring(svg).iter(f"{NAMESPACE}g")]


LOOP = flow(
    step("generate", "judge", cycle_from=("judge",)),
    step("judge", "generate", on_error="rescue"),
    step("answer", "judge", responder=True),
    step("rescue"),
)


def test_graphviz_sees_the_shapes_that_users_of_mlrun_know() -> None:
    graph = flow(step("A"), step("q", "A", kind="queue", target=""), step("B", "q", function="child"))

    drawing = plot(graph, rankdir="LR")

    assert drawing.graph_attrs == {"compound": "true", "rankdir": "LR"}
    assert drawing.nodes == {
        "_start": {"label": "start", "shape": "egg", "style": "filled"},
        "A": {"shape": "ellipse"},
        "q": {"shape": "cds"},
        "B": {"shape": "ellipse"},
    }
    assert drawing.edges == [["_start", "A"], ["A", "q"], ["q", "B"]]


def test_svg_names_every_step_and_marks_the_responder() -> None:
    svg = plot(LOOP).svg()

    assert {"generate", "judge", "answer", "rescue", "start", "responds"} <= set(texts(svg))


def test_cycles_and_error_edges_are_told_apart() -> None:
    drawing = plot(LOOP)

    assert classes(drawing.svg()).count("cycle") == 1
    assert classes(drawing.svg()).count("error") == 1
    assert drawing.edge_attrs["judge", "rescue"]["style"] == "dashed"
    assert drawing.edge_attrs["judge", "generate"]["constraint"] == "false"
    assert "cycle" in texts(drawing.svg())


def test_the_error_handler_of_the_graph_hangs_on_any_step() -> None:
    drawing = plot(flow(step("a", responder=True), step("rescue"), on_error="rescue"))

    assert ["_fault", "rescue"] in drawing.edges
    assert ["_start", "rescue"] not in drawing.edges
    assert "any step fails" in texts(drawing.svg())


def test_functions_are_boxes_around_their_steps() -> None:
    functions = (Function("g", "entry", steps=("a",)), Function("b", "step", steps=("b",)))
    drawing = plot(flow(step("a"), step("b", "a"), functions=functions, placement="step"))

    assert classes(drawing.svg()).count("function") == 2
    assert 'subgraph "cluster_function_b"' in drawing.source
    assert "subgraph f1" in drawing.mermaid()


def test_a_graph_that_is_not_placed_and_has_no_children_has_no_boxes() -> None:
    drawing = plot(flow(step("a"), functions=(Function("g", "entry"),)))

    assert "function" not in classes(drawing.svg())


def test_a_declared_child_function_is_a_box_before_the_steps_are_placed() -> None:
    functions = (Function("g", "entry"), Function("child", "child"))
    queue = step("q", "a", kind="queue", target="", args={"path": "topic"})
    drawing = plot(flow(step("a"), queue, step("b", "q", function="child"), functions=functions))

    assert [text for text in texts(drawing.svg()) if text.startswith("child")] == ["childchild function"]
    assert "topic" in texts(drawing.svg())


def test_a_model_runner_has_a_badge_with_the_number_of_its_models() -> None:
    models = {"finance": {"shared_model_name": "llm"}, "sport": {"execution_mechanism": "thread_pool"}}
    routes = (Route("finance"), Route("sport"))
    runner = step("run", kind="router", target="fnkit.serving:ModelRunner", args={"models": models}, routes=routes)
    drawing = plot(flow(runner))

    assert {"2", "finance", "proxy of llm", "thread_pool"} <= set(texts(drawing.svg()))
    assert drawing.nodes["run"] == {"shape": "folder", "label": "run (2 models)"}


def test_a_router_shows_its_routes() -> None:
    router = Step("", kind="router", target="fnkit.serving:ModelRouter", routes=(Route("m1", target="m:Scaler"), Route("m2:v1")))
    drawing = plot(Manifest("models", Router(router), topology="router"))

    assert {"models", "m1", "m2:v1", "Scaler"} <= set(texts(drawing.svg()))
    assert drawing.nodes["router/m1"] == {"label": "m1", "shape": "ellipse"}
    assert ["router", "router/m1"] in drawing.edges
    assert 'subgraph "cluster_router"' in drawing.source


INFERENCE_GRAPH = Manifest(
    "breeds",
    Document(
        {
            "nodes": {
                "root": {
                    "routerType": "Sequence",
                    "steps": [{"serviceName": "pets"}, {"nodeName": "breed", "data": "$response"}],
                },
                "breed": {"routerType": "Switch", "steps": [{"serviceName": "dogs", "condition": 'kind=="dog"'}]},
                "shares": {"routerType": "Splitter", "steps": [{"serviceName": "a", "weight": 80}]},
            }
        }
    ),
    topology="inference_graph",
)


def test_an_inference_graph_shows_nodes_as_boxes_and_conditions_on_arrows() -> None:
    drawing = plot(INFERENCE_GRAPH)

    shown = texts(drawing.svg())
    assert {"pets", "dogs", 'kind=="dog"', "80 %", "switch"} <= set(shown)
    assert classes(drawing.svg()).count("function") == 3
    assert ["root/1", "breed/"] in drawing.edges


def test_a_gateway_shows_routes_and_the_models_behind_them() -> None:
    model = {"provider": "openai", "name": "gpt"}
    document = Document({"routes": [{"name": "chat", "route_type": "llm/v1/chat", "model": model}]})

    shown = texts(plot(Manifest("gw", document, topology="gateway")).svg())

    assert {"chat", "gpt", "openai", "llm/v1/chat"} <= set(shown)


@pytest.mark.parametrize("rankdir", ["LR", "TB", "RL", "BT"])
def test_nodes_never_overlap_and_lie_in_their_boxes_in_every_direction(rankdir: str) -> None:
    names = [f"n{number}" for number in range(12)]
    steps = [step(name, *{names[number // 2], names[number // 3]} - {name}) for number, name in enumerate(names)]
    functions = tuple(Function(f"f{part}", "step", steps=tuple(names[part::3])) for part in range(3))

    svg = plot(flow(*steps, functions=functions, placement="step"), rankdir=rankdir).svg()

    boxes, nodes = rectangles(svg, "function"), rectangles(svg, "node")
    assert len(nodes) == 13
    assert not [1 for one in nodes for other in nodes if one is not other and overlap(one, other)]
    assert not [1 for one in boxes for other in boxes if one is not other and overlap(one, other)]
    assert sum(inside(node, box) for node in nodes for box in boxes) == 12


def rectangles(svg: str, kind: str) -> list[tuple[float, float, float, float]]:
    found = []
    for group in ElementTree.fromstring(svg).iter(f"{NAMESPACE}g"):
        rect = group.find(f"{NAMESPACE}rect")
        if group.get("class", "").split(" ")[0] == kind and rect is not None:
            x, y, width, height = (float(rect.get(name, "0")) for name in ("x", "y", "width", "height"))
            found.append((x, y, x + width, y + height))
    return found


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def inside(one: tuple[float, ...], box: tuple[float, ...]) -> bool:
    return box[0] <= one[0] and box[1] <= one[1] and one[2] <= box[2] and one[3] <= box[3]


def test_everything_is_drawn_within_the_picture() -> None:
    svg = plot(LOOP, rankdir="TB").svg()

    width, height = (float(value) for value in re.findall(r'<svg[^>]* width="(\d+)" height="(\d+)"', svg)[0])
    assert all(right <= width and bottom <= height for _, _, right, bottom in rectangles(svg, "node"))


def test_a_long_chain_runs_downwards_unless_told_otherwise() -> None:
    chain = flow(step("s0"), *(step(f"s{number}", f"s{number - 1}") for number in range(1, 20)))

    tall = ElementTree.fromstring(plot(chain).svg())
    wide = ElementTree.fromstring(plot(chain, rankdir="lr").svg())

    assert float(tall.get("height", "0")) > float(tall.get("width", "0"))
    assert float(wide.get("width", "0")) > float(wide.get("height", "0"))


def test_the_same_graph_gives_the_same_bytes() -> None:
    assert plot(LOOP).svg() == plot(LOOP).svg()


def test_names_that_look_like_markup_are_shown_as_they_are() -> None:
    drawing = plot(flow(step('<b>&"x"')))

    assert '<b>&"x"' in texts(drawing.svg())
    assert "#lt;b#gt;#amp;#quot;x#quot;" in drawing.mermaid()
    assert r'"<b>&\"x\""' in drawing.source


def test_a_very_long_name_is_broken_and_kept_whole_in_the_tooltip() -> None:
    name = "a_step_whose_name_goes_on_and_on_" * 4
    svg = plot(flow(step(name))).svg()

    assert max(len(text) for text in texts(svg)) < 60
    assert name in "".join(ElementTree.fromstring(svg).itertext())


def test_mermaid_says_direction_arrows_and_labels() -> None:
    text = plot(INFERENCE_GRAPH).mermaid()

    assert text.startswith("flowchart LR\n")
    assert '-->|"kind==#quot;dog#quot;"|' in text


def test_graphs_that_are_wrong_are_drawn_all_the_same() -> None:
    unmarked_cycle = flow(step("a", "b"), step("b", "a"), step("c", "nowhere"))

    assert {"a", "b", "c"} <= set(texts(plot(unmarked_cycle).svg()))
    assert texts(plot(flow()).svg())


def test_a_notebook_shows_the_svg() -> None:
    drawing = plot(LOOP)

    assert drawing._repr_svg_() == drawing.svg()
    assert drawing._repr_mimebundle_()["image/svg+xml"].startswith("<svg")


@pytest.mark.parametrize(
    ("name", "start"),
    [("g.svg", b"<svg"), ("g.png", b"\x89PNG"), ("g.mmd", b"flowchart"), ("g.dot", b"digraph"), ("g", b"<svg")],
)
def test_the_suffix_says_the_format(tmp_path: Path, name: str, start: bytes) -> None:
    plot(LOOP, filename=tmp_path / name)

    assert (tmp_path / name).read_bytes().startswith(start)


def test_the_format_wins_over_the_suffix(tmp_path: Path) -> None:
    plot(LOOP, filename=tmp_path / "g.txt", format="mermaid")

    assert (tmp_path / "g.txt").read_text().startswith("flowchart")


def test_an_unknown_format_names_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="unknown plot format 'pgn'") as caught:
        plot(LOOP, format="pgn")

    assert "did you mean 'png'?" in caught.value.hint


def test_an_unknown_suffix_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"suffix of 'g\.jpeg'") as caught:
        plot(LOOP, filename=tmp_path / "g.jpeg")

    assert str(tmp_path) in caught.value.where


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown rankdir 'LT'"):
        plot(LOOP, rankdir="LT")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FnkitError, match="cannot write the drawing: No such file") as caught:
        plot(LOOP, filename=tmp_path / "no" / "g.svg")

    assert caught.value.where == str(tmp_path / "no" / "g.svg")


def test_png_without_cairosvg_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cairosvg", None)

    with pytest.raises(FnkitError, match="needs cairosvg") as caught:
        plot(LOOP).png()

    assert 'pip install "fnkit[plot]"' in caught.value.hint
