"""What belongs to one request on its way through a graph, and how a step ends."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fnkit.inference_graph.calls import Answer, Headers

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


class NoMatch(Exception):
    """No condition of a Switch holds: 404 at the root, 500 anywhere else."""


class NoAnswer(Exception):
    """KServe's router breaks the connection here without an answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A W3C trace context: every call of one request carries its trace id, each with a span of its own."""

    trace_id: str
    flags: str = "01"
    state: str = ""

    def headers(self) -> Headers:
        """Return the headers of the next call."""
        parent = ("Traceparent", f"00-{self.trace_id}-{os.urandom(8).hex()}-{self.flags}")
        return (parent, ("Tracestate", self.state)) if self.state else (parent,)


@dataclass(frozen=True, slots=True)
class Flight:
    """One request: the headers that reach every service, the trace, and how many nodes it is in."""

    headers: Headers
    trace: Trace | None = None
    depth: int = 0

    def deeper(self) -> Flight:
        return replace(self, depth=self.depth + 1)

    def call_headers(self) -> Headers:
        """Return the headers of one call to a service."""
        if self.trace is None:
            return self.headers
        kept = (item for item in self.headers if item[0] not in ("Traceparent", "Tracestate"))
        return (*kept, *self.trace.headers())


class Runner(Protocol):
    """A compiled node or step. With *stream* the body of the answer may be an iterator."""

    async def __call__(self, body: bytes, flight: Flight, stream: bool) -> Answer:
        """Raises `CallFailed`, `NoMatch` or `NoAnswer`."""


class Observer(Protocol):
    """Whoever wants to know what the steps do."""

    def step_done(self, node: str, step: str, target: str, *, status: int, seconds: float, cause: str) -> None:
        """A step has ended: with an HTTP *status*, or with a *cause* and status 0."""


def trace_of(headers: Headers) -> Trace:
    """Return the trace that a client's headers continue, or a new one."""
    given = {name.lower(): value for name, value in headers if name.lower() in ("traceparent", "tracestate")}
    found = _TRACEPARENT.fullmatch(given.get("traceparent", "").strip())
    if found is None:
        return Trace(os.urandom(16).hex())
    return Trace(found[2], found[4], given.get("tracestate", ""))
