"""Bodies on the wire: decode what a client sent, encode what a graph answers."""

from __future__ import annotations

from fnkit.errors import MLRunInternalServerError, UnreadableBodyError
from fnkit.lean import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.engine.event import Event

JSON = "application/json"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
TEXT = "text/plain"


def media_type(content_type: str) -> str:
    """Return the media type without its parameters, in lower case: `application/json; charset=utf-8` is `application/json`."""
    return content_type.split(";", 1)[0].strip().lower()


def decode_body(body: object, content_type: str, default_content_type: str = "") -> object:
    """Return *body* as steps see it: JSON text becomes its value where the content type says JSON, or says nothing.

    UnreadableBodyError (400) where the content type promises JSON and the body is not; no bytes at all are no body, not a wrong one.
    """
    if not isinstance(body, (str, bytes)) or (not body and isinstance(body, bytes)):
        return body
    kind = media_type(content_type or default_content_type)
    if kind not in ("", "json", JSON) and not kind.endswith("+json"):
        return body
    try:
        return loads(body)
    except (ValueError, RecursionError) as error:
        if not kind:
            return body
        raise UnreadableBodyError(f"failed to json decode event, {error}") from error


def receive(event: Event, default_content_type: str = "") -> None:
    """Make *event* of a request into what steps see: decode the body, let the MLRUN-EVENT headers speak."""
    for name, value in event.headers.items():
        match name.lower():
            case "content-type":
                event.content_type = event.content_type or value
            case "mlrun-event-id" if value:
                event.id = value
            case "mlrun-event-path" if value:
                event.path = value
    event.body = decode_body(event.body, event.content_type, default_content_type)


def json_text(value: object) -> str:
    """Return *value* as JSON text; arrays of numpy and dates are written by what they offer themselves.

    MLRunInternalServerError (500) for what cannot be written.
    """
    try:
        return dumps(value, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise MLRunInternalServerError(str(error)) from error


def _plain(value: object) -> object:
    for name in ("tolist", "isoformat"):
        convert = getattr(value, name, None)
        if callable(convert):
            return convert()
    raise TypeError(f"an answer of type '{type(value).__name__}' cannot be written as JSON")


def encode(value: object) -> tuple[str, bytes]:
    """Return content type and bytes of one whole answer: text and bytes as they are, everything else as JSON."""
    if isinstance(value, str):
        return TEXT, value.encode("utf-8", "surrogatepass")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return TEXT, bytes(value)
    return JSON, json_text(value).encode()
