"""The routes of a router step: each is a step of its own that the router calls."""

from __future__ import annotations

from fnkit.engine.construct import Built, build_step, suspends
from fnkit.engine.event import Event
from fnkit.engine.powers import COROUTINE
from fnkit.manifest.model import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence
    from typing import Any

    from fnkit.engine.answer import RemoteStep
    from fnkit.engine.construct import Call
    from fnkit.engine.context import Context
    from fnkit.engine.resolve import Namespace
    from fnkit.manifest.model import CallOptions


class RouteCall:
    """One route, as a router gets it: *key*, *object* (the instance of its class, None for functions and remote routes), *needs_loop*.

    `await route(event)` runs it like a step and returns its result: the body of the returned event for `do_event`, otherwise what the
    method returned (which may be a generator).
    """

    __slots__ = ("_call", "_takes_event", "key", "needs_loop", "object")

    def __init__(self, key: str, built: Built, call: Call | None = None) -> None:
        self.key = key
        self.object = built.object
        self._call = call or built.call
        self._takes_event = built.takes_event
        asked = getattr(built.object, "needs_loop", None)
        self.needs_loop = asked if isinstance(asked, bool) else suspends(built.call)

    async def __call__(self, event: Event) -> object:
        """Run the route for *event*."""
        assert self._call is not None, "a route has a method to call"
        result = self._call(event if self._takes_event else event.body)
        if result.__class__ is COROUTINE:
            result = await result
        return result.body if self._takes_event and isinstance(result, Event) else result


class RemoteRoute:
    """A route that runs in another function."""

    __slots__ = ("_step", "key", "needs_loop", "object")

    def __init__(self, key: str, step: RemoteStep) -> None:
        self.key = key
        self.object: object = None
        self.needs_loop = getattr(step, "needs_loop", True)
        self._step = step

    async def __call__(self, event: Event) -> object:
        """Call the function for *event*; a stream is an async generator of its chunks."""
        answer = await self._step(event)
        return _chunks(answer.value) if answer.streaming else answer.value


async def _chunks(stream: Any) -> AsyncIterator[object]:
    async for chunk, _ in stream:
        yield chunk


def build_routes(
    step: Step,
    context: Context,
    namespaces: Sequence[Namespace],
    remote: Callable[[Step], RemoteStep] | None,
    homes: Collection[str] = ("", "*"),
    *,
    guard: Callable[[str, Built, CallOptions], Built] = lambda _name, built, _call: built,
) -> dict[str, RouteCall | RemoteRoute]:
    """Return the routes of *step* by their keys, constructed. One whose function is none of *homes* is called through *remote*.

    *guard* gives a route that runs here the limits and retries of its call options.
    """
    routes: dict[str, RouteCall | RemoteRoute] = {}
    for route in step.routes:
        alone = Step(
            name=route.key,
            target=route.target,
            handler=route.handler,
            args=route.args,
            function=route.function,
            call=route.call,
        )
        if remote is not None and route.function not in homes:
            routes[route.key] = RemoteRoute(route.key, remote(alone))
        else:
            built = build_step(alone, context, namespaces)
            routes[route.key] = RouteCall(route.key, built, guard(route.key, built, route.call).call)
    return routes
