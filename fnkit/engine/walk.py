"""Walk an event along the compiled graph.

`walk` follows one path, without tasks and without a call per step of ours: a straight run of plain steps costs little more than calling
them. Where a path splits, the trip decides who walks the other branches: tasks on the event loop, or a list of paths to be walked
afterwards where no step ever waits. A path ends at `Complete` with a body, or it ends with NOTHING.
"""

from __future__ import annotations

from fnkit.engine.chunks import NOTHING, Onward, Routed, placed, refuse_stream, route, run_whole, stream_on
from fnkit.engine.event import Event
from fnkit.engine.node import COMPLETE, Node
from fnkit.engine.outlets import choose
from fnkit.engine.paths import read_path, write_path
from fnkit.engine.powers import COROUTINE, DROP, SPECIAL, Many, RemoteStream
from fnkit.engine.stream import drain
from fnkit.lean import length_hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.engine.answer import Answer
    from fnkit.engine.trip import Trip


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
            calls = node.calls
            if calls:
                steps = iter(calls)
                for call in steps:
                    result = call(body)
                    kind = result.__class__
                    if kind is COROUTINE:
                        result = await result  # type: ignore[misc]  # its class says that it can be awaited
                        kind = result.__class__
                    if kind in SPECIAL:
                        special = result
                        node = node.line[-1 - length_hint(steps)]
                        break
                    body = result
                else:
                    node = node.last
            else:
                event.body = body
                special, event = await _apply(trip, node, event)
                body = event.body
            if special is not None:
                target = None
                if event.streaming_step:
                    await refuse_stream(node, event, special)
            elif node.select is None:
                target = node.only
                targets = node.targets
            else:
                names = node.select(_seen(event, body) if node.select_event else body)
                target = node.outlets.get(names[0]) if names.__class__ is list and len(names) == 1 else None
                if target is None:
                    targets = choose(node, await names if names.__class__ is COROUTINE else names)
        except Exception as error:
            if len(node.calls) > 1:  # only a call can have failed: the one that the iterator gave last
                node = node.line[-1 - length_hint(steps)]
                entry = body
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
            if special is DROP:
                return NOTHING
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
            event._at = node
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
    if node.takes_event:
        event._at = node
        result = node.call(event)
    else:
        result = node.call(read_path(event.body, node.input_path))
    if result.__class__ is COROUTINE:
        result = await result
    if isinstance(result, Many):
        return placed(node, event, result), event
    if result.__class__ in SPECIAL:
        return result, event
    if node.power == "queue":
        return None, event
    if not node.takes_event:
        event.body = write_path(event.body, node.result_path, result)
        return None, event
    if not isinstance(result, Event):
        raise TypeError(
            f"step '{node.name}' gets the whole event and must return an event, not {type(result).__name__}: "
            "end its method with 'return event'"
        )
    if result is not event and result._counts is None:
        result._counts = event._counts
    if result.terminated and trip.program.sequential:
        return Onward(COMPLETE, result), result
    return None, result


async def _special(trip: Trip, node: Node, event: Event, special: object) -> object:
    """Go on after a special result: with the `Onward` that is returned, or the path is over with the value that is returned."""
    if isinstance(special, Onward):
        return special
    if isinstance(special, Routed):
        return _onward(trip, special.targets, event)
    if isinstance(special, Many):
        return await _send_many(trip, node, event, special)
    return await stream_on(trip, node, event, special)


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
        return _onward(trip, await route(node, event), event)
    first: object = NOTHING
    for number, body in enumerate(bodies):
        one = event.copy(body)
        one.lineage = (*event.lineage, f"{node.name}.{number}")
        for value in await run_whole(trip.program, await route(node, one), one, trip.collected):
            if trip.whole:
                await trip.arrive(value)
            elif first is NOTHING:
                first = value
            else:
                await drain(value)
    return first
