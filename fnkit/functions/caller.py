"""Call a step that runs in another function, as if it ran here.

The event travels in an envelope, `{"fnkit": {"step": NAME, "key": KEY, "event": {...}}}`; the answer comes back as frames. Throttles,
server errors and broken connections are tried again, with growing and random pauses, as long as nothing of the answer has come;
KEY is the same at each of these attempts and for the same visit of the same event, so that a step can recognise it.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from json import loads
from random import random

from fnkit.engine.answer import Answer
from fnkit.functions.breaker import Breaker
from fnkit.functions.codec import decode_body, encode_json, read_response
from fnkit.functions.envelope import render_call, render_reference
from fnkit.functions.failures import CallError, CallThrottled, remote_error
from fnkit.functions.frames import FrameReader, StepChunk, StepFault, StepHead
from fnkit.functions.lambda_api import PAYLOAD_LIMIT, SMALLER, Retryable
from fnkit.records import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from fnkit.engine.event import Event
    from fnkit.functions.frames import StepFrame
    from fnkit.functions.objects import ObjectStore

ATTEMPTS = 5
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


def _no_store() -> None:
    """Nothing can be stored."""


class Invoker(Protocol):
    """What invokes functions: `LambdaApi`, or a fake."""

    async def invoke(
        self, function: str, payload: bytes, *, qualifier: str = "", trace: str = "", timeout_s: float | None = None
    ) -> AsyncIterator[bytes]:
        """Return the stream of the function's answer; `Retryable` where another attempt may help."""
        ...


class StepCaller:
    """A step of another function. *function* and *qualifier* say what the Lambda API is asked for.

    A call has at most *payload_limit* bytes.

    *pause* waits some seconds; *chance* gives a number from 0 to 1. Both are parameters for the sake of tests.
    """

    def __init__(
        self,
        invoker: Invoker,
        step: str,
        function: str,
        *,
        pause: Callable[[float], Awaitable[None]],
        qualifier: str = "",
        timeout_s: float | None = None,
        attempts: int = ATTEMPTS,
        chance: Callable[[], float] = random,
        breaker: Breaker | None = None,
        store: Callable[[], ObjectStore | None] = _no_store,
        payload_limit: int = PAYLOAD_LIMIT,
    ) -> None:
        self._invoker = invoker
        self._step = step
        self._function = function
        self._qualifier = qualifier
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._pause = pause
        self._chance = chance
        self._breaker = breaker or Breaker()
        self._store = store
        self._payload_limit = payload_limit

    async def __call__(self, event: Event) -> Answer:
        """Run the step for *event*. Raises the step's own error under its name, or `CallError`."""
        where = f"step '{self._step}'"
        payload = encode_json(render_call(self._step, event), where=where).encode()
        trace = event.header("x-amzn-trace-id")
        if len(payload) > self._payload_limit:
            frames, head = await self._begin_stored(payload, trace, where)
        else:
            frames = _Frames(await self._invoke(payload, trace), self._function)
            head = await frames.first()
        try:
            if isinstance(head, StepFault):
                raise remote_error(head.type, head.message, head.stack)
            if not isinstance(head, StepHead):
                raise CallError(f"function '{self._function}' answered without a head", where=where)
            if head.response is not None:
                return Answer(read_response(head.response, _values(frames)))
            if head.streaming:
                return Answer(value=_chunks(frames), outlets=None, streaming=True)
            answer = await self._whole(frames, many=head.many)
        except BaseException:
            await frames.close()
            raise
        await frames.close()
        return answer

    async def _begin_stored(self, payload: bytes, trace: str, where: str) -> tuple[_Frames, StepFrame | None]:
        """Call with a reference to *payload*, which is stored until the function has begun to answer."""
        store = self._store()
        if store is None:
            raise CallError(
                f"the event for function '{self._function}' has {len(payload)} bytes, {self._payload_limit} are possible",
                where=where,
                hint=SMALLER,
            )
        key = await store.put(payload)
        try:
            frames = _Frames(await self._invoke(render_reference(key), trace), self._function)
            return frames, await frames.first()
        finally:
            await store.remove(key)

    async def _invoke(self, payload: bytes, trace: str) -> AsyncIterator[bytes]:
        left = self._breaker.rest_s()
        if left:
            raise CallThrottled(
                f"function '{self._function}' was throttled again and again and is left alone for {left:.1f} s",
                where=f"step '{self._step}'",
                hint="give the function more concurrency, or send less",
            )
        for attempt in range(1, self._attempts + 1):
            try:
                answer = await self._invoker.invoke(
                    self._function, payload, qualifier=self._qualifier, trace=trace, timeout_s=self._timeout_s
                )
                self._breaker.answered()
                return answer
            except Retryable as failure:
                useless = isinstance(failure.error, CallThrottled) and self._breaker.throttled()
                if attempt == self._attempts or useless:
                    error = failure.error
                    error.where = error.where or f"step '{self._step}'"
                    raise error from failure
            longest = min(_FIRST_PAUSE_S * 2 ** (attempt - 1), _LONGEST_PAUSE_S)
            await self._pause(longest * (0.5 + 0.5 * self._chance()))
        raise AssertionError("the last attempt returns or raises")

    async def _whole(self, frames: _Frames, *, many: bool) -> Answer:
        values: list[object] = []
        outlets: tuple[str, ...] | None = None
        while (frame := await frames.next()) is not None:
            if isinstance(frame, StepFault):
                raise remote_error(frame.type, frame.message, frame.stack)
            if isinstance(frame, StepChunk):
                values.append(decode_body(frame.body))
                outlets = frame.outlets
        if many:
            return Answer(values, outlets, many=True)
        if len(values) != 1:
            raise CallError(f"function '{self._function}' answered with {len(values)} values", where=f"step '{self._step}'")
        return Answer(values[0], outlets)


