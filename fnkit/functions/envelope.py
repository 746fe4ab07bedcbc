"""The envelope of a call from function to function: an event, and for which step it is."""

from __future__ import annotations

from fnkit.engine.event import Event
from fnkit.errors import InvokeError
from fnkit.functions.codec import text_map
from fnkit.functions.failures import facts_of, remote_error
from fnkit.functions.marks import MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXTS = ("key", "method", "path", "content_type", "accept")
_PLAIN = (str, int, float, bool, type(None))


def render_call(step: str, event: Event) -> dict[str, object]:
    """Return the envelope that carries *event* to *step*, JSON but for bytes in its body.

    Attributes that steps have put on the event travel where they are plain values; the error of an event that is on its way to
    an error handler travels as its type, its text and what `facts_of` says of it.
    """
    fields: dict[str, object] = {"id": event.id, "body": event.body}
    fields.update((name, value) for name in _TEXTS if (value := getattr(event, name)))
    if event.headers:
        fields["headers"] = event.headers
    for name in ("offset", "time"):
        value = getattr(event, name)
        if value is not None:
            fields[name] = value if isinstance(value, _PLAIN) else str(value)
    if event.streaming_step:
        fields["chunk"] = [event.streaming_step, event.chunk_id]
    if event.error is not None:
        fields["error"] = [type(event.error).__name__, str(event.error), event.origin_state, *facts_of(event.error)]
    own = {name: value for name, value in event.__dict__.items() if name != _VISITS and _is_plain(value)}
    if own:
        fields["own"] = own
    return {MARK: {"step": step, "key": _key(step, event), "event": fields}}


_VISITS = "fnkit_visits"


def _is_plain(value: object) -> bool:
    """Tell whether *value* is made of what JSON knows."""
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, _PLAIN)


def _key(step: str, event: Event) -> str:
    """Return what tells this visit of *event* to *step* from any other one; the same again when the event is delivered again.

    An engine that has led the event here knows the visit. Where none has, or where the step was called by another one (a route by its
    router), the calls are counted.
    """
    at = event.visit
    if at is not None and not isinstance(at, str) and at.name == step:
        return event.idempotency_key
    visits: dict[str, int] = event.__dict__.setdefault(_VISITS, {})
    place = f"{event.idempotency_key}/{step}"
    if at is None and event.streaming_step:
        place += f"/{event.streaming_step}.{event.chunk_id}"
    visits[place] = number = visits.get(place, 0) + 1
    return f"{place}/{number}"


def read_call(payload: Mapping[str, object]) -> tuple[str, Event]:
    """Return the step and the event of an envelope; the event's attribute `idempotency_key` is the call's key.

    Raises `InvokeError` for an envelope that cannot be read.
    """
    call = payload[MARK]
    fields = call.get("event") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(fields, dict):
        raise InvokeError("a call from another function cannot be read", hint="deploy all functions of the graph together")
    event = Event(
        fields.get("body"),
        id=str(fields.get("id", "")),
        headers=text_map(fields.get("headers")),
        offset=fields.get("offset"),
        time=fields.get("time"),
        **{name: str(fields.get(name, "")) for name in _TEXTS if name != "path"},
        path=str(fields.get("path", "/")),
    )
    own = fields.get("own")
    event.__dict__.update(own if isinstance(own, dict) else {})
    event.visit = str(call.get("key", ""))
    chunk, error = fields.get("chunk"), fields.get("error")
    if isinstance(chunk, list) and len(chunk) == 2:
        event.streaming_step, event.chunk_id = str(chunk[0]), int(chunk[1])
    if isinstance(error, list) and len(error) == 6 and isinstance(error[3], list):
        kind, text, event.origin_state, bases, status, hint = error
        event.error = remote_error(str(kind), str(text), (), tuple(map(str, bases)), int(status), str(hint))
    return str(call["step"]), event
