"""Make the wire answer of what a graph gives: a value, a `Response`, a stream of chunks, or an error.

A stream has one media type from its first byte to its last. What the step declared by `Response(content_type=...)` holds; otherwise
`text/event-stream` where the client accepts it or the graph asks for it; otherwise the first chunk decides: text or bytes make
`text/plain`, any other value makes `application/x-ndjson`, one JSON value a line.
"""

from __future__ import annotations

from fnkit.engine.payload import JSON, NDJSON, SSE, TEXT, encode, json_text, media_type
from fnkit.engine.response import Response, WireResponse, stack_of
from fnkit.errors import FnkitError, MLRunHTTPStatusError, MLRunInternalServerError, StreamingError, UnreadableBodyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping


Headers = tuple[tuple[str, str], ...]
_NO_BODY = frozenset((204, 304))
_LINES = frozenset(
    (JSON, NDJSON, "application/jsonl", "application/x-jsonlines", "application/json-lines", "application/json-seq")
)


def status_of(error: BaseException) -> int:
    """Return the HTTP status that answers *error*: its own where it carries one, otherwise 400, as MLRun answers."""
    return error.status if isinstance(error, MLRunHTTPStatusError) else 400


def error_response(error: BaseException, *, verbose: bool = False) -> Response:
    """Return what the client gets for *error*: `ClassName: message` as text, with the traceback where *verbose*.

    An error without a message is shown as Python writes it: `ValueError: ValueError()`.
    """
    message = str(error) or repr(error)
    text = message if isinstance(error, UnreadableBodyError) else f"{type(error).__name__}: {message}"
    if isinstance(error, FnkitError) and error.hint:
        text += f"\nhint: {error.hint}"
    if verbose:
        text += "\n" + stack_of(error)
    return Response(body=text, status_code=status_of(error))


def wire_value(value: object) -> WireResponse:
    """Return the wire form of one whole answer."""
    if not isinstance(value, Response):
        content_type, body = encode(value)
        return WireResponse(200, (("content-type", content_type),), body)
    status = _status(value)
    if status in _NO_BODY:
        return WireResponse(status, *_bare(value))
    kind, body = encode(value.body) if value.body is not None else ("", b"")
    chosen = value.declared or value.content_type != TEXT or kind != JSON
    headers, cookies = wire_headers(value.headers, value.content_type if chosen else JSON)
    return WireResponse(status, headers, body, cookies)


def _bare(response: Response) -> tuple[Headers, bytes, tuple[str, ...]]:
    headers, cookies = wire_headers(response.headers, "")
    return headers, b"", cookies


def _status(response: Response) -> int:
    status = response.status_code
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise MLRunInternalServerError(f"the answer's status {status!r} is not a number from 200 to 599")
    return int(status)


def empty_response() -> Response:
    """Return the answer to an event that a step dropped: 204, no body."""
    return Response(status_code=204)


def wire_headers(headers: Mapping[str, object], content_type: str) -> tuple[Headers, tuple[str, ...]]:
    """Return the headers and the cookies of an answer; a content type among *headers* goes before *content_type*.

    MLRunInternalServerError (500) for a name or a value that no header may have.
    """
    plain: list[tuple[str, str]] = []
    cookies: list[str] = []
    for name, value in headers.items():
        text = str(value)
        if not _is_token(name) or any((char < " " and char != "\t") or char == "\x7f" or char > "\xff" for char in text):
            raise MLRunInternalServerError(f"the answer's header {name!r}: {text!r} has characters that no header may have")
        if name.lower() == "set-cookie":
            cookies.append(text)
        else:
            plain.append((name, text))
    if content_type and not any(name.lower() == "content-type" for name, _ in plain):
        plain.insert(0, ("content-type", content_type))
    return tuple(plain), tuple(cookies)


def _is_token(name: object) -> bool:
    return (
        isinstance(name, str)
        and name.isascii()
        and bool(name)
        and all(char.isalnum() or char in "!#$%&'*+-.^_`|~" for char in name)
    )


