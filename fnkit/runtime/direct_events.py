"""Events of a direct `Invoke`: the JSON payload is the body, the answer is JSON."""

from __future__ import annotations

from fnkit.engine.event import Event
from fnkit.lean import dumps, import_module
from fnkit.runtime.http_events import joined
from fnkit.runtime.invocation import Failure, Whole
from fnkit.runtime.trigger import Trigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.engine.response import WireResponse
    from fnkit.runtime.invocation import Invocation

_DIRECT = Trigger("invoke")
_LINES = ("application/x-ndjson", "application/jsonl")


def read_direct(payload: object, invocation: Invocation) -> Event:
    """Return the event whose body is *payload*, as it is: text stays text."""
    return Event(
        payload, id=invocation.request_id, content_type="text/plain" if isinstance(payload, str) else "", trigger=_DIRECT
    )


async def answer_direct(response: WireResponse) -> Whole:
    """Return *response* as JSON: its value, its text, or the list of the values of a stream.

    An answer of status 400 and above is an error of the function: `Failure`, under the error's own name where the answer tells it.
    """
    body = await joined(response)
    if response.status >= 400:
        raise _failure(response.status, body.decode("utf-8", "replace"))
    if not body:
        return Whole(b"null")
    kind = (
        next((value for name, value in response.headers if name.lower() == "content-type"), "").partition(";")[0].strip().lower()
    )
    if kind == "application/json" or kind.endswith("+json"):
        return Whole(body)
    if kind in _LINES:
        return Whole(b"[" + b",".join(body.splitlines()) + b"]")
    try:
        return Whole(dumps(body.decode()).encode())
    except UnicodeDecodeError:
        content = import_module("binascii").b2a_base64(body, newline=False).decode()
        return Whole(dumps({"body": content, "isBase64Encoded": True}).encode())


def _failure(status: int, text: str) -> Failure:
    kind, separator, message = text.partition(": ")
    if separator and kind.isidentifier():
        return Failure(kind, message)
    return Failure(f"Http{status}", text)
