"""Call a step that runs in another function, as if it ran here.

The event travels in an envelope, `{"fnkit": {"step": NAME, "key": KEY, "event": {...}}}`; the answer comes back as frames. Throttles,
server errors and broken connections are tried again, with growing and random pauses, as long as nothing of the answer has come; so are
errors that the step's call options name, as long as no chunk has been passed on. KEY is the same at each of these attempts and for the
same visit of the same event, so that a step can recognise it.

A limit of the step (`timeout_s`) is one of each attempt: from its beginning to the whole answer, or to the first chunk of a stream.
What is late is left: the connection is closed, and so the step is told that nobody waits for it.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from time import monotonic

from fnkit.engine.answer import Answer
from fnkit.engine.attempts import RetryRules, chance, late_answer, late_chunk
from fnkit.functions.breaker import Breaker
from fnkit.functions.codec import decode_body, encode_json, read_response
from fnkit.functions.envelope import render_call
from fnkit.functions.failures import CallError, CallThrottled, CallTimeout, remote_error
from fnkit.functions.frames import FrameReader, StepChunk, StepFault, StepHead
from fnkit.functions.lambda_api import PAYLOAD_LIMIT, SMALLER, Retryable
from fnkit.functions.marks import render_reference
from fnkit.lean import loads
from fnkit.manifest.model import NO_CALL_OPTIONS
from fnkit.net.errors import TimeoutReached
from fnkit.records import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from fnkit.engine.event import Event
    from fnkit.errors import StepTimeoutError
    from fnkit.functions.frames import StepFrame
    from fnkit.functions.objects import ObjectStore
    from fnkit.manifest.model import CallOptions


def _no_store() -> None:
    """Nothing can be stored."""


class Arriving(Protocol):
    """The bytes of an answer, as they come."""

    def __anext__(self) -> Awaitable[bytes]:
        """Return the next piece."""
        ...

    def limit(self, seconds: float | None) -> None:
        """Let what is still to come take *seconds* from now on."""
        ...

    async def aclose(self) -> None:
        """Leave the answer."""
        ...


class Invoker(Protocol):
    """What invokes functions: `LambdaApi`, or a fake."""

    async def invoke(
        self, function: str, payload: bytes, *, qualifier: str = "", trace: str = "", timeout_s: float | None = None
    ) -> Arriving:
        """Return the stream of the function's answer; `Retryable` where another attempt may help."""
        ...


