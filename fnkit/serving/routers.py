"""Routers: a request's path or body names one of the routes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Protocol, cast

from fnkit.engine.construct import suspends
from fnkit.engine.event import Event
from fnkit.engine.paths import read_path, write_path
from fnkit.engine.powers import STREAMS
from fnkit.engine.stream import close_source
from fnkit.errors import MLRunRuntimeError

if TYPE_CHECKING:
    from fnkit.engine.context import Context

    class RouteCall(Protocol):
        """A route as the engine gives it: `await route(event)` runs it and returns its result."""

        @property
        def needs_loop(self) -> bool: ...

        def __call__(self, event: Event) -> Awaitable[object]: ...


class BaseModelRouter:
    """What all routers share: the hooks `preprocess(event)` and `postprocess(event)`, the prefixes of paths, and reading bodies.

    *routes*: key -> route, given by the engine. A request to `/` or below the health prefix with GET is answered with the router's name.
    """

    def __init__(
        self,
        context: Context | None = None,
        name: str = "",
        routes: Mapping[str, RouteCall] | None = None,
        protocol: str | None = None,
        url_prefix: str | None = None,
        health_prefix: str | None = None,
        input_path: str | None = None,
        result_path: str | None = None,
        **kwargs: object,
    ) -> None:
        self.context = context
        self.name = name or type(self).__name__
        self.routes = dict(routes or {})
        self.protocol = protocol or "v2"
        self.url_prefix = url_prefix or f"/{self.protocol}/models"
        self.health_prefix = health_prefix or f"/{self.protocol}/health"
        self.parameters = kwargs
        self._input_path = input_path or ""
        self._result_path = result_path or ""
        if not self.routes:
            raise MLRunRuntimeError("You have to add models to the router step before initializing it")

    @property
    def needs_loop(self) -> bool:
        """Whether a route or a hook waits for an event loop."""
        hooks = (self.preprocess, self.postprocess)
        return any(route.needs_loop for route in self.routes.values()) or any(suspends(hook) for hook in hooks)

    def preprocess(self, event: Event) -> Event:
        """Return the event to be routed; subclasses may change it, also with `async def`."""
        return event

    def postprocess(self, event: Event) -> Event:
        """Return the event to answer with; subclasses may change it, also with `async def`."""
        return event

    def parse_event(self, event: Event) -> object:
        """Return the body as routes get it: a dict as it is, an image as a file, anything else read as JSON.

        ValueError for what is neither. A `data_url` in the body is not followed: a request must not make the server fetch addresses.
        """
        body = event.body
        if isinstance(body, bytes) and event.content_type.startswith("image/"):
            return BytesIO(body)
        if not isinstance(body, dict):
            try:
                body = json.loads(cast(str, body))  # a TypeError says what else it is
            except (TypeError, ValueError) as error:
                raise ValueError(f"Unrecognized request format, caused by: {error}") from error
        if isinstance(body, dict) and "data_url" in body:
            raise ValueError("Unrecognized request format, caused by: data_url is not followed, send the data itself")
        return body

    async def do_event(self, event: Event) -> object:
        """Return the event with the route's answer as its body, or the stream that the route answers with."""
        event = await settled(self.preprocess(event))
        whole = event.body
        event.body = read_path(whole, self._input_path)
        if event.body and event.method != "GET":
            event.body = self.parse_event(event)
        path = event.path
        result = await self.answer(event)
        event.path = path
        if result.__class__ in STREAMS:
            return result
        event.body = write_path(whole, self._result_path, result)
        return await settled(self.postprocess(event))

    async def answer(self, event: Event) -> object:
        """Return what answers *event*, whose body has been read; subclasses choose the route."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it answers")

    async def close(self) -> None:
        """Close what the routes hold open."""
        for route in self.routes.values():
            held = getattr(route, "object", None)
            if held is not None:
                await close_source(held)

    def is_health_check(self, event: Event) -> bool:
        """Tell whether *event* asks how the router is."""
        return event.method == "GET" and (event.path in ("", "/") or event.path.startswith(self.health_prefix))

    def health(self) -> dict[str, object]:
        """Return the answer to a health check."""
        return {"name": type(self).__name__, "version": "v2", "extensions": []}

    def check_prefix(self, path: str) -> None:
        """Raise ValueError for a path that no route can be below."""
        if path not in ("", "/") and not path.startswith(self.url_prefix):
            raise ValueError(f"illegal path prefix {path}, must start with {self.url_prefix}")

    def segments(self, path: str) -> list[str]:
        """Return the parts of *path* below the prefix."""
        return [part for part in path.removeprefix(self.url_prefix).strip("/").split("/") if part]


class ModelRouter(BaseModelRouter):
    """Send each request to one model: `PREFIX/MODEL[/versions/VERSION][/OPERATION]`, or by `model` and `operation` in the body.

    A request to `/` without a model goes to the first one; one to the prefix itself lists the models.
    """

    async def answer(self, event: Event) -> object:
        """Return what the chosen route answers; it sees the rest of the path."""
        if self.is_health_check(event):
            return self.health()
        self.check_prefix(event.path)
        key, operation = self.resolve(event)
        if not key:
            return self.listing()
        if key not in self.routes:
            raise ValueError(self.unknown(key))
        event.path = operation
        return await self.routes[key](event)

    def resolve(self, event: Event) -> tuple[str, str]:
        """Return the key of the route and the rest of the path; the key is empty for a request to the prefix itself."""
        key, operation = "", None
        if event.path not in ("", "/"):
            parts = self.segments(event.path)
            if not parts:
                return "", ""
            key = parts.pop(0)
            if len(parts) > 1 and parts[0] == "versions":
                key = f"{key}:{parts[1]}"
                parts = parts[2:]
            operation = "/".join(parts)
        if isinstance(event.body, dict):
            key = key or str(event.body.get("model", self.default_key()))
            operation = event.body.get("operation", operation)
        return key or self.default_key(), "infer" if operation is None else str(operation)

    def default_key(self) -> str:
        """Return the route of a request that names none."""
        return next(iter(self.routes))

    def listing(self) -> dict[str, object]:
        """Return the answer to a request for the models."""
        return {"models": list(self.routes)}

    def unknown(self, key: str) -> str:
        """Return the message for a route that does not exist."""
        return f"model {key} doesnt exist, available models: {' | '.join(self.routes)}"


async def settled(value: Event | Awaitable[Event]) -> Event:
    """Return what a hook returned, waited for where the hook is async."""
    return await value if isinstance(value, Awaitable) else value