def wants_events(accept: str) -> bool:
    """Tell whether an `Accept` header names `text/event-stream`, and does not refuse it with `q=0`."""
    return any(media_type(part) == SSE and "q=0" not in part.replace(" ", "").split(";")[1:] for part in accept.split(","))


async def wire_stream(stream: AsyncIterator[object], head: Response | None, *, accept: str, asked: str = "") -> WireResponse:
    """Return the wire form of a stream of chunks. The first chunk is waited for, since it decides how the stream is written.

    *head* is the `Response` that carried the generator, *asked* the media type that the graph asks for. Raises what the stream raises
    before its first chunk.
    """
    try:
        first = await stream.__anext__()
    except StopAsyncIteration:
        first = _NOTHING
    except StreamingError as error:
        raise error.__cause__ if isinstance(error.__cause__, Exception) else error from None
    head = _head_of_first(head, first)
    content_type, write = _writer(head, first, accept, asked)
    try:
        status = _status(head) if head else 200
        headers, cookies = wire_headers(head.headers if head else {}, content_type)
    except MLRunHTTPStatusError:
        await _close(stream)
        raise
    return WireResponse(status, headers, ByteStream(first, stream, write), cookies)


def _head_of_first(head: Response | None, first: object) -> Response | None:
    return first if head is None and isinstance(first, Response) else head


def _writer(head: Response | None, first: object, accept: str, asked: str) -> tuple[str, Callable[[object], bytes]]:
    if isinstance(first, Response):
        first = first.body
    if head is not None and head.declared:
        return head.content_type, _writer_of(media_type(head.content_type), framed=False)
    if asked:
        return asked, _writer_of(media_type(asked), framed=True)
    if wants_events(accept):
        return SSE, _write_event
    if first is _NOTHING or isinstance(first, (str, bytes, bytearray, memoryview)):
        return TEXT, _write_text
    return NDJSON, _write_line


def _writer_of(kind: str, *, framed: bool) -> Callable[[object], bytes]:
    if kind == SSE:
        return _write_event if framed else _write_own_event
    return _write_line if kind in _LINES else _write_text


def _write_text(chunk: object) -> bytes:
    return encode(chunk)[1]


def _write_line(chunk: object) -> bytes:
    return (json_text(_readable(chunk)) + "\n").encode()


def _write_event(chunk: object) -> bytes:
    text = chunk if isinstance(chunk, str) else _readable(chunk)
    whole = text if isinstance(text, str) else json_text(text)
    lines = whole.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # the line ends of server-sent events, and no others
    return ("".join(f"data: {line}\n" for line in lines) + "\n").encode("utf-8", "surrogatepass")


def _write_own_event(chunk: object) -> bytes:
    """A step that declares `text/event-stream` writes its own frames in text; its other values are framed."""
    return _write_text(chunk) if isinstance(chunk, (str, bytes)) else _write_event(chunk)


def _readable(chunk: object) -> object:
    if not isinstance(chunk, (bytes, bytearray, memoryview)):
        return chunk
    try:
        return bytes(chunk).decode()
    except UnicodeDecodeError as error:
        raise MLRunInternalServerError(
            "a stream of JSON values cannot carry bytes that are not UTF-8; yield bytes from the first chunk on"
        ) from error


class ByteStream:
    """The chunks of a stream as bytes, pulled one at a time."""

    __slots__ = ("_first", "_stream", "_write")

    def __init__(self, first: object, stream: AsyncIterator[object], write: Callable[[object], bytes]) -> None:
        self._first = first
        self._stream = stream
        self._write = write

    def __aiter__(self) -> ByteStream:
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk's bytes; a chunk that cannot be written ends the stream with its error."""
        chunk = self._first
        if chunk is _NOTHING:
            chunk = await self._stream.__anext__()
        else:
            self._first = _NOTHING
        try:
            return self._write(chunk.body if isinstance(chunk, Response) else chunk)
        except Exception:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """End the stream: the generators behind it are closed."""
        await _close(self._stream)


async def _close(stream: AsyncIterator[object]) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()


_NOTHING = object()