class StepCaller:
    """A step of another function. *function* and *qualifier* say what the Lambda API is asked for.

    An attempt takes *timeout_s* seconds at most; *call* may say less, and what is tried again. A call has at most *payload_limit* bytes.

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
        call: CallOptions = NO_CALL_OPTIONS,
        chance: Callable[[], float] = chance,
        breaker: Breaker | None = None,
        store: Callable[[], ObjectStore | None] = _no_store,
        payload_limit: int = PAYLOAD_LIMIT,
    ) -> None:
        self._invoker = invoker
        self._step = step
        self._function = function
        self._qualifier = qualifier
        self._limits = _Limits(step, timeout_s, call)
        self._rules = RetryRules(call, chance)
        self._pause = pause
        self._breaker = breaker or Breaker()
        self._store = store
        self._payload_limit = payload_limit

    async def __call__(self, event: Event) -> Answer:
        """Run the step for *event*. Raises the step's own error under its name, `StepTimeoutError`, or `CallError`."""
        where = f"step '{self._step}'"
        payload = encode_json(render_call(self._step, event), where=where).encode()
        trace = event.header("x-amzn-trace-id")
        if len(payload) <= self._payload_limit:
            return await self._answer(payload, trace)
        store = self._store()
        if store is None:
            raise CallError(
                f"the event for function '{self._function}' has {len(payload)} bytes, {self._payload_limit} are possible",
                where=where,
                hint=SMALLER,
            )
        key = await store.put(payload)
        try:
            return await self._answer(render_reference(key), trace)
        finally:
            await store.remove(key)  # the function has read it before it began to answer

    async def _answer(self, payload: bytes, trace: str) -> Answer:
        """Return the answer of the first attempt that counts."""
        self._refuse_resting()
        rules = self._rules
        attempt = 1
        while True:
            last = attempt > rules.retries
            try:
                return await self._attempt(payload, trace)
            except Retryable as failure:
                useless = isinstance(failure.error, CallThrottled) and self._breaker.throttled()
                if last or useless:
                    error = failure.error
                    error.where = error.where or f"step '{self._step}'"
                    raise error from failure
            except Exception as error:
                if last or not rules.names(error):
                    raise
            await self._pause(rules.pause_s(attempt))
            attempt += 1

    def _refuse_resting(self) -> None:
        left = self._breaker.rest_s()
        if left:
            raise CallThrottled(
                f"function '{self._function}' was throttled again and again and is left alone for {left:.1f} s",
                where=f"step '{self._step}'",
                hint="give the function more concurrency, or send less",
            )

    async def _attempt(self, payload: bytes, trace: str) -> Answer:
        limits = self._limits
        until = limits.until()
        try:
            data = await self._invoker.invoke(
                self._function, payload, qualifier=self._qualifier, trace=trace, timeout_s=limits.first_s
            )
            self._breaker.answered()
            frames = _Frames(data, self._function)
            return await self._read(frames, until)
        except CallTimeout as error:
            late = limits.named(error)
            if late is error:
                raise  # with its own cause
            raise late from error

    async def _read(self, frames: _Frames, until: float | None) -> Answer:
        head = await frames.first()
        try:
            if isinstance(head, StepFault):
                raise _error_of(head)
            if not isinstance(head, StepHead):
                raise CallError(f"function '{self._function}' answered without a head", where=f"step '{self._step}'")
            if head.response is not None or head.streaming:
                if self._limits.said or self._rules.repeats_steps:
                    await frames.keep_next()
                chunks = _Chunks(frames, self._limits, until)
                if head.response is None:
                    return Answer(value=chunks, outlets=None, streaming=True)
                return Answer(read_response(head.response, _values(chunks)))
            answer = await self._whole(frames, many=head.many)
        except BaseException:
            await frames.close()
            raise
        await frames.close()
        return answer

    async def _whole(self, frames: _Frames, *, many: bool) -> Answer:
        values: list[object] = []
        outlets: tuple[str, ...] | None = None
        while (frame := await frames.next()) is not None:
            if isinstance(frame, StepFault):
                raise _error_of(frame)
            if isinstance(frame, StepChunk):
                values.append(decode_body(frame.body))
                outlets = frame.outlets
        if many:
            return Answer(values, outlets, many=True)
        if len(values) != 1:
            raise CallError(f"function '{self._function}' answered with {len(values)} values", where=f"step '{self._step}'")
        return Answer(values[0], outlets)


def _error_of(fault: StepFault) -> Exception:
    return remote_error(fault.type, fault.message, fault.stack, fault.bases, fault.status, fault.hint)


class _Limits:
    """How long an attempt may take: *first_s* to its whole answer or first chunk, *idle_s* to each later chunk, *whole_s* in all.

    *said*: the step's own options say one of the first two.
    """

    __slots__ = ("_step", "_timeout_s", "first_s", "idle_s", "said", "whole_s")

    def __init__(self, step: str, whole_s: float | None, call: CallOptions) -> None:
        self._step = step
        self._timeout_s = call.timeout_s
        self.whole_s = whole_s
        self.first_s = whole_s if call.timeout_s is None else call.timeout_s if whole_s is None else min(call.timeout_s, whole_s)
        self.idle_s = call.timeout_s if call.idle_timeout_s is None else call.idle_timeout_s
        self.said = self.idle_s is not None

    def until(self) -> float | None:
        """Return the moment, by the monotonic clock, at which an attempt that begins now must be over."""
        return None if self.whole_s is None else monotonic() + self.whole_s

    def named(self, error: CallTimeout) -> CallTimeout | StepTimeoutError:
        """Return what to say of *error*, which has ended an attempt: the step's own limit, where that is what it ran into."""
        if self._timeout_s is None or self._timeout_s != self.first_s or not isinstance(error.__cause__, TimeoutReached):
            return error
        return late_answer(self._step, self._timeout_s)

    def start_chunk(self, data: Arriving, until: float | None) -> bool:
        """Limit the wait for the next chunk; True where it is the step's own limit that counts."""
        if self.idle_s is None:
            return False
        left = None if until is None else until - monotonic()
        own = left is None or self.idle_s <= left
        data.limit(self.idle_s if own else left)
        return own

    def stood_still(self) -> StepTimeoutError:
        """Return the error of a stream whose next chunk did not come."""
        assert self.idle_s is not None, "only then is there a limit"
        return late_chunk(self._step, self.idle_s)


