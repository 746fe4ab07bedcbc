"""Run one step for another function of the graph, and answer with frames."""

from __future__ import annotations

from binascii import b2a_base64
from json import dumps
from typing import TYPE_CHECKING

from fnkit.functions.codec import encode_body
from fnkit.functions.envelope import read_call
from fnkit.functions.frames import StepChunk, StepEnd, StepFault, StepHead, render_frame
from fnkit.runtime.invocation import OCTETS, Failure, Streamed, Whole

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
            if not answer.streaming:
                frames = _plain(name, answer)
                return Whole(frames, OCTETS, streamed=True) if streams else _wrapped(frames)
        except Exception as error:
            frames = _HEAD + self._fault(error)
            return Whole(frames, OCTETS, streamed=True) if streams else _wrapped(frames)
        stream = self._frames(name, answer)
        return (
            Streamed(OCTETS, _STREAMING_HEAD, stream)
            if streams
            else _wrapped(_STREAMING_HEAD + b"".join([item async for item in stream]))
        )

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

    async def _frames(self, name: str, answer: Answer) -> AsyncIterator[bytes]:
        chunks = answer.value
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
        return render_frame(StepFault(failure.kind, failure.message, failure.stack))


def _plain(name: str, answer: Answer) -> bytes:
    if not answer.many:
        return _HEAD + _chunk(name, answer.value, answer.outlets) + _END
    bodies = answer.value if isinstance(answer.value, list) else [answer.value]
    return _MANY_HEAD + b"".join(_chunk(name, body, answer.outlets) for body in bodies) + _END


def _chunk(name: str, value: object, outlets: tuple[str, ...] | None) -> bytes:
    return render_frame(StepChunk(encode_body(value, where=f"step '{name}'"), outlets))


def _wrapped(frames: bytes) -> Whole:
    return Whole(dumps({"fnkit": b2a_base64(frames, newline=False).decode()}).encode())
