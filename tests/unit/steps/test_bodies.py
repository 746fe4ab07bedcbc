"""Steps that change, choose, hold and gather bodies."""

from __future__ import annotations

import subprocess
import sys
from asyncio import Queue, gather, wait_for
from asyncio import sleep as asyncio_sleep
from dataclasses import replace
from importlib import import_module

import pytest

from fnkit.engine import DROP, Context, Event, drive
from fnkit.errors import MLRunInvalidArgumentError, MLRunInvalidArgumentTypeError, MLRunRuntimeError
from fnkit.manifest.model import Step
from fnkit.steps import ALIASES, Choice, Collector, MapClass, Merge, SampleWindow
from tests.fakes.flows import answer, answers, chain, flow_of, running


def ready(class_name: str, step_name: object = "", **args: object) -> Step:
    return Step(str(step_name or class_name), target=f"fnkit.steps:{class_name}", args=args)


def test_extend_and_rename_change_the_keys_of_a_dict() -> None:
    flow = chain(ready("Extend", _fn="({'sum': event['a'] + event['b']})"), ready("Rename", mapping={"a": "left", "x": "y"}))

    assert answer(flow, {"a": 1, "b": 2}) == {"b": 2, "sum": 3, "left": 1}


def test_extend_does_not_change_the_callers_dict() -> None:
    body = {"a": 1}

    answer(chain(ready("Extend", _fn="({'b': 2})")), body)

    assert body == {"a": 1}


def test_extend_says_what_it_needs() -> None:
    with pytest.raises(TypeError, match="Extend needs a dict as the body, not int"):
        answer(chain(ready("Extend", _fn="({'b': 2})")), 1)
    with pytest.raises(TypeError, match="needs a function that returns a dict, not int"):
        answer(chain(ready("Extend", _fn="(1)")), {})


def _on_part(class_name: str, **fields: object) -> Step:
    return replace(ready(class_name, _fn=fields.pop("fn")), input_path="part.n", **fields)  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    ("class_name", "fn", "body"),
    [
        ("Filter", "(event > 1)", {"part": {"n": 2}}),
        ("ForEach", "(event + 1)", {"part": {"n": 2}}),
        ("Extend", "({'more': event + 1})", {"part": {"n": 2}, "more": 3}),
    ],
)
def test_a_step_that_looks_at_a_part_of_the_body_goes_on_with_the_whole(class_name: str, fn: str, body: object) -> None:
    assert answer(chain(_on_part(class_name, fn=fn)), {"part": {"n": 2}}) == body


def test_a_function_of_a_part_may_be_async() -> None:
    async def more(part: int) -> dict[str, int]:
        return {"more": part + 1}

    assert answer(chain(_on_part("Extend", fn="more"), namespace={"more": more}), {"part": {"n": 2}})["more"] == 3  # type: ignore[index]


def test_each_element_is_put_into_a_body_of_its_own() -> None:
    elements = _on_part("FlatMap", fn="([event, event + 1])", result_path="one")

    first = answer(chain(elements), {"part": {"n": 2}})

    assert first == {"part": {"n": 2}, "one": 2}


def test_a_choice_changes_no_body() -> None:
    flow = chain(Step("c", target="Onward", input_path="part"), ready("Map", "last", _fn="(event)"), namespace={"Onward": Onward})

    assert answer(flow, {"part": 1, "to": "last"}) == {"part": 1, "to": "last"}


class Onward(Choice):
    def select_outlets(self, event: object) -> str:
        return str(event["to"])  # type: ignore[index]  # the whole body


def test_map_takes_expressions_functions_and_coroutines() -> None:
    async def later(body: int) -> int:
        return body * 2

    flow = chain(ready("Map", "one", _fn="(event + 1)"), ready("Map", "two", _fn="later"), namespace={"later": later})

    assert answer(flow, 1) == 4


def test_map_streams_what_a_generator_yields() -> None:
    flow = chain(ready("Map", _fn="letters"), namespace={"letters": lambda body: (letter for letter in body)})

    assert answer(flow, "abc") == ["a", "b", "c"]


class Positive(MapClass):
    def do(self, body: object) -> object:
        assert isinstance(body, int)
        if body < 0:
            self.filter()
        return body


class LaterPositive(MapClass):
    async def do(self, body: object) -> object:
        assert isinstance(body, int)
        return self.filter() if body < 0 else body


