"""The graphs of the observed cases, built as the cases describe them in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fnkit.project import FlowGraph, ServingFunction
from tests.conformance import mlrun_steps as steps

if TYPE_CHECKING:
    from fnkit.serving import ModelRunnerStep

Builder = Callable[[ServingFunction], object]
BUILDERS: dict[str, Builder] = {}


def case(*ids: str) -> Callable[[Builder], Builder]:
    """Name the cases that a builder is for."""

    def register(builder: Builder) -> Builder:
        BUILDERS.update(dict.fromkeys(ids, builder))
        return builder

    return register


def flow(fn: ServingFunction, **options: object) -> FlowGraph:
    """Start a flow."""
    graph = fn.set_topology("flow", **{"engine": "async", **options})  # type: ignore[call-overload]  # options by name
    assert isinstance(graph, FlowGraph)
    return graph


@case("flow-01")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Trail", "A").to("Trail", "B").to("Trail", "C").respond()


@case("flow-02")
def _(fn: ServingFunction) -> None:
    graph = flow(fn)
    graph.add_step("Trail", "s_mid")
    graph.add_step("Trail", "s_first", before="s_mid")
    graph.add_step("Trail", "s_last", after="s_mid").respond()


@case("flow-04")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Trail", "A")


@case("flow-06")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Trail", "A").respond().to("Trail", "B")


@case("flow-10")
def _(fn: ServingFunction) -> None:
    flow(fn).to(name="a", handler="(event * 3)").to(name="b", handler="shout").to(name="c", handler="json.dumps").respond()


@case("flow-11")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Alt", handler="process").respond()


@case("flow-13")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Alt", handler="nope").respond()


@case("flow-14")
def _(fn: ServingFunction) -> None:
    flow(fn).to("DoesNotExist").respond()


@case("flow-17")
def _(fn: ServingFunction) -> None:
    fn.spec.parameters = {"alpha": 5}
    fn.with_secrets("inline", {"TOKEN": "t"})
    flow(fn).to("Params").respond()


@case("flow-19")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Hook").respond()


@case("flow-20")
def _(fn: ServingFunction) -> None:
    flow(fn).to(name="h", handler="(event * 10)", input_path="in.x", result_path="out.y").respond()


@case("flow-21")
def _(fn: ServingFunction) -> None:
    flow(fn).to("TypeOf", input_path="a.b").respond()


@case("flow-22")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Status").respond()


@case("flow-24")
def _(fn: ServingFunction) -> None:
    graph = flow(fn, engine="sync")
    graph.to("Trail", "A")
    graph.add_step("Trail", "B")
    graph.add_step("Trail", "C", after=["A", "B"])


@case("flow-25")
def _(fn: ServingFunction) -> None:
    flow(fn)
    flow(fn)


@case("event-03")
def _(fn: ServingFunction) -> None:
    flow(fn).to("TypeOf").respond()


@case("err-01")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Ident", "a").to("Fuse", "fuse", blow_on="x").respond()


@case("err-02")
def _(fn: ServingFunction) -> None:
    graph = flow(fn)
    graph.to("Ident", "a").to("Fuse", "fuse", blow_on="x").to(name="tail", handler="tail").respond()
    graph.error_handler("catch", class_name="Rescue", full_event=True)


@case("err-07")
def _(fn: ServingFunction) -> None:
    graph = flow(fn)
    graph.to("Fuse", "fuse", blow_on="x").respond()
    graph.error_handler("catch", class_name="Fuse", blow_on="x")


@case("err-09")
def _(fn: ServingFunction) -> None:
    flow(fn).error_handler(name="only")


@case("stream-02")
def _(fn: ServingFunction) -> None:
    flow(fn).to("AsyncSlicer", sep=";").respond()


@case("stream-04")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Slicer").to("storey.Collector").respond()


@case("stream-05")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Slicer", "first").to("Slicer", "second").respond()


@case("stream-06")
def _(fn: ServingFunction) -> None:
    chain = flow(fn).to("Slicer", "first").to("storey.Collector", "collect")
    chain.to(name="turn", handler='(" ".join(reversed(event)))').to("Slicer", "second").respond()


@case("stream-11")
def _(fn: ServingFunction) -> None:
    flow(fn).to("HalfWay", ok_items=2).to("storey.Collector").respond()


@case("stream-12")
def _(fn: ServingFunction) -> None:
    graph = flow(fn)
    graph.to("HalfWay", ok_items=1).respond()
    graph.error_handler("catch", class_name="Rescue", full_event=True)


@case("stream-13")
def _(fn: ServingFunction) -> None:
    flow(fn).to(name="gen", handler="mixed").respond()


@case("stream-14")
def _(fn: ServingFunction) -> None:
    graph = flow(fn)
    graph.to("PickChoice", "pick")
    graph.add_step("Slicer", "words", after="pick")
    graph.add_step("Ident", "plain", after="pick")
    graph.add_step("Ident", "out", after=["words", "plain"]).respond()


@case("stream-15")
def _(fn: ServingFunction) -> None:
    fn.add_trigger("k1", {"kind": "kafka-cluster"})
    fn.set_streaming()


def _loop(fn: ServingFunction, max_iterations: int | None = None, draft_max: int | None = None) -> None:
    graph = flow(fn, allow_cyclic=True, max_iterations=max_iterations)
    chain = graph.to("Draft", "draft", max_iterations=draft_max).to("Review", "review")
    chain.to("Gate", "gate", cycle_to=["draft"]).to("Publish", "publish").respond()


@case("cycle-02")
def _(fn: ServingFunction) -> None:
    _loop(fn, 100, 3)


@case("cycle-03")
def _(fn: ServingFunction) -> None:
    _loop(fn, 2)


@case("cycle-04")
def _(fn: ServingFunction) -> None:
    _loop(fn, 2, 10)


@case("cycle-05")
def _(fn: ServingFunction) -> None:
    flow(fn, allow_cyclic=True).to("Spin", "spin").cycle_to("spin").respond()


@case("cycle-09", "cycle-10")
def _(fn: ServingFunction) -> None:
    graph = flow(fn)
    graph.to("PickChoice", "p")
    graph.add_step("Mark", "l", after="p", tag="l")
    graph.add_step("Mark", "r", after="p", tag="r")
    graph.add_step("Ident", "j", after=["l", "r"]).respond()


@case("cycle-11")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Draft", "draft").to("Gate", "gate", cycle_to=["draft"])


@case("router-01", "router-03", "router-04", "router-05")
def _(fn: ServingFunction) -> None:
    graph = fn.set_topology("router")
    graph.add_route("twice", class_name="Scaler", k=2)
    graph.add_route("scale:v1", class_name="Scaler", k=3)
    graph.add_route("scale:v2", class_name="Scaler", k=4)
    fn.add_model("wrap", class_name="Wrapped", model_path=".", k=10)
    fn.add_model("angry", class_name="Angry", model_path=".")


@case("router-06")
def _(fn: ServingFunction) -> None:
    router = flow(fn).to(name="pre", handler="(event)").to("*", name="router")
    router.add_route("twice", class_name="Scaler", k=2)
    router.to(name="post", handler="({'r': event['outputs']})").respond()


@case("router-07")
def _(fn: ServingFunction) -> None:
    graph = fn.set_topology("router", "mlrun.serving.VotingEnsemble")
    for key, factor in (("a", 1), ("b", 1), ("c", 3)):
        graph.add_route(key, class_name="Scaler", k=factor)


def _runner(**options: object) -> ModelRunnerStep:
    from fnkit.serving import ModelRunnerStep  # only the cases of models need it

    return ModelRunnerStep(name="mr", **options)  # type: ignore[arg-type]  # options by name


@case("model-03", "model-11")
def _(fn: ServingFunction) -> None:
    runner = _runner(model_runner_selector="ByField")
    runner.add_model("p", model_class="AddM", execution_mechanism="naive", add=1)
    runner.add_model("q", model_class="AddM", execution_mechanism="naive", add=2)
    flow(fn).to(runner).respond()


@case("model-05")
def _(fn: ServingFunction) -> None:
    runner = _runner(raise_exception=False)
    runner.add_model("p", model_class="AddM", execution_mechanism="naive", add=1)
    runner.add_model("q", model_class="AddM", execution_mechanism="naive", add="t")
    flow(fn).to(runner).respond()


@case("model-06")
def _(fn: ServingFunction) -> None:
    runner = _runner(model_runner_selector="Router2")
    runner.add_model("m", model_class="AddM", execution_mechanism="naive", add=1)
    graph = flow(fn)
    graph.to(runner)
    graph.add_step("Mark", "l", after="mr", tag="l")
    graph.add_step("Mark", "r", after="mr", tag="r")
    graph.add_step("Ident", "j", after=["l", "r"]).respond()


@case("model-08")
def _(fn: ServingFunction) -> None:
    runner = _runner()
    runner.add_model("t", model_class="Talker", execution_mechanism="naive")
    runner.add_model("p", model_class="AddM", execution_mechanism="naive", add=1)
    flow(fn).to(runner).respond()


@case("model-10")
def _(fn: ServingFunction) -> None:
    runner = _runner()
    runner.add_model("same", model_class="AddM", execution_mechanism="naive")
    runner.add_model("same", model_class="AddM", execution_mechanism="naive")


@case("queue-04", "queue-05")
def _(fn: ServingFunction) -> None:
    chain = flow(fn).to("Trail", "A").to("$queue", "q", path="")
    chain.to("Trail", "B", function="child").to("Trail", "C", function="child").respond()


@case("builtin-01")
def _(fn: ServingFunction) -> None:
    extend = flow(fn).to("storey.Extend", "extend", _fn="({'sum': event['a'] + event['b']})")
    extend.to("storey.Rename", "rename", mapping={"a": "left"}).respond()


@case("builtin-02")
def _(fn: ServingFunction) -> None:
    flow(fn).to("storey.Filter", "keep", _fn="(event > 0)").to("Ident", "out").respond()


@case("builtin-04")
def _(fn: ServingFunction) -> None:
    graph = flow(fn)
    graph.to("Ident", "S")
    graph.add_step(name="a", handler="(['a'])", after="S")
    graph.add_step(name="b", handler="(['b'])", after="S")
    graph.add_step("mlrun.serving.merger.Merge", "merge", after=["a", "b"]).respond()


@case("http-01", "http-02", "http-03")
def _(fn: ServingFunction) -> None:
    flow(fn).to(steps.Ident, "echo").respond()


@case("http-04")
def _(fn: ServingFunction) -> None:
    flow(fn).to(steps.Raiser, "raiser", error="ValueError", text="bad").respond()


@case("http-05")
def _(fn: ServingFunction) -> None:
    flow(fn).to(steps.Raiser, "raiser", error="MLRunNotFoundError", text="nf").respond()


@case("http-08", "http-13")
def _(fn: ServingFunction) -> None:
    flow(fn).to(steps.BytesThenText, "gen").respond()


@case("conc-02")
def _(fn: ServingFunction) -> None:
    graph = flow(fn)
    graph.to("GenOrEcho", "pick")
    graph.add_step("Five", "gen", after="pick")
    graph.add_step("Ident", "echo", after="pick")
    graph.add_step("Ident", "out", after=["gen", "echo"]).respond()


@case("limit-02")
def _(fn: ServingFunction) -> None:
    flow(fn, allow_cyclic=True, max_iterations=5).to("Ints", "g", count=6).to("Ident", "d").respond()


@case("plot-01")
def _(fn: ServingFunction) -> None:
    flow(fn).to("Trail", "A").to(">>", "q", path="").to("Trail", "B", function="child")
