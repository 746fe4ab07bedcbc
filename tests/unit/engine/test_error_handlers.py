"""Errors of steps, and the handlers that take them."""

from __future__ import annotations

from typing import Any

import pytest

from fnkit.engine import Event
from fnkit.errors import GraphError, MLRunNotFoundError
from fnkit.manifest.model import Step
from tests.fakes.engine import Recorder, answer, context, flow, wire

LINE = (
    Step("s1", target="Trail"),
    Step("raiser", handler="bad", after=("s1",)),
    Step("s3", target="Trail", after=("raiser",), responder=True),
)


def bad(body: Any) -> Any:
    raise ValueError(f"bad: {body}")


def tell(event: Event) -> Event:
    event.body = [type(event.error).__name__, str(event.error), event.origin_state, event.body]
    return event


NAMES = {"bad": bad, "tell": tell}
GOLDEN = ["ValueError", "bad: ['x', 's1']", "raiser", ["x", "s1"]]


def guarded(**handler: Any) -> tuple[Step, ...]:
    first, raiser, last = LINE
    return (
        first,
        Step(raiser.name, handler=raiser.handler, after=raiser.after, on_error="catch"),
        last,
        Step("catch", **handler),
    )


def test_an_error_without_a_handler_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match=r"^bad: \['x', 's1'\]$"):
        answer(flow(*LINE, names=NAMES), ["x"])


def test_a_handler_of_a_step_sees_error_origin_and_the_body_on_entry_and_answers() -> None:
    assert answer(flow(*guarded(handler="tell", full_event=True), names=NAMES), ["x"]) == GOLDEN


def test_a_handler_of_the_graph_does_the_same() -> None:
    steps = (*LINE, Step("catch", handler="tell", full_event=True))

    assert answer(flow(*steps, names=NAMES, on_error="catch"), ["x"]) == GOLDEN


def test_the_handler_of_the_step_goes_before_that_of_the_graph() -> None:
    steps = (*guarded(handler="tell", full_event=True), Step("other", target="RescueBody"))

    assert answer(flow(*steps, names=NAMES, on_error="other"), ["x"]) == GOLDEN


def test_a_handler_with_before_lets_the_event_go_on_there() -> None:
    first, raiser, last, catch = guarded(handler="tell", full_event=True)
    last = Step("s3", target="Trail", after=("raiser", "catch"), responder=True)

    assert answer(flow(first, raiser, last, catch, names=NAMES), ["x"]) == [*GOLDEN, "s3"]


def test_a_handler_without_the_whole_event_gets_the_body() -> None:
    assert answer(flow(*guarded(target="Trail"), names=NAMES), ["x"]) == ["x", "s1", "catch"]


def test_a_handler_guards_only_its_own_step() -> None:
    steps = (
        Step("a", target="Trail", on_error="h"),
        Step("raiser", handler="bad", after=("a",), responder=True),
        Step("h", target="RescueBody"),
    )

    with pytest.raises(ValueError, match="bad"):
        answer(flow(*steps, names=NAMES), [])


def test_a_handler_that_fails_leaves_its_own_error() -> None:
    steps = (Step("a", target="Fuse", responder=True), Step("h", target="Fuse", args={"blow_on": "x"}))

    with pytest.raises(OSError, match="fuse blown on x"):
        answer(flow(*steps, on_error="h"), "x")


def test_the_next_event_is_served_after_an_error() -> None:
    topology = flow(Step("a", target="Ident"), Step("fuse", target="Fuse", after=("a",), responder=True))

    with pytest.raises(OSError, match="fuse blown"):
        answer(topology, "x")
    assert answer(topology, "y") == "y"


def test_a_sync_graph_hands_the_exception_itself_to_its_handler() -> None:
    steps = (Step("a", target="Fuse"), Step("h", target="Rescue", full_event=True))

    assert answer(flow(*steps, engine="sync", on_error="h"), "x") == {
        "rescued": "fuse blown on x", "kind": "OSError", "from": "a", "was": "x",
    }  # fmt: skip


def test_a_handler_that_does_not_exist_is_refused() -> None:
    with pytest.raises(GraphError, match="the error handler 'nope' does not exist"):
        flow(*LINE, names=NAMES, on_error="nope")


def test_without_a_responder_an_error_is_reported_and_the_client_gets_the_id() -> None:
    errors = Recorder()

    assert answer(flow(Step("f", target="Fuse"), with_context=context(errors=errors)), "x", id="E1") == {"id": "E1"}
    assert [record["source"] for record in errors.records] == ["f"]


def test_an_error_is_answered_with_400_and_its_name_and_message() -> None:
    assert wire(flow(Step("f", target="Fuse", responder=True)), "x") == (400, "text/plain", b"OSError: fuse blown on x")


def test_an_error_may_carry_its_status() -> None:
    def missing(body: Any) -> Any:
        raise MLRunNotFoundError("nf")

    assert wire(flow(Step("f", handler="f", responder=True), names={"f": missing}), "x") == (
        404,
        "text/plain",
        b"MLRunNotFoundError: nf",
    )


def test_a_verbose_graph_answers_with_the_traceback() -> None:
    topology = flow(Step("f", target="Fuse", responder=True), with_context=context(verbose=True))

    status, _, text = wire(topology, "x")

    assert status == 400
    assert isinstance(text, bytes)
    assert text.startswith(b"OSError: fuse blown on x\nTraceback (most recent call last):\n")


def test_an_unhandled_error_is_pushed_once_with_its_source() -> None:
    errors = Recorder()

    wire(flow(Step("f", target="Fuse", responder=True), with_context=context(errors=errors)), "x", id="E1")

    assert len(errors.records) == 1
    assert errors.records[0]["source"] == "f"
    assert errors.records[0]["event"] == {"id": "E1", "body": "x"}
