"""The flow as hosts call it: an event in, an answer out."""

from __future__ import annotations

from fnkit.engine.compile import Compiler, flow_of
from fnkit.engine.event import Event
from fnkit.engine.payload import receive
from fnkit.engine.powers import ASYNC_GENERATOR, DROP, GENERATOR, Many
from fnkit.engine.response import Response
from fnkit.engine.stream import Stream, SyncSource, close_source, drain
from fnkit.engine.walk import walk
from fnkit.engine.wire import empty_response, error_response, wire_stream, wire_value
from fnkit.errors import GraphError
from fnkit.lean import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from fnkit.engine.answer import QueueWriter, RemoteStep
    from fnkit.engine.context import Context
    from fnkit.engine.loop import Gate
    from fnkit.engine.node import Node
    from fnkit.engine.program import Program
    from fnkit.engine.resolve import Namespace
    from fnkit.engine.response import WireResponse
    from fnkit.manifest.model import Manifest, Step


def compile_flow(
    manifest: Manifest,
    *,
    function: str = "*",
    namespaces: Sequence[Namespace] = (),
    context: Context,
    remote: Callable[[Step], RemoteStep] | None = None,
    queue: Callable[[Step], QueueWriter] | None = None,
    max_in_flight: int = 0,
) -> FlowTopology:
    """Compile the part of *manifest* that *function* runs (`"*"`: all of it, in one place).

    *namespaces* are where names are looked for before they are imported. Steps of other functions are called through *remote*, queues are
    written by *queue*. At most *max_in_flight* events are under way at once, streams included (0: the flow's option of this
    name, or no limit); further ones wait their turn. GraphError, ImportError, TypeError and whatever a constructor raises.
    """
    program = Compiler(manifest, function, namespaces, context, remote, queue).program()
    options = flow_of(manifest).options
    limit = max_in_flight or options.get("max_in_flight", 0)
    return FlowTopology(
        program,
        default_content_type=manifest.default_content_type,
        stream_type=str(options.get("stream_content_type", "")),
        max_in_flight=limit if isinstance(limit, int) else 0,
    )


