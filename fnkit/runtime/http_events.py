"""Function URL events (payload format 2.0) as events of a graph, and the graph's answers as what a function URL expects."""

from __future__ import annotations

from fnkit.engine.event import Event
from fnkit.engine.response import Head, WireResponse
from fnkit.lean import dumps, import_module
from fnkit.records import Protocol
from fnkit.runtime.invocation import EMPTY_BODY, HTTP_INTEGRATION, Failure, Streamed, Whole
from fnkit.runtime.protocol import PAYLOAD_LIMIT, prelude
from fnkit.runtime.trigger import Trigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_CONNECTION = frozenset(
    ("connection", "content-length", "keep-alive", "transfer-encoding", "upgrade")
)  # the front end's business
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HTTP = Trigger("http")


def is_http(payload: object) -> bool:
    """Tell whether *payload* is a request that came through a function URL (or an HTTP API with payload format 2.0)."""
    if not isinstance(payload, dict):
        return False
    context = payload.get("requestContext")
    return isinstance(context, dict) and isinstance(context.get("http"), dict)


def read_request(payload: Mapping[str, object]) -> Event:
    """Return the event of a request. Cookies are back in the `cookie` header. The body is bytes, however it travelled: whether AWS
    sends text or base64 depends on what the text holds.

    The event's attributes `query` (a mapping; repeated parameters joined by commas) and `query_string` hold the rest of the URL.
    Raises `Failure` for a body that is not the base64 it claims to be.
    """
    context = payload["requestContext"]
    http = context["http"] if isinstance(context, dict) else {}
    headers = _texts(payload.get("headers"))
    cookies = payload.get("cookies")
    if isinstance(cookies, list) and cookies:
        headers["cookie"] = "; ".join(map(str, cookies))
    event = Event(
        _body(payload),
        id=str(context.get("requestId") or "") if isinstance(context, dict) else "",
        headers=headers,
        method=str(http.get("method") or "GET"),
        path=str(payload.get("rawPath") or http.get("path") or "/"),
        content_type=headers.get("content-type", ""),
        trigger=_HTTP,
    )
    event.query = _texts(payload.get("queryStringParameters"))  # type: ignore[attr-defined]  # an event takes attributes of its host
    event.query_string = str(payload.get("rawQueryString") or "")  # type: ignore[attr-defined]
    return event


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}


def _body(payload: Mapping[str, object]) -> bytes:
    body = payload.get("body")
    if body is None:
        return b""
    if not payload.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        data: bytes = import_module("binascii").a2b_base64(str(body), strict_mode=True)
    except ValueError as error:
        raise Failure("Runtime.UnmarshalError", f"the body of the request is not base64: {error}") from error
    return data


def answer_stream(response: WireResponse, failures: Failures) -> Whole | Streamed:
    """Return *response* as a stream with a prelude. What is there already goes out in one piece."""
    response = checked(response)
    start = prelude(Head(response.status, response.headers, response.cookies))
    if isinstance(response.body, bytes):
        return Whole(start + (response.body or EMPTY_BODY), HTTP_INTEGRATION, streamed=True)
    return Streamed(HTTP_INTEGRATION, start, pieces(response, failures))


async def answer_whole(response: WireResponse) -> Whole:
    """Return *response* as the object that a buffered function URL expects; a stream is joined.

    Raises `Failure` where the stream breaks off, or where the answer is too large for the Runtime API.
    """
    response = checked(response)
    body = await joined(response)
    headers: dict[str, str] = {}
    for name, value in response.headers:
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    fields: dict[str, object] = {"statusCode": response.status, "headers": headers}
    if response.cookies:
        fields["cookies"] = response.cookies
    text = _text(body)
    if text is None:
        fields.update(body=import_module("binascii").b2a_base64(body, newline=False).decode(), isBase64Encoded=True)
    else:
        fields.update(body=text, isBase64Encoded=False)
    answer = dumps(fields).encode()
    if len(answer) > PAYLOAD_LIMIT:
        raise Failure(
            "Function.ResponseSizeTooLarge",
            f"the answer has {len(answer)} bytes, {PAYLOAD_LIMIT} are possible; enable streaming with fn.set_streaming()",
        )
    return Whole(answer)


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


class Failures(Protocol):
    """Takes the failures that a client cannot be told about in full, for the function's log."""

    def report(self, failure: Failure) -> None:
        """Take one failure."""


async def pieces(response: WireResponse, failures: Failures) -> AsyncIterator[bytes]:
    """Yield the body of a streamed *response*; raises `Failure` where it breaks off, and reports it."""
    body = response.body
    if isinstance(body, bytes):
        yield body
        return
    try:
        async for data in body:
            if data:
                yield data
    except Exception as error:
        failure = failure_of(error)
        failures.report(failure)
        raise failure from error
    finally:
        await response.aclose()


async def joined(response: WireResponse) -> bytes:
    """Return the whole body. Raises `Failure` where a stream breaks off."""
    if isinstance(response.body, bytes):
        return response.body
    parts = []
    try:
        async for data in response.body:
            parts.append(data)
    except Exception as error:
        raise failure_of(error) from error
    finally:
        await response.aclose()
    return b"".join(parts)


def failure_of(error: BaseException) -> Failure:
    """Return what *error* is to the Runtime API; a broken stream is named after what broke it."""
    if type(error).__name__ == "StreamingError" and error.__cause__ is not None:
        error = error.__cause__
    return Failure.of(error)


def checked(response: WireResponse) -> WireResponse:
    """Return *response* without the headers that belong to the connection.

    A status or a header that HTTP cannot carry makes it a plain 500 that says so; the stream behind it is not used.
    """
    complaint = _complaint(response)
    if complaint:
        text = f"MLRunInternalServerError: {complaint}".encode()
        return WireResponse(500, (("content-type", "text/plain"),), text)
    headers = tuple((name, value) for name, value in response.headers if name.lower() not in _CONNECTION)
    return WireResponse(response.status, headers, response.body, response.cookies)


def _complaint(response: WireResponse) -> str:
    status = response.status
    if not isinstance(status, int) or not 200 <= status <= 599:
        return f"the answer's status {status!r} is none: use a number from 200 to 599"
    for name, value in response.headers:
        if not name or not _TOKEN.issuperset(name):
            return f"the answer's header {name!r} has a name that no header may have"
        if not _carries(value):
            return f"the answer's header {name!r}: {value!r} has characters that no header may have"
    if not all(map(_carries, response.cookies)):
        return "a cookie of the answer has characters that no header may have"
    return ""


def _carries(value: object) -> bool:
    return isinstance(value, str) and all((" " <= char <= "ÿ" and char != "\x7f") or char == "\t" for char in value)
