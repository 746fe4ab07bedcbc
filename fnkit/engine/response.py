"""Answers: `Response` as steps know it, `WireResponse` as hosts send it, and the frames it is sent in."""

from __future__ import annotations

from fnkit.errors import StreamingError
from fnkit.lean import import_module
from fnkit.records import ByFields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


class Response:
    """An answer with a status and headers of its own.

    A step returns one (`context.Response(...)`) to choose more than the body. *body* may be a generator: it is streamed under this
    status and these headers. The default *content_type* is `text/plain`; a body that has to be written as JSON is sent as JSON.
    """

    __slots__ = ("body", "content_type", "declared", "headers", "status_code")

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str | None = None,
        status_code: int = 200,
    ) -> None:
        self.headers = headers if headers is not None else {}
        self.body = body
        self.content_type = content_type or "text/plain"
        self.declared = bool(content_type)  # whether the step chose the content type
        self.status_code = status_code

    def __repr__(self) -> str:
        return (
            f"Response(headers={self.headers!r}, body={self.body!r}, "
            f"status_code={self.status_code!r}, content_type={self.content_type!r})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            return NotImplemented
        return repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # a response can be changed, so it has no hash


class Head(ByFields):
    """The first frame: status, headers and cookies (whole `Set-Cookie` values)."""

    __slots__ = ("cookies", "headers", "status")

    def __init__(self, status: int, headers: tuple[tuple[str, str], ...] = (), cookies: tuple[str, ...] = ()) -> None:
        self.status = status
        self.headers = headers
        self.cookies = cookies


class Chunk(ByFields):
    """Some bytes of the body; never empty."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class End(ByFields):
    """The body is complete."""

    __slots__ = ()


class Fault(ByFields):
    """The body broke off: the class of the error, its message, and the traceback as text."""

    __slots__ = ("error_type", "message", "stack")

    def __init__(self, error_type: str, message: str, stack: str = "") -> None:
        self.error_type = error_type
        self.message = message
        self.stack = stack


Frame = Head | Chunk | End | Fault


class WireResponse:
    """An answer in bytes: status, headers, cookies, and a body that is there at once or comes as a stream.

    *body* is bytes, or an async iterator of bytes whose `aclose()` closes the generators that make it.
    """

    __slots__ = ("body", "cookies", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: tuple[tuple[str, str], ...],
        body: bytes | AsyncIterator[bytes],
        cookies: tuple[str, ...] = (),
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.cookies = cookies

    @property
    def streaming(self) -> bool:
        """Whether the body comes as a stream."""
        return not isinstance(self.body, bytes)

    async def frames(self) -> AsyncIterator[Frame]:
        """Yield the head, the chunks, and the end or the fault. Closing this iterator closes the body."""
        yield Head(self.status, self.headers, self.cookies)
        body = self.body
        if isinstance(body, bytes):
            if body:
                yield Chunk(body)
            yield End()
            return
        try:
            async for data in body:
                if data:
                    yield Chunk(data)
        except Exception as error:  # whatever the user's generator raised
            yield fault_of(error)
        else:
            yield End()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the body: the generators that make it end at once."""
        close = getattr(self.body, "aclose", None)
        if close is not None:
            await close()


def stack_of(error: BaseException) -> str:
    """Return the traceback of *error* as text."""
    lines: list[str] = import_module("traceback").format_exception(error)  # only those who fail pay for its import
    return "".join(lines)


def fault_of(error: BaseException) -> Fault:
    """Return the fault frame for *error*; a broken stream is named by the error that broke it."""
    cause = error.__cause__ if isinstance(error, StreamingError) and error.__cause__ is not None else error
    return Fault(type(cause).__name__, str(cause), stack_of(cause))
