"""Services that run in a function of their own, called through the Lambda API: bytes in; a status, a content type and bytes out.

A function that fails is to the graph what a service behind HTTP is: one that cannot be reached, or does not answer in time, fails
the call, and the client reads why; one that answers the API and then breaks answers with 502, 503 (throttled) or 504 (stopped at
its own limit of time), which counts for retries and Hard steps like any other status.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from fnkit.engine.event import Event
from fnkit.engine.response import Response
from fnkit.functions.failures import CallError
from fnkit.functions.lambda_api import Retryable
from fnkit.inference_graph.answers import JSON, error_body
from fnkit.inference_graph.calls import Answer, CallFailed
from fnkit.net.errors import NetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from fnkit.engine.answer import Answer as StepAnswer
    from fnkit.inference_graph.calls import Headers


class FunctionService:
    """A service in another function; *call* brings an event there."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[Event], Awaitable[StepAnswer]]) -> None:
        self._call = call

    async def __call__(self, body: bytes, headers: Headers, *, stream: bool) -> Answer:
        event = Event(body, headers=dict(headers), method="POST", content_type=JSON)
        try:
            answer = await self._call(event)
        except CallError as error:
            if isinstance(_root(error), NetError):
                raise CallFailed(str(error)) from error
            return Answer(error.status, error_body(str(error)), JSON)
        except Exception as error:  # whatever the function's own code raised outside of its step
            return Answer(500, error_body(f"{type(error).__name__}: {error}"), JSON)
        response = answer.value
        if not isinstance(response, Response):
            return Answer(502, error_body("the function did not answer as a service does: build all functions again"), JSON)
        content_type = response.content_type if response.declared else ""
        content = response.body
        if not isinstance(content, AsyncGenerator):
            return Answer(response.status_code, _bytes(content), content_type)
        chunks = _chunks(content)
        if stream:
            return Answer(response.status_code, chunks, content_type)
        return Answer(response.status_code, b"".join([chunk async for chunk in chunks]), content_type)


def _root(error: CallError) -> BaseException | None:
    """Return what *error* comes from: the error of the net, if a call did not get through."""
    cause = error.__cause__
    return cause.__cause__ if isinstance(cause, Retryable) else cause


async def _chunks(content: AsyncGenerator[object]) -> AsyncIterator[bytes]:
    """Yield the pieces of a streamed answer; closing this ends the generator that makes it, in its function."""
    try:
        async for chunk in content:
            yield _bytes(chunk)
    except Exception as error:  # the function broke off, or what made the stream raised
        raise CallFailed(f"the answer broke off: {error}") from error
    finally:
        await content.aclose()


def _bytes(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    return content.encode() if isinstance(content, str) else b""
