"""What crosses the border between two functions: bodies, and the events that carry them.

A body is one byte that says what it is, then its content: `b` bytes, `t` text in UTF-8, `j` JSON, `r` a `Response`: its status, content
type and headers as JSON on one line, then its own body. In JSON, bytes stand as
`{"$bytes": "<base64>"}`; an object of the user that looks so is wrapped in `{"$object": ...}`. Tuples become lists and keys
become strings, as in any JSON. What JSON cannot say is refused with the name of the step and of the type.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from fnkit.engine.response import Response
from fnkit.errors import InvokeError
from fnkit.lean import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_BYTES = "$bytes"
_OBJECT = "$object"
_TAGS = frozenset((_BYTES, _OBJECT))


def encode_body(body: object, *, where: str) -> bytes:
    """Return *body* as bytes that `decode_body` understands; *where* names the step for the error."""
    if isinstance(body, bytes):
        return b"b" + body
    if isinstance(body, str):
        return b"t" + body.encode("utf-8", "surrogatepass")
    if isinstance(body, Response):
        return b"r" + encode_json(response_fields(body), where=where).encode() + b"\n" + encode_body(body.body, where=where)
    return b"j" + encode_json(body, where=where).encode()


def response_fields(response: Response) -> list[object]:
    """Return all of *response* but its body, as JSON values."""
    headers = {str(name): str(value) for name, value in response.headers.items()}
    return [response.status_code, response.content_type if response.declared else None, headers]


def read_response(fields: object, body: object) -> Response:
    """Return the response that `response_fields` described. Raises `InvokeError` for anything else."""
    match fields:
        case [int() as status, (str() | None) as content_type, dict() as headers]:
            return Response(headers, body, content_type, status)
        case _:
            raise InvokeError("a response from another function cannot be read")


def decode_body(data: bytes) -> object:
    """Return what `encode_body` was given. Raises `InvokeError` for anything else."""
    kind, content = data[:1], data[1:]
    try:
        if kind == b"b":
            return content
        if kind == b"t":
            return content.decode("utf-8", "surrogatepass")
        if kind == b"j":
            return decode_json(content.decode())
        if kind == b"r":
            fields, _, inner = content.partition(b"\n")
            return read_response(loads(fields), decode_body(inner))
    except ValueError as error:
        raise InvokeError(f"a body from another function cannot be read: {error}") from error
    raise InvokeError("a body from another function is of an unknown kind")


def encode_json(value: object, *, where: str) -> str:
    """Return *value* as JSON with tagged bytes. Raises `InvokeError` that names *where* and the type that JSON does not know."""
    try:
        text = dumps(value, default=_tagged, separators=(",", ":"))
        if _has_tags(text, value):
            text = dumps(_wrapped(value), default=_tagged, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        what = f"the type {error.args[0]}" if isinstance(error, _Unknown) else str(error)
        raise InvokeError(
            f"the body cannot be sent to another function: {what}",
            where=where,
            hint="bodies between functions are JSON, text or bytes; convert it in the step, or place both steps in one function",
        ) from error
    return text


def decode_json(text: str) -> object:
    """Return the value of JSON with tagged bytes."""
    return loads(text, object_hook=_untagged) if '{"$' in text else loads(text)


class _Unknown(TypeError):
    """A value of a type that JSON does not know; its argument is the name of the type."""


def _tagged(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return {_BYTES: b2a_base64(value, newline=False).decode()}
    kind = type(value)
    raise _Unknown(f"{kind.__module__}.{kind.__qualname__}" if kind.__module__ != "builtins" else kind.__qualname__)


def _has_tags(text: str, value: object) -> bool:
    """Tell whether *value* holds an object that would be mistaken for a tag."""
    return ('"$bytes":' in text or '"$object":' in text) and _holds_tag(value)


def _holds_tag(value: object) -> bool:
    if isinstance(value, dict):
        return (len(value) == 1 and not _TAGS.isdisjoint(value)) or any(map(_holds_tag, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_tag, value))


def _wrapped(value: object) -> object:
    if isinstance(value, dict):
        inner = {key: _wrapped(item) for key, item in value.items()}
        return (
            {_OBJECT: [[key, item] for key, item in inner.items()]} if len(value) == 1 and not _TAGS.isdisjoint(value) else inner
        )
    return [_wrapped(item) for item in value] if isinstance(value, list | tuple) else value


def _untagged(value: dict[str, object]) -> object:
    if len(value) != 1:
        return value
    ((key, content),) = value.items()
    if key == _BYTES and isinstance(content, str):
        try:
            return a2b_base64(content, strict_mode=True)
        except Base64Error as error:
            raise ValueError(f"bytes are not base64: {error}") from error
    if key == _OBJECT and isinstance(content, list):
        return dict(content)
    return value


def text_map(value: object) -> Mapping[str, str]:
    """Return *value* if it is a mapping of text to text, else an empty one."""
    if isinstance(value, dict) and all(isinstance(key, str) and isinstance(item, str) for key, item in value.items()):
        return value
    return {}
