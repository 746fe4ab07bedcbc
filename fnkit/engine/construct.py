"""Make the object of a step: find its class, inject what its constructor takes, find the method that handles events."""

from __future__ import annotations

from fnkit.engine.drive import drive
from fnkit.engine.resolve import find_class, find_function
from fnkit.errors import GraphError, MLRunValueError
from fnkit.lean import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import CodeType

    from fnkit.engine.context import Context
    from fnkit.engine.resolve import Namespace
    from fnkit.manifest.model import Step

    Call = Callable[..., object]

_CODE = type(drive.__code__)  # `types` has a name for it
_WRAPPERS = 20  # a chain of decorators is shorter; a circle of them must not hang
_VARIADIC = 0x08  # CO_VARKEYWORDS
_SUSPENDING = 0x80 | 0x100 | 0x200  # CO_COROUTINE, CO_ITERABLE_COROUTINE, CO_ASYNC_GENERATOR


class Built:
    """A step's object and how it is called.

    *takes_event*: the call gets the event and gives it back (`do_event`, `full_event`), otherwise body to body. *select* is
    `select_outlets`, or None. *call* is None for a step that only routes.
    """

    __slots__ = ("call", "object", "select", "takes_event")

    def __init__(self, object: object, call: Call | None, select: Call | None, takes_event: bool) -> None:
        self.object = object
        self.call = call
        self.select = select
        self.takes_event = takes_event


def build_step(step: Step, context: Context, namespaces: Sequence[Namespace], **more: object) -> Built:
    """Return the object of *step*, constructed and ready to be called; *more* is injected where the constructor takes it."""
    if step.target:
        instance = make_instance(step, context, namespaces, **more)
        return _bind(step, instance)
    if not step.handler:
        raise MLRunValueError(f"Step '{step.name}' does not have a handler that can be called")
    return Built(None, _with_context(resolve_handler(step.handler, namespaces), context), None, bool(step.full_event))


def make_instance(step: Step, context: Context, namespaces: Sequence[Namespace], **more: object) -> object:
    """Construct the class of *step*; an object that is an instance already is taken as it is. `post_init` is called for both."""
    found = find_class(step.target, namespaces)
    if not callable(found) or (not isinstance(found, type) and hasattr(found, "do")):
        _after_init(found)
        return found
    arguments = resolve_arguments(step.args, namespaces)
    offered: dict[str, object] = {
        "name": step.name,
        "context": context,
        "input_path": step.input_path or None,
        "result_path": step.result_path or None,
        "full_event": step.full_event,
        "graph_step": step,
        **more,
    }
    arguments.update({name: offered[name] for name in accepted(found, offered) if name not in arguments})
    try:
        instance = found(**arguments)
    except TypeError as error:
        raise TypeError(f"failed to init step {step.name}\n args={dict(step.args)}") from error
    _after_init(instance)
    return instance


def _after_init(instance: object) -> None:
    hook = getattr(instance, "post_init", None)
    if hook is None:
        return
    result = hook(**({"mode": "sync"} if accepted(hook, {"mode": None}) else {}))
    if hasattr(result, "__await__"):
        drive(result)


def accepted(function: object, offered: Mapping[str, object]) -> tuple[str, ...]:
    """Return those names of *offered* that *function* (or the constructor of a class) takes by name."""
    code = _code_of(function)
    if code is None:
        return ()
    if code.co_flags & _VARIADIC:
        return tuple(offered)
    taken = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return tuple(name for name in offered if name in taken)


def _code_of(function: object) -> CodeType | None:
    if isinstance(function, type):
        function = function.__init__ if function.__init__ is not object.__init__ else function.__new__  # type: ignore[misc]
    function = getattr(function, "__func__", function)
    for _ in range(_WRAPPERS):
        function = getattr(function, "__wrapped__", function)
    code = getattr(function, "__code__", None)
    return code if isinstance(code, _CODE) else None


def resolve_arguments(args: Mapping[str, object], namespaces: Sequence[Namespace]) -> dict[str, object]:
    """Return the constructor's arguments: a key with a leading underscore names a function or holds an expression."""
    return {
        (key[1:] if key.startswith("_") else key): (
            resolve_handler(value, namespaces) if key.startswith("_") and isinstance(value, str) else value
        )
        for key, value in args.items()
    }


def resolve_handler(handler: str, namespaces: Sequence[Namespace]) -> Call:
    """Return the function that *handler* names, or the one that its expression in parentheses describes."""
    if handler.startswith("("):
        compile_expression: Callable[[str], Call] = import_module("fnkit.engine.expressions").compile_expression
        return compile_expression(handler)
    found = find_function(handler, namespaces)
    if not callable(found):
        raise ImportError(f"state/function init failed, handler '{handler}' is not a function but a {type(found).__name__}")
    return found


def _with_context(function: Call, context: Context) -> Call:
    if "context" not in _named(function):
        return function
    if suspends(function) or is_generator(function):
        return _Bound(function, context)
    return lambda body: function(body, context=context)


def _named(function: Call) -> tuple[str, ...]:
    code = _code_of(function)
    return () if code is None else code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


class _Bound:
    """A function with its context; `__wrapped__` lets others see what kind of function it is."""

    __slots__ = ("__wrapped__", "_context")

    def __init__(self, function: Call, context: Context) -> None:
        self.__wrapped__ = function
        self._context = context

    def __call__(self, body: object) -> object:
        return self.__wrapped__(body, context=self._context)


def _bind(step: Step, instance: object) -> Built:
    select = getattr(instance, "select_outlets", None)
    if step.handler:
        call = getattr(instance, step.handler, None)
        if call is None:
            raise GraphError(
                f"handler ({step.handler}) specified but doesnt exist in class {type(instance).__name__}",
                where=f"step '{step.name}'",
            )
        return Built(instance, call, select, bool(step.full_event))
    if hasattr(instance, "do_event"):
        return Built(instance, instance.do_event, select, True)
    call = getattr(instance, "do", None)
    if call is None and select is None and getattr(instance, "fnkit_power", "") not in ("collector", "merge"):
        raise MLRunValueError(
            f"Step '{step.name}' does not have a handler that can be called", hint="give its class a method do(self, body)"
        )
    return Built(instance, call, select, bool(step.full_event))


def suspends(function: object) -> bool:
    """Tell whether *function* is declared to wait for an event loop: `async def`, itself or what it wraps."""
    return any(code.co_flags & _SUSPENDING for code in _codes(function))


def is_generator(function: object) -> bool:
    """Tell whether *function* is declared to stream."""
    return any(code.co_flags & (0x20 | 0x200) for code in _codes(function))


def _codes(function: object) -> list[CodeType]:
    codes: list[CodeType] = []
    for _ in range(_WRAPPERS):
        function = getattr(function, "__func__", function)
        code = getattr(function, "__code__", None)
        if code is None and not isinstance(function, type):
            code = getattr(vars(type(function)).get("__call__"), "__code__", None)
        if isinstance(code, _CODE):
            codes.append(code)
        inner = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
        if inner is None:
            break
        function = inner
    return codes
