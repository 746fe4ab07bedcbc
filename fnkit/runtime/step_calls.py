"""Run one step for another function of the graph, and answer with frames."""

from __future__ import annotations

from binascii import b2a_base64

from fnkit.engine.response import Response
from fnkit.engine.stream import SyncSource, close_source
from fnkit.functions.codec import encode_body, response_fields
from fnkit.functions.envelope import read_call
from fnkit.functions.failures import facts_of
from fnkit.functions.frames import StepChunk, StepEnd, StepFault, StepHead, render_frame
from fnkit.lean import dumps
from fnkit.runtime.invocation import OCTETS, Failure, Streamed, Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from fnkit.engine.answer import Answer, RemoteStep
    from fnkit.engine.event import Event
    from fnkit.runtime.http_events import Failures

_HEAD = render_frame(StepHead(streaming=False))
_MANY_HEAD = render_frame(StepHead(streaming=False, many=True))
_STREAMING_HEAD = render_frame(StepHead(streaming=True))
_END = render_frame(StepEnd())


class StepCalls:
    """The steps of this function that others call. *load* makes a step when it is first asked for."""

    def __init__(self, load: Callable[[str], RemoteStep], names: tuple[str, ...], failures: Failures) -> None:
        self._load = load
        self._names = names
        self._failures = failures
        self._steps: dict[str, RemoteStep] = {}

    def prepare(self) -> tuple[RemoteStep, ...]:
        """Make all steps now, so that their errors are errors of the start; return them."""
        return tuple(map(self._step, self._names))

    async def answer(self, envelope: Mapping[str, object], context: object, *, streams: bool) -> Whole | Streamed:
        """Run the step that an envelope names. Errors of the step are part of the answer.

        Where nothing can be streamed the frames are joined and wrapped into JSON. Raises `Failure` for an envelope that does not
        fit this function.
        """
        name, event = self._read(envelope)
        step = self._step(name)
        event.__dict__["lambda_context"] = context
        try:
            answer = await step(event)
            stream = self._stream(name, answer)
            if stream is None:
                return _finished(_plain(name, answer), streams=streams)
        except Exception as error:
            return _finished(_HEAD + self._fault(error), streams=streams)
        if streams:
            return Streamed(OCTETS, stream.head, stream.frames)
        return _finished(stream.head + b"".join([frame async for frame in stream.frames]), streams=False)

    def _stream(self, name: str, answer: Answer) -> _Stream | None:
        """Return the frames of an answer that streams, or of a `Response` whose body does; None for any other."""
        if answer.streaming:
            return _Stream(_STREAMING_HEAD, self._frames(name, answer.value))
        response = answer.value
        if isinstance(response, Response) and (hasattr(response.body, "__next__") or hasattr(response.body, "__anext__")):
            head = render_frame(StepHead(streaming=True, response=response_fields(response)))
            return _Stream(head, self._frames(name, _with_all_outlets(response.body)))
        return None

    def _read(self, envelope: Mapping[str, object]) -> tuple[str, Event]:
        name, event = read_call(envelope)
        if name not in self._names:
            raise Failure(
                "GraphError",
                f"this function does not run a step called '{name}', only {', '.join(self._names) or 'none'}: "
                "deploy all functions of the graph together",
            )
        return name, event

    def _step(self, name: str) -> RemoteStep:
        step = self._steps.get(name)
        if step is None:
            step = self._steps[name] = self._load(name)
        return step

    async def _frames(self, name: str, chunks: object) -> AsyncIterator[bytes]:
        try:
            async for value, outlets in chunks:  # type: ignore[attr-defined]  # a streaming answer's value is a stream
                yield _chunk(name, value, outlets)
        except Exception as error:
            yield self._fault(error)
        else:
            yield _END
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    def _fault(self, error: Exception) -> bytes:
        if type(error).__name__ == "StreamingError" and isinstance(error.__cause__, Exception):
            error = error.__cause__
        failure = Failure.of(error)
        self._failures.report(failure)
        return render_frame(StepFault(failure.kind, failure.message, failure.stack, *facts_of(error)))


class _Stream:
    """The head of an answer and the frames that follow it."""

    __slots__ = ("frames", "head")

    def __init__(self, head: bytes, frames: AsyncIterator[bytes]) -> None:
        self.head = head
        self.frames = frames


async def _with_all_outlets(generator: object) -> AsyncIterator[tuple[object, None]]:
    """Yield what a generator of either kind yields, for all next steps; closing this closes it."""
    stream = generator if hasattr(generator, "__anext__") else SyncSource(generator)  # type: ignore[arg-type]  # a generator
    try:
        while True:
            try:
                value = await stream.__anext__()
            except StopAsyncIteration:
                return
            yield value, None
    finally:
        await close_source(stream)


def _plain(name: str, answer: Answer) -> bytes:
    if not answer.many:
        return _HEAD + _chunk(name, answer.value, answer.outlets) + _END
    bodies = answer.value if isinstance(answer.value, list) else [answer.value]
    return _MANY_HEAD + b"".join(_chunk(name, body, answer.outlets) for body in bodies) + _END


def _chunk(name: str, value: object, outlets: tuple[str, ...] | None) -> bytes:
    return render_frame(StepChunk(encode_body(value, where=f"step '{name}'"), outlets))


def _finished(frames: bytes, *, streams: bool) -> Whole:
    """Return *frames*, all of an answer; in JSON where nothing can be streamed."""
    if streams:
        return Whole(frames, OCTETS, streamed=True)
    return Whole(dumps({"fnkit": b2a_base64(frames, newline=False).decode()}).encode())