@pytest.mark.parametrize("kind", [Positive, LaterPositive])
def test_a_map_class_drops_what_it_filters(kind: type[MapClass]) -> None:
    flow = chain(Step("p", target="Positive"), namespace={"Positive": kind})

    assert answers(flow, 1, -1, 2) == [1, 204, 2]


def test_drop_columns_and_reify_metadata() -> None:
    flow = chain(ready("DropColumns", columns=["a", "zz"]), ready("ReifyMetadata", mapping={"path": "where"}))

    assert answer(flow, {"a": 1, "b": 2}) == {"b": 2, "where": "/"}


def test_filter_answers_the_client_whose_event_it_drops() -> None:
    flow = chain(ready("Filter", _fn="(event > 0)"), ready("Complete"))

    assert answers(flow, 3, -3) == [3, 204]


def test_filter_waits_for_an_async_function() -> None:
    async def even(body: int) -> bool:
        return body % 2 == 0

    assert answers(chain(ready("Filter", _fn="even"), namespace={"even": even}), 1, 2) == [204, 2]


def test_a_sample_window_lets_the_first_or_the_last_of_each_window_pass() -> None:
    first, last = ready("SampleWindow", window_size=2), ready("SampleWindow", window_size=3, emit_period="last")

    assert answers(chain(first), 1, 2, 3, 4) == [1, 204, 3, 204]
    assert answers(chain(last), 1, 2, 3, 4) == [204, 204, 3, 204]


def test_a_sample_window_counts_each_key_apart() -> None:
    flow = chain(ready("SampleWindow", window_size=2, key="k"))

    assert answers(flow, {"k": 1}, {"k": 2}, {"k": 1}) == [{"k": 1}, {"k": 2}, 204]


def test_a_sample_window_may_send_the_held_event_at_the_end() -> None:
    window = SampleWindow(2, "last", emit_before_termination=True)

    assert (window.do("a"), window.finish(), window.finish()) == (DROP, "a", DROP)


