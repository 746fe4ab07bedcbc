"""Expressions are parsed and checked, never evaluated as they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.engine.expressions import compile_expression
from fnkit.errors import GraphError
from fnkit.manifest.model import Step
from tests.fakes.engine import answer, flow


@pytest.mark.parametrize(
    ("text", "event", "value"),
    [
        ("(event + 1)", 2, 3),
        ('({"extend": "something"})', None, {"extend": "something"}),
        ("(event['a'][-1:])", {"a": [1, 2]}, [2]),
        ("(event > 0 and event < 9)", 5, True),
        ("('big' if event > 3 else 'small')", 5, "big"),
        ('(" ".join(reversed(event)))', ["a", "b"], "b a"),
        ("([x * 2 for x in event if x])", [0, 1], [2]),
        ("({k: len(v) for k, v in event.items()})", {"a": "xx"}, {"a": 2}),
        ("(f'{event:>3}!')", "a", "  a!"),
        ("(sorted(event, key=lambda item: item['n']))", [{"n": 2}, {"n": 1}], [{"n": 1}, {"n": 2}]),
        ("(dict(event, b=2))", {"a": 1}, {"a": 1, "b": 2}),
        ("({**event, 'b': [*event]})", {"a": 1}, {"a": 1, "b": ["a"]}),
    ],
)
def test_an_expression_is_a_function_of_the_event(text: str, event: object, value: object) -> None:
    assert compile_expression(text)(event) == value


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ('(__import__("os").system("true"))', "__import__"),
        ('(open("x"))', "open"),
        ('(eval("1"))', "eval"),
        ("(event.__class__)", "__class__"),
        ("(().__class__.__bases__)", "__bases__"),
        ("((lambda: 1).__globals__)", "__globals__"),
        ("((x for x in event).gi_frame)", "gi_frame"),
        ('("{0.__class__}".format(event))', "format"),
        ("(event.run())", r"event\.run"),
        ("((y := 3))", "namedexpr"),
        ("(getattr(event, 'x'))", "getattr"),
        ("([].copy()())", "call"),
        ("(str.mro())", "mro"),
        ("(other)", "other"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(text: str, refused: str) -> None:
    with pytest.raises(GraphError, match=refused):
        compile_expression(text)


@pytest.mark.parametrize(
    "text", ["(event +", "(import os)", "(event = 1)", "(\x00)", "(" * 500 + "1" + ")" * 500, "(" + "1+" * 6000 + "1)"]
)
def test_what_is_no_expression_is_a_clear_error(text: str) -> None:
    with pytest.raises(GraphError, match="expression"):
        compile_expression(text)


def test_an_expression_can_have_other_names() -> None:
    assert (
        compile_expression("(endpoint + '/' + event['u'])", names=("event", "endpoint"))({"u": "x"}, "http://h") == "http://h/x"
    )


def test_a_bad_expression_is_refused_when_the_graph_is_compiled() -> None:
    with pytest.raises(GraphError, match="expressions may not"):
        flow(Step("a", handler="(exit())", responder=True))
    assert answer(flow(Step("a", handler="(event * 3)", responder=True)), 4) == 12


@given(st.text(max_size=40))
def test_any_text_is_a_function_or_a_clear_error(text: str) -> None:
    try:
        function = compile_expression(f"({text})")
    except GraphError:
        return
    assert callable(function)


PIECES = st.sampled_from(
    ["event", "1", "'a'", "(", ")", "[", "]", "{", "}", ".", ",", ":", "+", "*", " for x in ", "lambda", "not ", "len", "_", "="]
)


@given(st.lists(PIECES, max_size=12))
def test_pieces_of_expressions_are_functions_or_clear_errors(pieces: list[str]) -> None:
    test_any_text_is_a_function_or_a_clear_error.hypothesis.inner_test("".join(pieces))  # type: ignore[attr-defined]  # the test itself
