"""Our host inside the managed Python runtime, which knows no streaming.

The managed client hands each event to `awslambdaric.bootstrap.handle_event_request(client, ...)`, looked up anew for every event. While
the handler's module is imported, that function is replaced by one that passes everything on, but gives it a client of ours in
front of the real one: it leaves payloads and answers as the bytes they are, and posts nothing for an answer that we have streamed
already. Contexts, logs, errors and signals stay the managed client's.

The replacement is made only where everything it leans on is found as expected. Otherwise answers are buffered.
"""

from __future__ import annotations

import os
from inspect import signature

from fnkit.engine.drive import drive
from fnkit.lean import import_module
from fnkit.runtime import plain
from fnkit.runtime.client import RuntimeClient
from fnkit.runtime.invocation import Failure, Invocation, Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import ModuleType

    from fnkit.runtime.application import Application
    from fnkit.runtime.invocation import Streamed


class Posted:
    """Stands for an answer that has been streamed already."""


POSTED = Posted()


class ManagedHost:
    """Runs *application* inside the managed runtime. *host* is the Runtime API, for streams."""

    def __init__(self, application: Application, host: str) -> None:
        self._application = application
        self._run: Callable[[Coroutine[object, object, object]], object] = drive
        connect: Callable[[], object] = plain.connector(host)
        if application.needs_loop:
            loop = import_module("asyncio").new_event_loop()
            self._run = loop.run_until_complete
            connect = import_module("fnkit.runtime.looped").connector(host)
        self._client = RuntimeClient(connect, host) if host else None  # type: ignore[arg-type]  # either connector's transports fit

    def handle(self, payload: bytes, context: object, receipt: str) -> Whole | Posted:
        """Answer one event; a stream is posted here and now. Raises the error that the managed runtime is to report."""
        invocation = _invocation(payload, context, receipt)
        try:
            outcome = self._run(self._answer(invocation, context))
        except Failure as failure:
            raise named_error(failure) from None
        assert isinstance(outcome, Whole | Posted)
        return outcome

    async def _answer(self, invocation: Invocation, context: object) -> Whole | Posted:
        answer = await self._application.answer(invocation, context)
        if isinstance(answer, Whole) and not answer.streamed:
            if self._application.needs_loop:
                await self._application.settle()
            return answer
        client = self._client
        assert client is not None, "an application streams only where its host can"
        try:
            if isinstance(answer, Whole):
                await client.post(invocation, answer)
            else:
                await self._stream(client, invocation, answer)
        finally:
            client.drop()  # the managed client has a connection of its own
        if self._application.needs_loop:
            await self._application.settle()
        return POSTED

    @staticmethod
    async def _stream(client: RuntimeClient, invocation: Invocation, answer: Streamed) -> None:
        try:
            await client.stream(invocation, answer)
        except OSError:
            return  # nobody waits for this answer any more
        finally:
            close = getattr(answer.pieces, "aclose", None)
            if close is not None:
                await close()


def _invocation(payload: bytes, context: object, receipt: str) -> Invocation:
    deadline = getattr(context, "_epoch_deadline_time_in_ms", 0)
    return Invocation(
        str(getattr(context, "aws_request_id", "")),
        payload,
        deadline_ms=deadline if isinstance(deadline, int) else 0,
        trace_id=os.environ.get("_X_AMZN_TRACE_ID", ""),
        function_arn=str(getattr(context, "invoked_function_arn", "") or ""),
        receipt=receipt,
    )


def named_error(failure: Failure) -> Exception:
    """Return an exception that the managed runtime reports under the name and the text of *failure*."""
    error: Exception = type(failure.kind, (Exception,), {})(failure.message)
    return error


class Marshaller:
    """Leaves events and answers as they are: our handler reads the one and writes the other."""

    def __init__(self, receipt: str) -> None:
        self._receipt = receipt

    def unmarshal_request(self, request: bytes | str, content_type: str = "application/json") -> Raw:
        """Return the event's bytes, for our handler."""
        return Raw(request if isinstance(request, bytes) else request.encode(), content_type, self._receipt)

    @staticmethod
    def marshal_response(answer: object) -> tuple[object, str]:
        """Return what our handler answered, and its content type."""
        if isinstance(answer, Whole):
            return answer.body, answer.content_type
        assert isinstance(answer, Posted), "only our handler runs behind this marshaller"
        return answer, ""


class Raw:
    """An event that has not been read yet."""

    __slots__ = ("content_type", "payload", "receipt")

    def __init__(self, payload: bytes, content_type: str, receipt: str) -> None:
        self.payload = payload
        self.content_type = content_type
        self.receipt = receipt


class ClientInFront:
    """Stands in front of the managed client for one event. Whatever it does not change it passes on."""

    def __init__(self, client: object, receipt: str) -> None:
        self._client = client
        self.marshaller = Marshaller(receipt)

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def post_invocation_result(self, invoke_id: object, result_data: object, *more: object, **named: object) -> object:
        """Post an answer, unless it has been streamed already."""
        if isinstance(result_data, Posted):
            return None
        post: Callable[..., object] = self._client.post_invocation_result  # type: ignore[attr-defined]  # checked when it was replaced
        return post(invoke_id, result_data, *more, **named)


def enable_streaming(bootstrap: ModuleType, handler: object) -> str:
    """Let *bootstrap*, the managed client's module, stream what *handler* answers; return why it cannot be done, `""` if it is.

    Events of other handlers are left alone. Doing it twice changes nothing.
    """
    original = getattr(bootstrap, "handle_event_request", None)
    complaint = _complaint(bootstrap, original)
    if complaint or original is None:
        return complaint
    if getattr(original, "fnkit_handler", None) is handler:
        return ""
    parameters = signature(original)

    def handle_event_request(lambda_runtime_client: object, request_handler: object, *more: object, **named: object) -> object:
        if request_handler is not handler:
            return original(lambda_runtime_client, request_handler, *more, **named)
        given = parameters.bind(lambda_runtime_client, request_handler, *more, **named).arguments
        client = ClientInFront(lambda_runtime_client, str(given.get("invocation_id") or ""))
        return original(client, request_handler, *more, **named)

    handle_event_request.fnkit_handler = handler  # type: ignore[attr-defined]  # a mark on the function
    bootstrap.handle_event_request = handle_event_request  # type: ignore[attr-defined]  # that is the seam
    return ""


def _complaint(bootstrap: ModuleType, original: object) -> str:
    """Return what of the managed client is not as expected; `""` where all is."""
    if not callable(original):
        return "awslambdaric.bootstrap has no function handle_event_request"
    try:
        names = list(signature(original).parameters)
    except (TypeError, ValueError):
        names = []
    if names[:4] != ["lambda_runtime_client", "request_handler", "invoke_id", "event_body"]:
        return "awslambdaric.bootstrap.handle_event_request takes other arguments than expected"
    client = getattr(bootstrap, "LambdaRuntimeClient", None)
    marshaller = getattr(client, "marshaller", None)
    if not callable(getattr(client, "post_invocation_result", None)):
        return "awslambdaric's client has no method post_invocation_result"
    if not all(callable(getattr(marshaller, name, None)) for name in ("unmarshal_request", "marshal_response")):
        return "awslambdaric's client has no marshaller as expected"
    return ""