@pytest.mark.parametrize("arguments", [{"window_size": 0}, {"window_size": 2, "emit_period": "often"}])
def test_a_sample_window_refuses_what_it_cannot_do(arguments: dict[str, object]) -> None:
    with pytest.raises(MLRunInvalidArgumentError):
        SampleWindow(**arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_flatten_sends_each_element_on() -> None:
    flow = chain(ready("Map", _fn="([letter for letter in event])"), ready("Flatten"), ready("Map", "up", _fn="(event.upper())"))

    assert answer(flow, "ab") == "A"


def test_flat_map_in_a_stream_gives_all_elements() -> None:
    def words(body: str) -> object:
        yield from body.split()

    flow = chain(Step("s", handler="words"), ready("FlatMap", _fn="([event, event.upper()])"), namespace={"words": words})

    assert answer(flow, "a b") == ["a", "A", "b", "B"]


def test_flatten_refuses_a_body_without_elements() -> None:
    with pytest.raises(TypeError, match="elements of a str"):
        answer(chain(ready("Flatten")), "ab")


def test_a_batch_answers_the_client_that_fills_it() -> None:
    assert answers(chain(ready("Batch", max_events=2)), 1, 2, 3) == [204, [1, 2], 204]


def test_a_batch_keeps_a_list_per_key_and_sends_the_rest_at_the_end() -> None:
    seen: list[object] = []
    flow = flow_of(
        ready("Batch", max_events=2, key_field="k"),
        Step("see", handler="see", after=("Batch",)),
        namespace={"see": seen.append},
    )

    async def use() -> None:
        for key in "aba":
            await flow.process(Event({"k": key}))
        await flow.finish()

    running(use)

    assert seen == [[{"k": "a"}, {"k": "a"}], [{"k": "b"}]]


def test_a_batch_is_sent_when_its_time_is_up() -> None:
    flushed: Queue[object] = Queue()
    flow = flow_of(
        ready("Batch", max_events=10, flush_after_seconds=0.01),
        Step("see", handler="see", after=("Batch",)),
        namespace={"see": flushed.put_nowait},
    )

    async def use() -> object:
        await flow.process(Event(1))
        first = await wait_for(flushed.get(), 60)
        await flow.close()
        return first

    assert running(use) == [1]
    assert flushed.empty()


def test_state_is_kept_between_events() -> None:
    flow = chain(
        ready("MapWithState", initial_state=10, _fn="step"), namespace={"step": lambda body, state: (state + body, state + 1)}
    )

    assert answers(flow, 1, 1, 1) == [11, 12, 13]


def test_state_may_be_kept_per_key_of_events() -> None:
    step = ready("MapWithState", initial_state=[], group_by_key=True, _fn="note")
    flow = chain(step, namespace={"note": lambda body, state: ([*state, body], [*state, body])})

    async def use() -> list[object]:
        return [await flow.run(Event(body, key=key)) for body, key in ((1, "a"), (2, "b"), (3, "a"))]

    assert running(use) == [[1], [2], [1, 3]]


def test_a_function_for_state_must_return_a_pair() -> None:
    with pytest.raises(TypeError, match="a pair: the next body and the next state"):
        answer(chain(ready("MapWithState", initial_state=0, _fn="bad"), namespace={"bad": lambda body, _state: body}), 1)


def test_reduce_gives_its_value_at_the_end_of_the_flow() -> None:
    flow = flow_of(ready("Reduce", initial_value=0, _fn="add"), namespace={"add": lambda value, body: value + body})

    async def use() -> object:
        for body in (1, 2, 3):
            await flow.run(Event(body))
        return await flow.finish()

    assert running(use) == 6


def test_for_each_goes_on_with_the_body() -> None:
    seen: list[object] = []

    assert answer(chain(ready("ForEach", _fn="see"), namespace={"see": seen.append}), 5) == 5
    assert seen == [5]


def test_partition_puts_the_body_on_one_side() -> None:
    flow = chain(ready("Partition", _predicate="(event > 0)"))

    assert answers(flow, 1, -1) == [(1, None), (None, -1)]


def test_merge_waits_for_all_branches() -> None:
    flow = flow_of(
        Step("s", handler="(event)"),
        Step("a", handler="(['a'])", after=("s",)),
        Step("b", handler="(['b'])", after=("s",)),
        Step("m", target="fnkit.steps:Merge", after=("a", "b"), responder=True),
    )

    assert answer(flow, 0) == [["a"], ["b"]]


def test_merge_does_not_wait_for_a_branch_that_ended() -> None:
    flow = flow_of(
        Step("s", handler="(event)"),
        Step("a", handler="(['a'])", after=("s",)),
        Step("b", target="fnkit.steps:Filter", args={"_fn": "(False)"}, after=("s",)),
        Step("m", target="fnkit.steps:Merge", after=("a", "b"), responder=True),
    )

    assert answer(flow, 0) == [["a"]]


def test_merge_refuses_to_join_different_events() -> None:
    with pytest.raises(MLRunInvalidArgumentError, match="key_path would join different events"):
        Merge(key_path="user.id")


def words(body: str) -> object:
    for word in body.split():
        if word == "!":
            raise LookupError("stopped")
        yield word


def test_a_collector_makes_a_list_of_a_stream() -> None:
    flow = chain(Step("s", handler="words"), ready("Collector"), namespace={"words": words})

    assert answers(flow, "a b", "a", "", "a !") == [["a", "b"], "a", [], {"error": "LookupError: stopped"}]


def test_a_collector_lets_other_events_pass() -> None:
    assert answer(chain(ready("Collector")), [1]) == [1]
    with pytest.raises(MLRunInvalidArgumentError):
        Collector(0)


def fields(body: object) -> object:
    step = Step("c", target="fnkit.steps:ChoiceByField", args={"field_name": "to"})
    return answer(
        flow_of(
            step,
            Step("l", handler="('left')", after=("c",)),
            Step("r", handler="('right')", after=("c",)),
            Step("j", handler="(event)", after=("l", "r"), responder=True),
        ),
        body,
    )


def test_choice_by_field_goes_where_the_field_says() -> None:
    assert [fields({"to": "l"}), fields({"to": ["r"]})] == ["left", "right"]


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ({"x": 1}, MLRunRuntimeError, r"Field 'to' is not contained in the event keys \['x'\]"),
        ({"to": None}, MLRunInvalidArgumentError, "Field 'to' exists but its value is None"),
        ({"to": 3}, MLRunInvalidArgumentTypeError, "Field 'to' must be a string or list of strings"),
        ({"to": []}, MLRunRuntimeError, "The value of the key 'to' cannot be an empty list"),
        ({"to": ["l", 3]}, MLRunInvalidArgumentTypeError, "contains different types"),
        (3, MLRunInvalidArgumentError, "needs a dict as the body, not int"),
    ],
)
def test_choice_by_field_says_what_is_wrong_with_the_field(body: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fields(body)


def test_a_choice_without_a_method_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Choice has no method select_outlets"):
        Choice().select_outlets(1)


def test_assert_lets_pass_what_holds() -> None:
    flow = chain(ready("Assert", _fn="(event > 0)", message="must be positive"))

    assert answer(flow, 1) == 1
    with pytest.raises(AssertionError, match="must be positive"):
        answer(chain(ready("Assert", _fn="(event > 0)", message="must be positive")), -1)


def recovering(**args: object) -> object:
    flow = flow_of(
        Step("fail", handler="(event / 0)", on_error="rescue"),
        Step("rescue", target="fnkit.steps:Recover", args=args),
        Step("end", handler="(['end', event])", after=("fail", "rescue"), responder=True),
    )
    return answer(flow, 1)


def test_recover_goes_on_with_a_value_or_the_body() -> None:
    assert recovering() == ["end", 1]
    assert recovering(exceptions=["ArithmeticError"], value=7) == ["end", 7]
    assert recovering(_fn="(event + 1)") == ["end", 2]


def test_recover_raises_what_it_is_not_meant_for() -> None:
    with pytest.raises(ZeroDivisionError):
        recovering(exceptions="KeyError")


def test_concurrent_execution_repeats_a_call_that_fails() -> None:
    calls: list[object] = []

    async def shaky(body: int, context: Context) -> int:
        calls.append(context.project)
        if len(calls) < 3:
            raise OSError("not yet")
        return body * 2

    step = ready("ConcurrentExecution", _event_processor="shaky", retries=2, backoff_factor=0, pass_context=True)

    assert answer(chain(step, namespace={"shaky": shaky}, context=Context(project="p")), 4) == 8
    assert calls == ["p", "p", "p"]


def test_concurrent_execution_limits_what_is_in_flight() -> None:
    now, most = 0, 0

    async def slow(body: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio_sleep(0.001)
        now -= 1
        return body

    flow = chain(ready("ConcurrentExecution", _event_processor="slow", max_in_flight=3), namespace={"slow": slow})

    async def use() -> list[object]:
        return list(await gather(*(flow.run(Event(number)) for number in range(10))))

    assert running(use) == list(range(10))
    assert most == 3


def test_concurrent_execution_calls_plain_functions_in_threads() -> None:
    flow = chain(ready("ConcurrentExecution", _event_processor="(event + 1)", concurrency_mechanism="threading"))

    assert answer(flow, 1) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"concurrency_mechanism": "magic"},
        {"max_in_flight": 0},
        {"concurrency_mechanism": "multiprocessing", "pass_context": True},
    ],
)
def test_concurrent_execution_refuses_what_it_cannot_do(arguments: dict[str, object]) -> None:
    with pytest.raises(MLRunInvalidArgumentError):
        chain(ready("ConcurrentExecution", _event_processor="(event)", **arguments))


