"""The router topology while it is written: one router step with a route per model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fnkit.errors import GraphError, MLRunInvalidArgumentError
from fnkit.manifest.spelling import did_you_mean
from fnkit.project.steps import Handler, RouteDraft, name_of
from fnkit.project.written import WrittenGraph

if TYPE_CHECKING:
    from fnkit.project.function import ServingFunction

MAX_ROUTES = 5000
DEFAULT_ROUTER = "ModelRouter"


class RouterGraph(WrittenGraph):
    """The router of a function: its class, its arguments, and its routes in the order they were added."""

    kind = "router"

    def __init__(self, function: ServingFunction, class_name: object = None, **class_args: object) -> None:
        self._function = function
        self.name = ""
        self.class_name = class_name or DEFAULT_ROUTER
        self.class_args = class_args
        self.function = ""
        self.input_path = ""
        self.result_path = ""
        self.routes: dict[str, RouteDraft] = {}

    def __repr__(self) -> str:
        return f"<router graph of {len(self.routes)} routes>"

    def __getitem__(self, key: str) -> RouteDraft:
        if key not in self.routes:
            raise KeyError(f"there is no route {key!r}; {did_you_mean(key, self.routes)}")
        return self.routes[key]

    def __delitem__(self, key: str) -> None:
        del self.routes[self[key].key]

    def __contains__(self, key: object) -> bool:
        return key in self.routes

    def __iter__(self) -> Iterator[str]:
        return iter(self.routes)

    def add_route(
        self,
        key: str,
        route: RouteDraft | None = None,
        class_name: object = None,
        handler: Handler = None,
        function: str | None = None,
        creation_strategy: object = None,
        **class_args: object,
    ) -> RouteDraft:
        """Add a route and return it; the last one with a key holds. *key* may carry a version: `"m1:v2"`."""
        added = route or RouteDraft(key, class_name, handler, function or "", class_args)
        added.key = key
        return self.put_route(added)

    def put_route(self, route: RouteDraft) -> RouteDraft:
        """Add *route* under its key and return it."""
        key = route.key
        if not key:
            raise MLRunInvalidArgumentError("a route needs a key, such as the name of its model")
        if len(self.routes) >= MAX_ROUTES and key not in self.routes:
            raise MLRunInvalidArgumentError(f"a router takes at most {MAX_ROUTES} routes")
        self.routes[key] = route
        return route

    def clear_children(self, routes: list[str] | None = None) -> None:
        """Remove the routes with these keys, or all."""
        for key in list(routes or self.routes):
            del self[key]

    def to(self, *_args: object, **_options: object) -> object:
        """Refuse: only a flow has steps behind each other."""
        raise GraphError(
            "a router has routes, not steps",
            hint='use graph.add_route(...) or fn.add_model(...), or start with fn.set_topology("flow")',
        )

    add_step = to

    def to_dict(self) -> dict[str, object]:
        """Return the graph as it was written, under MLRun's keys."""
        said: dict[str, object] = {
            "kind": self.kind,
            "class_name": name_of(self.class_name),
            "class_args": self.class_args,
            "routes": {key: route.to_dict() for key, route in self.routes.items()},
        }
        return {key: value for key, value in said.items() if value or key == "routes"}