class _Frames:
    """The frames of one answer, one after the other."""

    def __init__(self, data: AsyncIterator[bytes], function: str) -> None:
        self._data = data
        self._function = function
        self._reader = FrameReader()
        self._ready: list[StepFrame] = []
        self._started = False

    async def first(self) -> StepFrame | None:
        """Return the first frame; the connection is closed where there is none."""
        try:
            return await self.next()
        except BaseException:
            await self.close()
            raise

    async def next(self) -> StepFrame | None:
        """Return the next frame but the end, None after the last. Raises `CallError` where the answer stops early."""
        while not self._ready:
            if self._reader.finished:
                return None
            try:
                data = await anext(self._data)
            except StopAsyncIteration:
                raise CallError(f"the answer of function '{self._function}' broke off") from None
            if not self._started and data[:1] == b"{":
                data = await self._unwrapped(data)
            self._started = True
            self._ready.extend(self._reader.feed(data))
            self._ready.reverse()
        frame = self._ready.pop()
        if isinstance(frame, StepHead | StepChunk | StepFault):
            return frame
        async for _ in self._data:  # what is behind the last frame: only then can the connection be used again
            pass
        return None

    async def _unwrapped(self, data: bytes) -> bytes:
        """Return the frames that a function without streaming has put into JSON."""
        parts = [data]
        async for more in self._data:
            parts.append(more)
        text = b"".join(parts)
        try:
            return a2b_base64(loads(text)["fnkit"], strict_mode=True)
        except (ValueError, KeyError, TypeError, Base64Error):
            shown = text[:200].decode("utf-8", "replace")
            raise CallError(f"function '{self._function}' did not answer as a step does: {shown}") from None

    async def close(self) -> None:
        close = getattr(self._data, "aclose", None)
        if close is not None:
            await close()


async def _values(frames: _Frames) -> AsyncIterator[object]:
    """Yield each chunk; closing this closes the connection."""
    chunks = _chunks(frames)
    try:
        async for value, _ in chunks:
            yield value
    finally:
        await frames.close()


async def _chunks(frames: _Frames) -> AsyncIterator[tuple[object, tuple[str, ...] | None]]:
    """Yield each chunk with its outlets; closing this closes the connection, so the step's generator ends too."""
    try:
        while (frame := await frames.next()) is not None:
            if isinstance(frame, StepFault):
                raise remote_error(frame.type, frame.message, frame.stack)
            if isinstance(frame, StepChunk):
                yield decode_body(frame.body), frame.outlets
    finally:
        await frames.close()