def test_ready_made_steps_are_known_by_the_names_of_mlrun_and_storey() -> None:
    expected = {
        "storey.Extend": "fnkit.steps:Extend",
        "storey.Choice": "fnkit.steps:Choice",
        "mlrun.serving.steps.ChoiceByField": "fnkit.steps:ChoiceByField",
        "mlrun.serving.merger.Merge": "fnkit.steps:Merge",
        "mlrun.serving.remote.RemoteStep": "fnkit.steps:RemoteStep",
        "$remote": "fnkit.steps:RemoteStep",
        "Extend": "fnkit.steps:Extend",
        "mlrun.serving.VotingEnsemble": "fnkit.serving:VotingEnsemble",
        "mlrun.serving.states.LLModel": "fnkit.serving:LLModel",
    }

    assert {name: ALIASES.get(name) for name in expected} == expected


def test_every_alias_leads_to_a_class() -> None:
    steps = import_module("fnkit.steps")
    targets = {target.removeprefix("fnkit.steps:") for target in ALIASES.values() if target.startswith("fnkit.steps:")}

    assert [name for name in targets if not hasattr(steps, name)] == []


def test_importing_the_steps_loads_no_family() -> None:
    code = (
        "import sys, fnkit.steps; print([name for name in sys.modules if name.startswith('fnkit.steps.') or name == 'asyncio'])"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_plain_steps_need_no_event_loop() -> None:
    flow = chain(ready("Extend", _fn="({'b': 2})"), ready("Filter", _fn="(True)"))

    assert not flow.needs_loop
    assert drive(flow.run(Event({}))) == {"b": 2}


def test_concurrent_execution_calls_plain_functions_in_processes() -> None:
    flow = chain(
        ready("ConcurrentExecution", _event_processor="math:sqrt", concurrency_mechanism="multiprocessing", max_in_flight=1)
    )

    assert answer(flow, 9) == 3.0
