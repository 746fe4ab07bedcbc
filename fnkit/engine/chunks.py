"""The chunks of a stream on their way through a graph.

Streams are pulled: whoever asks for the next chunk runs the generator up to its next `yield` and the chunk through the steps behind
it. Nothing is produced ahead, and closing the stream closes the generator. A chunk is a small trip of its own.

A stream that can reach `Complete` is handed to the client, who pulls it. One that only reaches collectors is run to its end, and the
path goes on from there; where the error handler of a chunk answers instead, that is the answer, and what was collected goes on unheard.
"""

from __future__ import annotations

from fnkit.engine.event import Event
from fnkit.engine.isolation import isolate
from fnkit.engine.node import COMPLETE, Node
from fnkit.engine.outlets import choose
from fnkit.engine.paths import write_path
from fnkit.engine.powers import COROUTINE, DROP, STREAMS, Many, RemoteStream
from fnkit.engine.stream import Stream, SyncSource, close_source
from fnkit.errors import StreamingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from typing import Any

    from fnkit.engine.program import Program
    from fnkit.engine.trip import Trip

NOTHING = DROP
"""The result of a path that ended without an answer."""


class Onward:
    """Where a path goes on after a step that needed more than a call."""

    __slots__ = ("event", "node")

    def __init__(self, node: Node, event: Event) -> None:
        self.node = node
        self.event = event


class Routed:
    """A step chose its outlets where it ran."""

    __slots__ = ("targets",)

    def __init__(self, targets: tuple[Node, ...]) -> None:
        self.targets = targets


async def route(node: Node, event: Event) -> tuple[Node, ...]:
    """Return the next nodes for *event*."""
    if node.select is None:
        return node.targets
    names = node.select(event if node.select_event else event.body)
    return choose(node, await names if isinstance(names, COROUTINE) else names)


async def run_whole(
    program: Program, targets: tuple[Node, ...], event: Event, collected: dict[Node, list[object]] | None
) -> Sequence[object]:
    """Run *event* from *targets* to the end of all its branches, as a trip of its own; return all its answers."""
    if not targets:
        return []
    if targets[0] is COMPLETE and len(targets) == 1:
        return [event.body]
    trip = program.trip(whole=True, collected=collected)
    await trip.run(targets[0] if len(targets) == 1 else program.fan(targets), event)
    return trip.arrivals


async def refuse_stream(node: Node, event: Event, special: object) -> None:
    """Close what a step began to stream for *event*, a chunk of another stream, and raise StreamingError."""
    if special.__class__ in STREAMS or isinstance(special, RemoteStream):
        await close_source(special)
        raise StreamingError(
            "Streaming on top of streaming is not allowed. "
            f"Step '{node.name}' received a streaming event from '{event.streaming_step}'."
        )


async def stream_on(trip: Trip, node: Node, event: Event, source: object) -> object:
    """Go on with a stream: hand it to the client where it can get there, run it to its end where it cannot."""
    collected: dict[Node, list[object]] = {collector: [] for collector in node.collectors}
    failures: list[Exception] = []
    chunks = _chunks(trip.program, node, event, source, collected, failures)
    if node.streams:
        return await Stream.open(_told(trip, event, chunks, collected, failures), trip.cancel)
    answer = await _first_of(trip, chunks)
    if failures and not collected:
        if answer is NOTHING:
            raise _broken(failures[0])
        trip.program.report(event, failures[0])
    released = [_collected(event, collector, bodies, failures) for collector, bodies in _reached(collected)]
    for each in released if answer is not NOTHING else released[1:]:
        trip.spawn(each.node, each.event)
    return released[0] if released and answer is NOTHING else answer


async def _first_of(trip: Trip, chunks: AsyncGenerator[object, None]) -> object:
    """Run a stream that is collected to its end; return what an error handler of a chunk answered first, or NOTHING."""
    first: object = NOTHING
    async for value in chunks:
        if trip.whole:
            await trip.arrive(value)
        elif first is NOTHING:
            first = value
    return first


def _broken(error: Exception) -> StreamingError:
    broken = StreamingError(f"{type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken


def _reached(collected: dict[Node, list[object]]) -> list[tuple[Node, list[object]]]:
    """Return the collectors that chunks were routed to; all of them where there was no chunk at all."""
    return [item for item in collected.items() if item[1]] or list(collected.items())


def _collected(event: Event, collector: Node, bodies: list[object], failures: list[Exception]) -> Onward:
    one = event.copy((bodies, failures[0] if failures else None))
    one.lineage = (*event.lineage, collector.name)
    return Onward(collector.release, one)


async def _told(
    trip: Trip,
    event: Event,
    chunks: AsyncGenerator[object, None],
    collected: dict[Node, list[object]],
    failures: list[Exception],
) -> AsyncGenerator[object, None]:
    """Yield the chunks that reach the client, then let the collectors go on, then tell of the error that broke the stream."""
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()
    for collector, bodies in _reached(collected):
        onward = _collected(event, collector, bodies, failures)
        await trip.program.trip(whole=True).run(onward.node, onward.event)
    if failures:
        raise _broken(failures[0])


async def _chunks(
    program: Program, node: Node, event: Event, source: Any, collected: dict[Node, list[object]], failures: list[Exception]
) -> AsyncGenerator[object, None]:
    """Pull the generator; yield what reaches `Complete`. What the generator raises is noted in *failures*."""
    routed = isinstance(source, RemoteStream)
    stream: Any = source.chunks if isinstance(source, RemoteStream) else source
    if not hasattr(stream, "__anext__"):
        stream = stream.__aiter__() if hasattr(stream, "__aiter__") else SyncSource(stream)
    number = 0
    try:
        while True:
            try:
                chunk = await stream.__anext__()
            except StopAsyncIteration:
                break
            except Exception as error:
                failures.append(error)
                break
            outlets = None
            if routed:
                chunk, outlets = chunk
            one = event.chunk(_chunk_body(node, event, chunk), node.name, number)
            targets = _routed(node, outlets) if routed else await route(node, one)
            for value in await run_whole(program, targets, one, collected):
                yield value
            number += 1
    finally:
        await _close(program, node, stream)


async def _close(program: Program, node: Node, stream: object) -> None:
    try:
        await close_source(stream)
    except Exception as error:  # the user's `finally`, which nobody waits for any more
        program.context.logger.error(f"{node.name}: closing the stream raised {type(error).__name__}: {error}")


def _chunk_body(node: Node, event: Event, chunk: object) -> object:
    if node.takes_event and isinstance(chunk, Event):
        return chunk.body
    if node.result_path:
        return write_path(isolate(event.body), node.result_path, chunk)
    return chunk


def placed(node: Node, event: Event, many: Many) -> Many:
    """Return *many* as the step's `result_path` wants them: each in a copy of the body."""
    if not node.result_path:
        return many
    return Many([write_path(isolate(event.body), node.result_path, body) for body in many.bodies])


def _routed(node: Node, outlets: tuple[str, ...] | None) -> tuple[Node, ...]:
    """Return where the function that ran the step sends a chunk."""
    if outlets is None:
        return node.targets
    return choose(node, outlets) if outlets else ()
