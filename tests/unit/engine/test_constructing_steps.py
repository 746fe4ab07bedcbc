"""Finding classes and functions, constructing steps, and what is injected into them."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

import pytest

from fnkit.engine import Event, compile_flow
from fnkit.errors import GraphError, MLRunValueError
from fnkit.manifest.model import Step
from tests.fakes.engine import Trail, answer, context, flow, manifest


class Ctor:
    def __init__(self, context: Any, name: str, limit: int = 3, **extra: object) -> None:
        self.seen = {"mock": context.is_mock, "name": name, "limit": limit, "extra": sorted(extra)}

    def do(self, body: Any) -> Any:
        return self.seen


class Alt:
    def process(self, body: Any) -> Any:
        return ["process", body]

    def do(self, body: Any) -> Any:
        return ["do", body]


class Both:
    def do_event(self, event: Event) -> Event:
        event.body = "from do_event"
        return event

    def do(self, body: Any) -> Any:
        return "from do"


NAMES = {"Ctor": Ctor, "Alt": Alt, "Both": Both}


def one(target: str = "", **options: Any) -> Step:
    return Step("a", target=target, responder=True, **options)


def test_a_constructor_gets_context_name_and_its_own_arguments() -> None:
    topology = flow(one("Ctor", args={"limit": 7, "more": 1}), names=NAMES)

    seen = answer(topology)

    assert seen == {
        "mock": True,
        "name": "a",
        "limit": 7,
        "extra": ["full_event", "graph_step", "input_path", "more", "result_path"],
    }


def test_a_constructor_without_parameters_gets_nothing() -> None:
    assert answer(flow(one("Alt"), names=NAMES), 1) == ["do", 1]


def test_a_decorated_constructor_gets_what_the_one_inside_takes() -> None:
    def decorated(init: Any) -> Any:
        @functools.wraps(init)
        def outer(*args: object, **kwargs: object) -> None:
            init(*args, **kwargs)

        return outer

    class Inside:
        @decorated
        def __init__(self, name: str) -> None:
            self.name = name

        def do(self, body: Any) -> Any:
            return self.name

    assert answer(flow(one("Inside"), names={"Inside": Inside})) == "a"


def test_a_wrong_argument_is_told_with_the_step_and_its_arguments() -> None:
    with pytest.raises(TypeError, match=r"^failed to init step a\n args=\{'by': 1, 'z': 2\}$") as caught:
        flow(one("Trail", args={"by": 1, "z": 2}))

    assert "unexpected keyword argument" in str(caught.value.__cause__)


def test_another_error_of_a_constructor_is_passed_on_as_it_is() -> None:
    class Broken:
        def __init__(self) -> None:
            raise KeyError("no model")

    with pytest.raises(KeyError, match="no model"):
        flow(one("Broken"), names={"Broken": Broken})


def test_an_argument_with_an_underscore_is_a_function() -> None:
    class Apply:
        def __init__(self, fn: Any, other: Any) -> None:
            self.fn, self.other = fn, other

        def do(self, body: Any) -> Any:
            return self.fn(self.other(body))

    topology = flow(
        one("Apply", args={"_fn": "(event + 1)", "_other": "double"}), names={"Apply": Apply, "double": lambda body: body * 2}
    )

    assert answer(topology, 5) == 11


def test_a_method_can_be_the_handler() -> None:
    assert answer(flow(one("Alt", handler="process"), names=NAMES), 1) == ["process", 1]


def test_a_method_that_does_not_exist_is_refused() -> None:
    with pytest.raises(GraphError, match=r"^handler \(nope\) specified but doesnt exist in class Alt$"):
        flow(one("Alt", handler="nope"), names=NAMES)


def test_do_event_goes_before_do() -> None:
    assert answer(flow(one("Both"), names=NAMES)) == "from do_event"


def test_a_class_without_a_method_to_call_is_refused() -> None:
    with pytest.raises(MLRunValueError, match=r"^Step 'a' does not have a handler that can be called$"):
        flow(one("Empty"), names={"Empty": type("Empty", (), {})})


def test_a_step_without_class_and_handler_is_refused() -> None:
    with pytest.raises(MLRunValueError, match="does not have a handler"):
        flow(one())


def test_an_unknown_class_is_an_import_error() -> None:
    with pytest.raises(ImportError, match=r"^Failed to import DoesNotExist$"):
        flow(one("DoesNotExist"))


def test_an_unknown_module_is_an_import_error_that_names_the_target() -> None:
    with pytest.raises(ImportError, match=r"^Failed to import no_such_module_here:Step$"):
        flow(one("no_such_module_here:Step"))


def test_a_module_without_the_class_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'json' has no attribute 'NoSuch'$"):
        flow(one("json:NoSuch"))


def test_an_import_that_fails_inside_the_users_module_is_passed_on(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_broken_module.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        flow(one("users_broken_module:Step"))

    sys.modules.pop("users_broken_module", None)


def test_an_unknown_handler_is_an_import_error() -> None:
    with pytest.raises(ImportError, match=r"^state/function init failed, handler 'nofn' not found$"):
        flow(one(handler="nofn"))


def test_builtins_are_not_handlers() -> None:
    with pytest.raises(ImportError, match="handler 'print' not found"):
        flow(one(handler="print"))


@pytest.mark.parametrize("handler", ["json.dumps", "json:dumps"])
def test_a_handler_can_be_imported(handler: str) -> None:
    assert answer(flow(one(handler=handler)), {"a": 1}) == '{"a": 1}'


def test_namespaces_are_searched_in_order_before_importing() -> None:
    first = types.ModuleType("first")
    first.__dict__["Thing"] = Alt
    other: dict[str, object] = {"Thing": Both, "json:dumps": lambda body: "mine"}

    def build(step: Step) -> Any:
        return compile_flow(manifest(step), namespaces=[first, other], context=context())

    assert answer(build(one("Thing")), 1) == ["do", 1]
    assert answer(build(one(handler="json:dumps"))) == "mine"


def test_a_ready_instance_is_taken_as_it_is() -> None:
    assert answer(flow(one("thing"), names={"thing": Trail("given")}), []) == ["given"]


def test_a_function_with_a_context_parameter_gets_it() -> None:
    def with_context(body: Any, context: Any) -> Any:
        return {"mock": context.is_mock, "body": body}

    async def awaiting(body: Any, context: Any) -> Any:
        return with_context(body, context)

    assert answer(flow(one(handler="f"), names={"f": with_context}), 1) == {"mock": True, "body": 1}
    assert answer(flow(one(handler="f"), names={"f": awaiting}), 1) == {"mock": True, "body": 1}


def test_post_init_is_called_once_with_the_mode() -> None:
    class Hook:
        def __init__(self) -> None:
            self.calls: list[str] = []

        def post_init(self, mode: str = "none", **more: object) -> None:
            self.calls.append(mode)

        def do(self, body: Any) -> Any:
            return self.calls

    topology = flow(one("Hook"), names={"Hook": Hook})

    assert answer(topology) == ["sync"]
    assert answer(topology) == ["sync"]


def test_post_init_without_parameters_is_called_too() -> None:
    class Hook:
        ready = False

        def post_init(self) -> None:
            self.ready = True

        def do(self, body: Any) -> Any:
            return self.ready

    assert answer(flow(one("Hook"), names={"Hook": Hook})) is True


def test_parameters_and_secrets_answer_from_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_ENVIRONMENT", "e")

    class Params:
        def __init__(self, context: Any) -> None:
            self.c = context

        def do(self, body: Any) -> Any:
            c = self.c
            return [
                c.get_param("alpha"),
                c.get_param("beta", "none"),
                *map(c.get_secret, ("TOKEN", "MISSING", "FROM_ENVIRONMENT")),
            ]

    topology = flow(
        one("Params"), names={"Params": Params}, with_context=context(parameters={"alpha": 5}, secrets={"TOKEN": "t"})
    )

    assert answer(topology) == [5, "none", "t", None, "e"]


def test_input_and_result_path_read_and_write_the_body() -> None:
    topology = flow(one(handler="(event * 10)", input_path="in.x", result_path="out.y"))

    assert answer(topology, {"in": {"x": 4}}) == {"in": {"x": 4}, "out": {"y": 40}}
    assert answer(topology, {"in": {"x": 1}, "out": {"keep": True}}) == {"in": {"x": 1}, "out": {"keep": True, "y": 10}}


def test_a_missing_input_is_none_and_a_body_that_is_no_dict_an_error() -> None:
    topology = flow(one(handler="kind", input_path="a.b"), names={"kind": lambda body: type(body).__name__})

    assert answer(topology, {"a": {}}) == "NoneType"
    assert answer(topology, {}) == "NoneType"
    assert answer(topology, "text") == "NoneType"
    with pytest.raises(TypeError, match=r"^input_path parameter supports only dict-like event bodies$"):
        answer(topology, 7)


def test_a_result_that_is_the_body_never_makes_the_body_contain_itself() -> None:
    topology = flow(one("Ident", result_path="r"))

    assert answer(topology, {"a": 1}) == {"a": 1, "r": {"a": 1}}


def test_a_result_path_into_something_else_than_a_dict_is_a_clear_error() -> None:
    with pytest.raises(TypeError, match="result_path parameter supports only dict-like event bodies"):
        answer(flow(one("Ident", result_path="r")), "text")


def test_a_result_path_does_not_overwrite_what_lies_on_its_way() -> None:
    body = {"out": 5}

    with pytest.raises(TypeError, match="'int' object does not support item assignment"):
        answer(flow(one("Ident", result_path="out.r")), body)

    assert body == {"out": 5}


def test_a_full_event_step_must_return_the_event() -> None:
    topology = flow(one(handler="f", full_event=True), names={"f": lambda event: {"a": 1}})

    with pytest.raises(TypeError, match="step 'a' gets the whole event and must return an event, not dict"):
        answer(topology)


def test_a_full_event_step_may_return_another_event() -> None:
    topology = flow(one(handler="f", full_event=True), names={"f": lambda event: Event(["new"], id="other")})

    assert answer(topology, id="E1") == ["new"]


def test_a_step_sees_the_request_in_its_event() -> None:
    def look(event: Event) -> Event:
        event.body = [event.path, event.method, event.id, event.content_type, event.headers, event.body]
        return event

    topology = flow(one(handler="look", full_event=True), names={"look": look})

    assert answer(topology, 1, path="/p", method="PUT", id="E1", content_type="text/plain", headers={"A": "b"}) == [
        "/p", "PUT", "E1", "text/plain", {"A": "b"}, 1,
    ]  # fmt: skip


def test_an_event_names_itself_and_keeps_what_steps_add_to_it() -> None:
    event = Event({"a": 1}, id="E", path="/p", method="GET")
    event.note = "mine"  # type: ignore[attr-defined]  # users add attributes

    branch = event.copy("other")

    assert str(event) == "Event(id=E, body={'a': 1}, method=GET, path=/p)"
    assert (branch.body, branch.id, branch.note) == ("other", "E", "mine")  # type: ignore[attr-defined]  # as above


def test_an_event_has_an_id_of_its_own_that_stays() -> None:
    event = Event()

    assert len(event.id) == 32
    assert event.id == event.id
    assert event.id != Event().id