class FlowTopology:
    """A compiled flow. Events run at the same time; nothing of one is seen by another, but for the step objects that they share.

    *needs_loop*: False where no step can wait, so that `drive(topology(event))` runs it without asyncio. A host that may freeze once
    it has answered sets *finishes*: then an event without a responder is answered when all of its work is done, and its errors are answers.
    """

    finishes = False

    def __init__(
        self, program: Program, *, default_content_type: str = "", stream_type: str = "", max_in_flight: int = 0
    ) -> None:
        self.needs_loop = program.looped
        self.context = program.context
        self._program = program
        self._default_content_type = default_content_type
        self._stream_type = stream_type
        self._loop: ModuleType | None = import_module("fnkit.engine.loop") if program.looped else None
        self._gate: Gate | None = self._loop.Gate(max_in_flight) if self._loop is not None and max_in_flight > 0 else None
        self._direct = program.answers and self._gate is None
        self._closed = False
        self._attach()

    @property
    def step_objects(self) -> dict[str, object]:
        """The objects of the steps that run here, by name; None for handler functions."""
        return {name: node.object for name, node in self._program.nodes.items()}

    async def run(self, event: Event) -> object:
        """Run *event* and return what the graph answers: a value, a `Response`, or a `Stream` of chunks.

        Raises what a step raised and no error handler took. Without a responder the answer is `{"id": ...}`, and the work goes on (`wait`).
        A dropped event is answered by a `Response` with status 204.
        """
        if self._closed:
            raise GraphError("the flow is closed and takes no further events")
        if not self._direct:
            return await self._run_guarded(event)
        program = self._program
        trip = program.make_trip(program)
        try:  # as Trip.run, without the price of calling it
            try:
                value = await walk(trip, program.start, event)
            except Exception as error:
                value = await trip.settle_error(event, error)
            else:
                if trip.split:
                    value = await trip.settle(value)
        except BaseException as error:
            if not isinstance(error, Exception):
                trip.cancel()
            raise
        return value if value is not DROP else empty_response()

    async def _run_guarded(self, event: Event) -> object:
        gate = self._gate
        if gate is not None:
            await gate.enter()
        leave = gate.leave if gate is not None else _nothing
        try:
            if not self._program.answers:
                if self.finishes:
                    await self.process(event)
                    leave()
                else:
                    await self._run_unanswered(event, leave)
                return {"id": event.id}
            value = await self._program.trip().run(self._program.start, event)
        except BaseException:
            leave()
            raise
        if isinstance(value, Stream):
            value.when_over(leave)
        else:
            leave()
        return value if value is not DROP else empty_response()

    async def _run_unanswered(self, event: Event, leave: Callable[[], None]) -> None:
        work = self._finish_alone(event, leave)
        if self._loop is not None:
            self._loop.start_background(work, self._program.background)
        else:
            await work

    async def _finish_alone(self, event: Event, leave: Callable[[], None]) -> None:
        try:
            await self.process(event)
        except Exception as error:
            self._program.report(event, error)
        finally:
            leave()

    async def process(self, event: Event) -> None:
        """Run *event* with all its branches and streams to the end; for events that no client waits for, such as a queue's.

        Raises the first error, so that the queue delivers the event again.
        """
        trip = self._program.trip(whole=True)
        await trip.run(self._program.start, event)
        for value in trip.arrivals:
            await drain(value)

    async def __call__(self, event: Event) -> WireResponse:
        """Answer *event* in bytes. Errors of users are answers too: their status, or 400."""
        try:
            receive(event, self._default_content_type)
            if not event.body and isinstance(event.body, bytes):
                event.body = None  # a request without a body, as steps see it in a mock server
            value = await self.run(event)
            return await self._to_wire(event, value)
        except Exception as error:
            self._program.report(event, error)
            return wire_value(error_response(error, verbose=self.context.verbose))

    async def _to_wire(self, event: Event, value: object) -> WireResponse:
        head: Response | None = None
        if isinstance(value, Response) and value.body.__class__ in (GENERATOR, ASYNC_GENERATOR):
            head = value
            value = value.body if value.body.__class__ is ASYNC_GENERATOR else SyncSource(value.body)  # type: ignore[arg-type]
        if isinstance(value, Stream) or head is not None:
            return await wire_stream(value, head, accept=event.accept, asked=self._stream_type)  # type: ignore[arg-type]
        return wire_value(value)

    async def wait(self) -> None:
        """Wait until nothing is under way any more: branches that outlived their answer, events without a responder."""
        if self._loop is not None:
            await self._loop.wait_for(self._program.background)

    async def finish(self) -> object:
        """End the flow: let what steps hold go on (batches), wait, and return the flow's result (that of a `Reduce`), or None.

        No event is taken afterwards.
        """
        await self.wait()
        result: object = None
        for node in self._program.nodes.values():
            hook = getattr(node.object, "finish", None)
            if hook is None:
                continue
            left = hook()
            if hasattr(left, "__await__"):
                left = await left
            if not node.targets:
                result = left if left is not DROP else result
            elif left is not DROP and left is not None:
                await self._emit_now(node, left)
        self._closed = True
        await self.wait()
        return result

    async def close(self) -> None:
        """Cancel what is under way and let the steps close what they hold (`close()` of a step)."""
        self._closed = True
        tasks = tuple(self._program.background)
        for task in tasks:
            task.cancel()  # type: ignore[attr-defined]  # tasks, where there is a loop
        if self._loop is not None:
            await self._loop.wait_for(self._program.background)
        for node in self._program.nodes.values():
            close = getattr(node.object, "close", None)
            if close is not None:
                await close_source(node.object)

    def _attach(self) -> None:
        for node in self._program.nodes.values():
            attach = getattr(node.object, "attach", None)
            if attach is not None:
                attach(self._emitter(node))

    def _emitter(self, node: Node) -> Callable[[object], None]:
        def emit(body: object) -> None:
            if self._loop is None:
                raise GraphError(
                    f"step '{node.name}' sends events on by itself, which needs an event loop: set needs_loop = True on its class"
                )
            self._loop.start_background(self._emit_now(node, body), self._program.background)

        return emit

    async def _emit_now(self, node: Node, left: object) -> None:
        for body in left.bodies if isinstance(left, Many) else (left,):
            event = Event(body)
            trip = self._program.trip(whole=True)
            try:
                await trip.run(self._program.fan(node.targets), event)
                for value in trip.arrivals:
                    await drain(value)
            except Exception as error:
                self._program.report(event, error)


def _nothing() -> None:
    """Hold no place, so leave none."""
