"""What comes into a function and what goes out of it: an invocation, and the ways in which it can end."""

from __future__ import annotations

from os.path import dirname

from fnkit.errors import FnkitError
from fnkit.lean import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JSON = "application/json"
HTTP_INTEGRATION = "application/vnd.awslambda.http-integration-response"
OCTETS = "application/octet-stream"
EMPTY_BODY = b"\n"  # function URLs hang on a prelude without a body


_OURS = (dirname(dirname(__file__)), "<frozen importlib")


def stack_of(error: BaseException) -> tuple[str, ...]:
    """Return the lines of the traceback of *error* from the first frame of the user's code on.

    Where there is none: the lines that an error of another function brings, nothing for what we refuse with a reason, else all.
    """
    traceback = import_module("traceback")  # only those who fail pay for its import
    frames = traceback.extract_tb(error.__traceback__)
    first = next((at for at, frame in enumerate(frames) if not frame.filename.startswith(_OURS)), -1)
    if first < 0:
        remote: tuple[str, ...] = getattr(error, "remote_stack", ())
        if remote or isinstance(error, FnkitError):
            return remote
        first = 0
    return tuple(traceback.format_list(frames[first:]))


class Invocation:
    """One event of a function, as the Runtime API hands it over.

    *payload* is the event's bytes. *deadline_ms* is the moment, in milliseconds since the epoch, at which the function is stopped.
    *cancels* tells that the giver closes the connection it came by when nobody waits for the answer any more.
    """

    __slots__ = (
        "cancels", "client_context", "content_type", "deadline_ms", "function_arn", "identity", "payload",
        "receipt", "request_id", "tenant_id", "trace_id",
    )  # fmt: skip

    def __init__(
        self,
        request_id: str,
        payload: bytes,
        *,
        content_type: str = JSON,
        deadline_ms: int = 0,
        trace_id: str = "",
        function_arn: str = "",
        client_context: str = "",
        identity: str = "",
        tenant_id: str = "",
        receipt: str = "",
        cancels: bool = False,
    ) -> None:
        self.request_id = request_id
        self.payload = payload
        self.content_type = content_type
        self.deadline_ms = deadline_ms
        self.trace_id = trace_id
        self.function_arn = function_arn
        self.client_context = client_context
        self.identity = identity
        self.tenant_id = tenant_id
        self.receipt = receipt
        self.cancels = cancels


class Whole:
    """An answer that is there at once; *body* is JSON unless *content_type* says otherwise.

    *streamed* asks for it to be sent as a stream of one piece: it has a prelude, or is larger than a whole answer may be.
    """

    __slots__ = ("body", "content_type", "streamed")

    def __init__(self, body: bytes, content_type: str = JSON, *, streamed: bool = False) -> None:
        self.body = body
        self.content_type = content_type
        self.streamed = streamed


class Streamed:
    """An answer that comes piece by piece.

    *start* goes out with the first piece; *pieces* yields bytes and raises `Failure` where the answer breaks off. Closing
    *pieces* ends the generators that make it.
    """

    __slots__ = ("content_type", "pieces", "start")

    def __init__(self, content_type: str, start: bytes, pieces: AsyncIterator[bytes]) -> None:
        self.content_type = content_type
        self.start = start
        self.pieces = pieces


class Failure(Exception):
    """An invocation, or the start of a function, that failed: the type of the error, its text, the lines of its traceback."""

    def __init__(self, kind: str, message: str, stack: tuple[str, ...] = ()) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.stack = stack

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Return what *error*, raised by code of the user or of ours, is to the Runtime API."""
        if isinstance(error, cls):
            return error
        return cls(type(error).__name__, str(error), stack_of(error))


class PeerGone(GeneratorExit):
    """Nobody waits for the answer any more. Raised inside the code that makes it, where a generator expects `GeneratorExit`."""
