"""Which request a remote step sends for an event."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from fnkit.engine.event import Event
from fnkit.errors import MLRunInvalidArgumentError
from fnkit.lean import Mapping, import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fnkit.engine import Context

EVENT_ID, EVENT_PATH = "MLRUN-EVENT-ID", "MLRUN-EVENT-PATH"
EVENT_PATH_WORD = "$path"
IDEMPOTENCY_KEY = "Idempotency-Key"
_JSON = "application/json"
_TRACES = ("traceparent", "tracestate", "x-amzn-trace-id")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """How requests are made from events; the expressions are checked when the plan is made."""

    url: str
    subpath: str
    method: str
    headers: Mapping[str, str]
    url_expression: str
    body_expression: str
    headers_expression: str
    context: Context | None
    _functions: dict[str, Callable[..., object]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if not self.url and not self.url_expression:
            raise MLRunInvalidArgumentError("a remote step needs a url or a url_expression")
        if self.url_expression:
            self._functions["url"] = _compiled(self.url_expression, ("event", "endpoint", "context"))
        if self.body_expression:
            self._functions["body"] = _compiled(self.body_expression, ("event",))
        if self.headers_expression:
            self._functions["headers"] = _compiled(self.headers_expression, ("event",))

    def request(self, event: Event, body: object) -> Request:
        """Return the request for *event*, of whose body *body* is the part that matters."""
        method = (self.method or event.method or "POST").upper()
        headers = {**self.headers, EVENT_ID: event.id}
        if event.path and event.path != "/":
            headers[EVENT_PATH] = event.path
        if self.headers_expression:
            headers.update(_header_dict(self._functions["headers"](body)))
        content = b"" if method == "GET" else self._content(body, headers)
        _add_context(headers, event, acts=method != "GET")
        return Request(method, self._address(event, body), headers, content)

    def _content(self, body: object, headers: dict[str, str]) -> bytes:
        """Return the bytes to send, and say in *headers* what they are, unless they say it already."""
        if self.body_expression:
            made = self._functions["body"](body)
            kind, content = _written(made) if isinstance(body, str | bytes) else (_JSON, json.dumps(made).encode())
        else:
            kind, content = _written(body)
        if kind and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = kind
        return content

    def _address(self, event: Event, body: object) -> str:
        endpoint = self._endpoint()
        if self.url_expression:
            return str(self._functions["url"](body, endpoint, self.context))
        if not self.subpath:
            return endpoint
        subpath = self.subpath.replace(EVENT_PATH_WORD, event.path.lstrip("/"))
        return f"{endpoint.rstrip('/')}/{subpath.lstrip('/')}"

    def _endpoint(self) -> str:
        if not self.url or "://" in self.url or self.context is None:
            return self.url
        return self.context.get_remote_endpoint(self.url)


def _written(body: object) -> tuple[str, bytes]:
    """Return the media type and the bytes of *body*: text and bytes as they are, anything else as JSON; None is nothing."""
    if body is None:
        return "", b""
    if isinstance(body, bytes):
        return "application/octet-stream", body
    if isinstance(body, str):
        return "text/plain; charset=utf-8", body.encode()
    return _JSON, json.dumps(body).encode()


def _add_context(headers: dict[str, str], event: Event, *, acts: bool) -> None:
    """Add the event's trace to *headers* and, where the request *acts*, the key of this visit; what the user has said stays."""
    said = {name.lower() for name in headers}
    headers.update((name, value) for name in _TRACES if name not in said and (value := event.header(name)))
    key = event.idempotency_key
    if acts and IDEMPOTENCY_KEY.lower() not in said and key.isascii() and key.isprintable():
        headers[IDEMPOTENCY_KEY] = key


def _header_dict(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError(f"headers_expression must give a dict, not {type(value).__name__}")
    return {str(name): str(text) for name, text in value.items()}


def _compiled(expression: str, names: tuple[str, ...]) -> Callable[..., object]:
    compile_expression: Callable[..., Callable[..., object]] = import_module("fnkit.engine.expressions").compile_expression
    return compile_expression(f"({expression})", names)
