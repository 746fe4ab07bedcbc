"""The Lambda API, as far as one function needs it to call another.

`InvokeWithResponseStream` is asked first. A server that does not know it is asked with `Invoke`, from then on always. Both give
the answer's bytes as they come.
"""

from __future__ import annotations

from time import time

from fnkit.errors import CredentialsError
from fnkit.functions.eventstream import MessageReader
from fnkit.functions.failures import CallError, CallThrottled, CallTimeout
from fnkit.functions.sigv4 import Credentials, Signer, quote
from fnkit.lean import loads
from fnkit.net.errors import ConnectError, ConnectionClosed, NetError, TimeoutReached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from fnkit.net.client import Client, Reply

PAYLOAD_LIMIT = 6 * 1024 * 1024  # bytes of a synchronous request
_ERROR_LIMIT = 64 * 1024
_ANSWER_LIMIT = 256 * 1024 * 1024


class Retryable(Exception):
    """An attempt that failed before anything of the answer came, and that may be made again; *error* is what to raise at last."""

    def __init__(self, error: CallError) -> None:
        super().__init__(str(error))
        self.error = error


class Reading:
    """While the answer of *function* is read: what breaks or is late names it."""

    __slots__ = ("_function",)

    def __init__(self, function: str) -> None:
        self._function = function

    def __enter__(self) -> None:
        """Nothing has to be done first."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, TimeoutReached):
            raise CallTimeout(f"function '{self._function}' did not finish its answer in time") from error
        if isinstance(error, NetError):
            raise CallError(f"the answer of function '{self._function}' broke off: {error}") from error


class Pieces:
    """The bytes of one answer, as they come. Closing this before its end closes the connection, and so ends what makes the answer."""

    __slots__ = ("_pieces", "_reply")

    def __init__(self, reply: Reply, pieces: AsyncGenerator[bytes, None]) -> None:
        self._reply = reply
        self._pieces = pieces

    def __aiter__(self) -> Pieces:
        return self

    def __anext__(self) -> Awaitable[bytes]:
        """Return the next piece; `CallError` where the function failed outside of its steps, or the answer broke off."""
        return self._pieces.__anext__()

    def limit(self, seconds: float | None) -> None:
        """Let what is still to come take *seconds* from now on."""
        self._reply.limit(seconds)

    async def aclose(self) -> None:
        """Leave the answer."""
        await self._pieces.aclose()
        await self._reply.close()


class LambdaApi:
    """Invokes functions of one account and region, or of an emulator.

    *clients* returns the HTTP client of the current thread or loop. Without *signer* requests go unsigned.
    """

    def __init__(
        self, clients: Callable[[], Client], *, endpoint: str, signer: Signer | None, clock: Callable[[], float] = time
    ) -> None:
        self._clients = clients
        self._endpoint = endpoint.rstrip("/")
        self._host = self._endpoint.partition("://")[2].partition("/")[0]
        self._base = self._endpoint.partition("://")[2][len(self._host) :]
        self._signer = signer
        self._clock = clock
        self._streams = True

    @classmethod
    def from_environment(cls, clients: Callable[[], Client], environ: Mapping[str, str]) -> LambdaApi:
        """Return the API that a function's environment names.

        An endpoint of one's own (`AWS_ENDPOINT_URL_LAMBDA`, `AWS_ENDPOINT_URL`) may do without credentials; AWS may not: raises
        `CredentialsError`.
        """
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        endpoint = environ.get("AWS_ENDPOINT_URL_LAMBDA") or environ.get("AWS_ENDPOINT_URL") or ""
        credentials = Credentials.from_environment(environ)
        if credentials is None and not endpoint:
            raise CredentialsError(
                "there are no credentials to call the other functions with",
                hint="on AWS the function's role gives them; locally set AWS_ENDPOINT_URL_LAMBDA to the emulator",
            )
        signer = None if credentials is None else Signer(credentials, region, "lambda")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return cls(clients, endpoint=endpoint or f"https://lambda.{region}.{suffix}", signer=signer)

    async def invoke(
        self, function: str, payload: bytes, *, qualifier: str = "", trace: str = "", timeout_s: float | None = None
    ) -> Pieces:
        """Invoke *function* and return the stream of its answer, once the API has accepted the call.

        Raises `Retryable` for throttles, server errors and broken connections, otherwise `CallError`. The stream raises `CallError`
        when the function fails outside of its steps.
        """
        if self._streams:
            reply = await self._post(
                function, "2021-11-15", "response-streaming-invocations", payload, qualifier, trace, timeout_s
            )
            if reply.status == 200:
                return Pieces(reply, _streamed(reply, function))
            body = await reply.read(_ERROR_LIMIT)
            if reply.status not in (404, 405, 501) or _error_name(reply, body) == "ResourceNotFoundException":
                raise _refusal(reply, body, function)
            self._streams = False
        reply = await self._post(function, "2015-03-31", "invocations", payload, qualifier, trace, timeout_s)
        if reply.status != 200:
            raise _refusal(reply, await reply.read(_ERROR_LIMIT), function)
        return Pieces(reply, _whole(reply, function))

    async def _post(
        self, function: str, version: str, operation: str, payload: bytes, qualifier: str, trace: str, timeout_s: float | None
    ) -> Reply:
        path = f"{self._base}/{version}/functions/{quote(function)}/{operation}"
        query = {"Qualifier": qualifier} if qualifier else {}
        headers = [("Content-Type", "application/json"), ("X-Amz-Invocation-Type", "RequestResponse")]
        signed = (
            [] if self._signer is None else self._signer.sign("POST", self._host, path, query, headers, payload, self._clock())
        )
        if trace:
            signed.append(("X-Amzn-Trace-Id", trace))  # unsigned, as proxies may change it
        url = f"{self._endpoint[: len(self._endpoint) - len(self._base)]}{path}" + (
            f"?Qualifier={quote(qualifier)}" if qualifier else ""
        )
        try:
            return await self._clients().request("POST", url, headers=[*headers, *signed], body=payload, timeout_s=timeout_s)
        except TimeoutReached as error:
            raise _late(function, timeout_s) from error
        except ConnectError as error:
            raise Retryable(CallThrottled(f"function '{function}' cannot be reached: {error}")) from error
        except ConnectionClosed as error:
            raise Retryable(CallError(f"the connection to function '{function}' broke: {error}")) from error
        except NetError as error:
            raise CallError(f"function '{function}' cannot be called: {error}") from error


def _refusal(reply: Reply, body: bytes, function: str) -> Exception:
    """Return what the status and the body of a refused call mean."""
    name = _error_name(reply, body)
    what = f"function '{function}': {name + ': ' if name else ''}{_message(body) or reply.reason} (status {reply.status})"
    error = CallThrottled(what) if reply.status in (429, 503) else CallError(what)
    if reply.status == 413:
        error.hint = SMALLER
    elif reply.status == 429:
        error.hint = "give the function more concurrency, or the call more retries: call={'retries': ...}"
    elif name == "ResourceNotFoundException":
        error.hint = "deploy the graph again: the function is missing"
    return Retryable(error) if reply.status == 429 or reply.status >= 500 else error


SMALLER = "send less between the steps, or place both steps in one function"


def _error_name(reply: Reply, body: bytes) -> str:
    name = reply.header("x-amzn-errortype")
    if not name:
        found = _json(body)
        name = str(found.get("__type") or found.get("Type") or "")
    return name.partition(":")[0].rpartition("#")[2]


def _message(body: bytes) -> str:
    found = _json(body)
    return str(found.get("Message") or found.get("message") or "") or body[:200].decode("utf-8", "replace")


def _json(body: bytes | str) -> dict[str, object]:
    try:
        found = loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _late(function: str, timeout_s: float | None) -> CallTimeout:
    return CallTimeout(f"function '{function}' did not answer within {timeout_s or 0:g} s")


def _function_error(function: str, details: bytes | str) -> CallError:
    """Return what a function's error document says: the function failed outside of its steps, or was stopped."""
    found = _json(details)
    kind, text = str(found.get("errorType") or ""), str(found.get("errorMessage") or "")
    text = text or (details if isinstance(details, str) else details[:200].decode("utf-8", "replace"))
    message = f"function '{function}' failed: {kind + ': ' if kind else ''}{text}"
    return CallTimeout(message) if kind == "Sandbox.Timedout" or "Task timed out" in text else CallError(message)


async def _streamed(reply: Reply, function: str) -> AsyncGenerator[bytes, None]:
    reader = MessageReader()
    complete = False
    try:
        with Reading(function):
            async for data in reply.chunks():
                for message in reader.feed(data):
                    kind = message.headers.get(":event-type")
                    if message.headers.get(":message-type") in ("exception", "error"):
                        raise CallError(f"function '{function}': {_message(message.payload)}")
                    if kind == "PayloadChunk":
                        if message.payload:
                            yield message.payload
                    elif kind == "InvokeComplete":
                        complete = True
                        report = _json(message.payload)
                        if report.get("ErrorCode"):
                            raise _function_error(function, str(report.get("ErrorDetails") or report["ErrorCode"]))
    finally:
        await reply.close()
    if not complete:
        raise CallError(f"the answer of function '{function}' broke off")


async def _whole(reply: Reply, function: str) -> AsyncGenerator[bytes, None]:
    try:
        with Reading(function):
            if reply.header("x-amz-function-error"):
                raise _function_error(function, await reply.read(_ANSWER_LIMIT))
            async for data in reply.chunks():
                yield data
    finally:
        await reply.close()
