"""Walk an event along the compiled graph.

`walk` follows one path, without tasks and without a call per step of ours: a straight run of plain steps costs little more than calling
them. Where a path splits, the trip decides who walks the other branches: tasks on the event loop, or a list of paths to be walked
afterwards where no step ever waits. A path ends at `Complete` with a body, or it ends with NOTHING.

Streams are pulled: whoever asks for the next chunk runs the generator up to its next `yield` and the chunk through the steps behind
it. Nothing is produced ahead, and closing the stream closes the generator. A chunk is a small trip of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fnkit.engine.event import Event
from fnkit.engine.isolation import isolate
from fnkit.engine.node import COMPLETE, Node
from fnkit.engine.outlets import choose
from fnkit.engine.paths import read_path, write_path
from fnkit.engine.powers import COROUTINE, DROP, SPECIAL, Drop, Many, RemoteStream
from fnkit.engine.stream import Stream, SyncSource, close_source, drain
from fnkit.errors import StreamingError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fnkit.engine.answer import Answer
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


async def walk(trip: Trip, node: Node, event: Event) -> object:  # noqa: PLR0912, PLR0915  # the hot loop: a call per step would be its price
    """Walk one path from *node* to its end; return the body that reached `Complete`, or NOTHING.

    Raises what a step raised, if no error handler took it.
    """
    body = event.body
    while True:
        entry = body
        special: object = None
        target: Node | None
        targets: tuple[Node, ...] = ()
        try:
            if node.limit:
                counts = event._counts
                if counts is None:
                    counts = event._counts = [0] * trip.program.size
                count = counts[node.index]
                if count >= node.limit:
                    raise RuntimeError(_limit_text(node, event))
                counts[node.index] = count + 1
            for node in node.line:
                entry = body
                result = node.call(body)
                if result.__class__ in SPECIAL:
                    if result.__class__ is COROUTINE:
                        result = await result
                    if result.__class__ in SPECIAL:
                        special = result
                        break
                body = result
            if not node.line:
                event.body = body
                special, event = await _apply(trip, node, event)
                body = event.body
            if special is not None:
                target = None
            elif node.select is None:
                target = node.only
                targets = node.targets
            else:
                names = node.select(_seen(event, body) if node.select_event else body)
                if names.__class__ is list and len(names) == 1:
                    target = node.outlets.get(names[0])
                else:
                    target = None
                if target is None:
                    targets = choose(node, names)
        except Exception as error:
            event.body = entry
            event.origin_state = node.name
            if node.handler is None:
                raise
            event.error = error
            node = node.handler
            body = entry
            continue
        if target is None:
            event.body = body
            if special is not None:
                moved = await _special(trip, node, event, special)
                if not isinstance(moved, Onward):
                    return moved
                target, event = moved.node, moved.event
                body = event.body
            elif len(targets) == 1:
                target = targets[0]
            elif targets:
                target = trip.fork(targets, event)
            if target is None:
                return NOTHING
        if target is COMPLETE:
            return body
        node = target


def _seen(event: Event, body: object) -> Event:
    event.body = body
    return event


def _limit_text(node: Node, event: Event) -> str:
    if not node.default_limit:
        return f"Max iterations exceeded in step '{node.name}' for event {event.id}"
    return (
        f"Step '{node.name}' exceeded the default cycle limit of {node.limit} iterations for event {event.id}. "
        "This typically indicates an infinite cycle without an exit condition. "
        "To fix: 1) Add an exit condition to your cycle, OR 2) Set max_iterations explicitly if this is intentional."
    )


def _route(node: Node, event: Event) -> tuple[Node, ...]:
    if node.select is None:
        return node.targets
    return choose(node, node.select(event if node.select_event else event.body))


async def _apply(trip: Trip, node: Node, event: Event) -> tuple[object, Event]:
    """Run a step that is more than a call from body to body; return what is special about its result, and the event that goes on."""
    match node.power:
        case "collector":
            if not event.streaming_step:
                return None, event
            assert trip.collected is not None, "chunks are collected in the trip of a chunk"
            trip.collected[node].append(event.body)
            return DROP, event
        case "merge":
            bodies = trip.wait_for_merge(node, event)
            if bodies is None:
                return DROP, event
            event.body = bodies
            return Onward(node.release, event), event
        case "remote":
            return _arrived(node, event, await node.call(event)), event  # type: ignore[misc]  # a RemoteStep
        case _:
            return await _apply_call(trip, node, event)


def _arrived(node: Node, event: Event, answer: Answer) -> object:
    if answer.streaming:
        return RemoteStream(answer.value)
    event.body = answer.value
    if answer.many:
        return Many(answer.value)  # type: ignore[arg-type]  # `many` says that it is a list
    if answer.outlets is None:
        return None
    return Routed(choose(node, answer.outlets)) if answer.outlets else DROP


async def _apply_call(trip: Trip, node: Node, event: Event) -> tuple[object, Event]:
    result = node.call(event if node.takes_event else read_path(event.body, node.input_path))
    if result.__class__ is COROUTINE:
        result = await result  # type: ignore[misc]  # its class says so
    if result.__class__ in SPECIAL:
        return result, event
    if node.power == "queue":
        return None, event
    if not node.takes_event:
        event.body = write_path(event.body, node.result_path, result)
        return None, event
    if not isinstance(result, Event):
        raise TypeError(
            f"step '{node.name}' gets the whole event and must return an event, not {type(result).__name__}: end the method with 'return event'"
        )
    if result is not event and result._counts is None:
        result._counts = event._counts
    if result.terminated and trip.program.sequential:
        return Onward(COMPLETE, result), result
    return None, result


async def _special(trip: Trip, node: Node, event: Event, special: object) -> object:
    """Go on after a special result: with the `Onward` that is returned, or the path is over with the value that is returned."""
    if isinstance(special, (Drop, Onward)):
        return special
    if isinstance(special, Routed):
        return _onward(trip, special.targets, event)
    if isinstance(special, Many):
        return await _send_many(trip, node, event, special)
    return await _stream(trip, node, event, special)


def _onward(trip: Trip, targets: tuple[Node, ...], event: Event) -> object:
    if not targets:
        return NOTHING
    target = targets[0] if len(targets) == 1 else trip.fork(targets, event)
    return NOTHING if target is None else Onward(target, event)


async def _send_many(trip: Trip, node: Node, event: Event, many: Many) -> object:
    """Send each body on as an event of its own, one after the other; the first answer counts."""
    bodies = many.bodies if isinstance(many.bodies, (list, tuple)) else list(many.bodies)
    if len(bodies) == 1:
        event.body = bodies[0]
        return _onward(trip, _route(node, event), event)
    first: object = NOTHING
    for body in bodies:
        one = event.copy(body)
        for value in await _run_whole(trip, _route(node, one), one):
            if trip.whole:
                trip.arrivals.append(value)
            elif first is NOTHING:
                first = value
            else:
                await drain(value)
    return first


async def _run_whole(trip: Trip, targets: tuple[Node, ...], event: Event) -> list[object]:
    """Run *event* from *targets* to the end of all its branches, as a trip of its own; return all its answers."""
    if not targets:
        return []
    if targets[0] is COMPLETE and len(targets) == 1:
        return [event.body]
    inner = trip.program.trip(whole=True, collected=trip.collected)
    target = targets[0] if len(targets) == 1 else inner.program.fan(targets)
    await inner.run(target, event)
    return inner.arrivals


async def _stream(trip: Trip, node: Node, event: Event, source: object) -> object:
    """Go on with a stream: hand it to the client where it can get there, run it to its end where it cannot."""
    if event.streaming_step:
        await close_source(source)
        raise StreamingError(
            "Streaming on top of streaming is not allowed. "
            f"Step '{node.name}' received a streaming event from '{event.streaming_step}'."
        )
    collected: dict[Node, list[object]] = {collector: [] for collector in node.collectors}
    failures: list[Exception] = []
    chunks = _chunks(trip, node, event, source, collected, failures)
    if node.streams:
        return await Stream.open(_told(trip, node, event, chunks, collected, failures), trip.cancel)
    async for _ in chunks:
        pass
    if failures and not collected:
        raise _broken(failures[0])
    released = [_collected(event, collector, bodies, failures) for collector, bodies in _reached(collected)]
    if len(released) == 1:
        return released[0]
    for each in released[1:]:
        await trip.arrive(await walk(trip, each.node, each.event))
    return released[0] if released else NOTHING


def _broken(error: Exception) -> StreamingError:
    broken = StreamingError(f"{type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken


def _reached(collected: dict[Node, list[object]]) -> list[tuple[Node, list[object]]]:
    """Return the collectors that chunks were routed to; all of them where there was no chunk at all."""
    return [item for item in collected.items() if item[1]] or list(collected.items())


def _collected(event: Event, collector: Node, bodies: list[object], failures: list[Exception]) -> Onward:
    return Onward(collector.release, event.copy((bodies, failures[0] if failures else None)))


async def _told(
    trip: Trip,
    node: Node,
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
    trip: Trip, node: Node, event: Event, source: object, collected: dict[Node, list[object]], failures: list[Exception]
) -> AsyncGenerator[object, None]:
    """Pull the generator; yield what reaches `Complete`. What the generator raises is noted in *failures*."""
    routed = isinstance(source, RemoteStream)
    stream = source.chunks if isinstance(source, RemoteStream) else source
    if not hasattr(stream, "__anext__"):
        stream = stream.__aiter__() if hasattr(stream, "__aiter__") else SyncSource(stream)  # type: ignore[arg-type,attr-defined]
    number = 0
    inner = _ChunkTrips(trip, node, collected)
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
            for value in await inner.pass_on(
                event.chunk(_chunk_body(node, event, chunk), node.name, number), outlets, routed=routed
            ):
                yield value
            number += 1
    finally:
        await close_source(stream)


def _chunk_body(node: Node, event: Event, chunk: object) -> object:
    if node.takes_event and isinstance(chunk, Event):
        return chunk.body
    if node.result_path:
        return write_path(isolate(event.body), node.result_path, chunk)
    return chunk


class _ChunkTrips:
    """Sends the chunks of one stream through the steps behind it."""

    __slots__ = ("_collected", "_node", "_program")

    def __init__(self, trip: Trip, node: Node, collected: dict[Node, list[object]]) -> None:
        self._program = trip.program
        self._node = node
        self._collected = collected

    async def pass_on(self, event: Event, outlets: tuple[str, ...] | None, *, routed: bool) -> list[object]:
        """Return what reaches `Complete` of this chunk."""
        node = self._node
        if routed:
            targets = node.targets if outlets is None else choose(node, outlets) if outlets else ()
        else:
            targets = _route(node, event)
        if not targets:
            return []
        if targets[0] is COMPLETE and len(targets) == 1:
            return [event.body]
        trip = self._program.trip(whole=True, collected=self._collected)
        await trip.run(targets[0] if len(targets) == 1 else self._program.fan(targets), event)
        return trip.arrivals