class _Frames:
    """The frames of one answer, one after the other."""

    def __init__(self, data: Arriving, function: str) -> None:
        self.data = data
        self._function = function
        self._reader = FrameReader()
        self._ready: list[StepFrame] = []
        self._started = False
        self._kept: tuple[StepFrame | None, ...] = ()

    async def first(self) -> StepFrame | None:
        """Return the first frame; the connection is closed where there is none."""
        try:
            return await self.next()
        except BaseException:
            await self.close()
            raise

    async def next(self) -> StepFrame | None:
        """Return the next frame but the end, None after the last. Raises `CallError` where the answer stops early."""
        if self._kept:
            (frame,), self._kept = self._kept, ()
            return frame
        while not self._ready:
            if self._reader.finished:
                return None
            try:
                data = await self.data.__anext__()
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
        await self._finish()
        return None

    async def keep_next(self) -> None:
        """Wait for the next frame and leave it to be taken: a fault is raised, and the end of the answer is an end."""
        frame = await self.next()
        if isinstance(frame, StepFault):
            raise _error_of(frame)
        self._kept = (frame,)

    async def _finish(self) -> None:
        """Read what is behind the last frame: only then can the connection be used again."""
        while True:
            try:
                await self.data.__anext__()
            except StopAsyncIteration:
                return

    async def _unwrapped(self, data: bytes) -> bytes:
        """Return the frames that a function without streaming has put into JSON."""
        parts = [data]
        while True:
            try:
                parts.append(await self.data.__anext__())
            except StopAsyncIteration:
                break
        text = b"".join(parts)
        try:
            return a2b_base64(loads(text)["fnkit"], strict_mode=True)
        except (ValueError, KeyError, TypeError, Base64Error):
            shown = text[:200].decode("utf-8", "replace")
            raise CallError(f"function '{self._function}' did not answer as a step does: {shown}") from None

    @property
    def waiting(self) -> bool:
        """Whether the next frame has yet to come."""
        return not (self._kept or self._ready)

    async def close(self) -> None:
        await self.data.aclose()


class _Chunks:
    """The chunks of a stream, each with its outlets. Closing this closes the connection, so the step's generator ends too.

    The time that the receiver takes between two chunks does not count.
    """

    __slots__ = ("_frames", "_limits", "_until")

    def __init__(self, frames: _Frames, limits: _Limits, until: float | None) -> None:
        self._frames = frames
        self._limits = limits
        self._until = until

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> tuple[object, tuple[str, ...] | None]:
        """Return the next chunk."""
        try:
            frame = await self._next()
            if isinstance(frame, StepChunk):
                return decode_body(frame.body), frame.outlets
            if frame is None:
                raise StopAsyncIteration
            raise _error_of(frame) if isinstance(frame, StepFault) else CallError("a stream began twice")
        except BaseException:
            await self.aclose()
            raise

    async def _next(self) -> StepFrame | None:
        frames = self._frames
        own = frames.waiting and self._limits.start_chunk(frames.data, self._until)
        try:
            return await frames.next()
        except CallTimeout as error:
            if own and isinstance(error.__cause__, TimeoutReached):
                raise self._limits.stood_still() from error
            raise

    async def aclose(self) -> None:
        """Leave the stream."""
        await self._frames.close()


async def _values(chunks: _Chunks) -> AsyncIterator[object]:
    """Yield each chunk; closing this closes the connection."""
    try:
        async for value, _ in chunks:
            yield value
    finally:
        await chunks.aclose()
