"""A function that has been loaded: it takes invocations of every shape and answers them. Hosts know nothing else.

What an invocation is shows in its payload: a call of a step by another function, a request of a function URL, a batch of a queue, or
else a direct invocation.
"""

from __future__ import annotations

from fnkit.engine.payload import receive
from fnkit.errors import FnkitError
from fnkit.functions.marks import MARK, is_call, reference_of
from fnkit.lean import import_module, loads
from fnkit.records import Protocol
from fnkit.runtime.direct_events import answer_direct, read_direct
from fnkit.runtime.http_events import answer_stream, answer_whole, checked, is_http, read_request
from fnkit.runtime.invocation import JSON, Failure
from fnkit.runtime.lambda_context import LambdaContext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from fnkit.engine.event import Event
    from fnkit.engine.response import WireResponse
    from fnkit.functions.objects import ObjectStore
    from fnkit.runtime.invocation import Invocation, Streamed, Whole
    from fnkit.runtime.logs import Log
    from fnkit.runtime.queue_events import Record

_RECORDS = frozenset(("Records", "records"))  # of SQS and Kinesis, of Kafka
_CALL = f'{{"{MARK}":'.encode()
SINGLE_STEPS = "this function runs single steps of its graph: call the entry function instead"


class Topology(Protocol):
    """What runs an event: a compiled graph of any kind."""

    needs_loop: bool

    async def __call__(self, event: Event) -> WireResponse:
        """Answer *event*; errors of its steps are answers."""
        ...

    async def close(self) -> None:
        """End what the graph holds open."""
        ...


class Steps(Protocol):
    """What answers calls of single steps: `fnkit.runtime.step_calls`."""

    async def answer(self, envelope: Mapping[str, object], context: object, *, streams: bool) -> Whole | Streamed:
        """Run the step that *envelope* names."""
        ...


class Application:
    """One function, loaded.

    *topology* runs the function's part of the graph (None where the function only has steps for others), *steps* answers calls of single
    steps. *streams*: the host can stream answers. *url_streams*: the function URL expects a stream.
    """

    def __init__(
        self,
        topology: Topology | None,
        steps: Steps,
        *,
        needs_loop: bool,
        log: Log,
        environ: Mapping[str, str],
        streams: bool = True,
        url_streams: bool = False,
        default_content_type: str = "",
    ) -> None:
        self.needs_loop = needs_loop
        self.log = log
        self._topology = topology
        self._steps = steps
        self._environ = environ
        self._streams = streams
        self._url_streams = url_streams
        self._default_content_type = default_content_type

    async def answer(self, invocation: Invocation, context: object = None) -> Whole | Streamed:
        """Answer *invocation*; *context* is the managed runtime's own context object, if there is one.

        Raises `Failure` for what is to be reported as an error of the function. Nothing else but the end of the process, or of the wish for
        an answer, passes through.
        """
        self.log.begin(invocation.request_id)
        try:
            return await self._answer(invocation, context or LambdaContext(invocation, self._environ))
        except Exception as error:
            raise self._reported(error) from error

    async def respond(self, event: Event, invocation: Invocation) -> WireResponse:
        """Answer the HTTP request that *event* is, for a host that speaks HTTP itself; a stream is still to be pulled.

        Raises `Failure` as `answer` does.
        """
        self.log.begin(invocation.request_id)
        try:
            if self._topology is None:
                raise Failure("GraphError", SINGLE_STEPS)
            return checked(await self._topology(_with(event, invocation, LambdaContext(invocation, self._environ))))
        except Exception as error:
            raise self._reported(error) from error

    @property
    def runs_graph(self) -> bool:
        """Whether the function answers requests itself, and does not only run single steps for others."""
        return self._topology is not None

    def _reported(self, error: Exception) -> Failure:
        """Return what *error* is to the caller, after it has been written to the log."""
        if isinstance(error, Failure):
            found = error
        else:
            found = Failure(type(error).__name__, error.explain()) if isinstance(error, FnkitError) else Failure.of(error)
        self.log.report(found)
        return found

    async def settle(self) -> None:
        """Wait for branches that outlive their answer: an environment that is frozen between two events would not go on with them."""
        wait = getattr(self._topology, "wait", None)
        if wait is not None:
            await wait()

    async def close(self) -> None:
        """End what the graph holds open."""
        if self._topology is not None:
            await self._topology.close()

    async def _answer(self, invocation: Invocation, context: object) -> Whole | Streamed:
        payload = _decoded(invocation)
        if key := reference_of(payload):
            payload = _tagged(await self._fetch(key))
        if is_call(payload) and isinstance(payload, dict):
            return await self._steps.answer(payload, context, streams=self._streams)
        topology = self._topology
        if topology is None:
            raise Failure("GraphError", SINGLE_STEPS)
        if is_http(payload) and isinstance(payload, dict):
            event = _with(read_request(payload), invocation, context)
            return await self._answer_http(await topology(event))
        if isinstance(payload, dict) and not _RECORDS.isdisjoint(payload):
            queue_events = import_module("fnkit.runtime.queue_events")  # most functions never see a batch
            if queue_events.is_batch(payload):
                return await self._answer_batch(queue_events, payload, invocation, context)
        return await answer_direct(await topology(_with(read_direct(payload, invocation), invocation, context)))

    async def _fetch(self, key: str) -> bytes:
        """Return the payload that was too large to be sent itself."""
        links = import_module("fnkit.functions.links")
        store: ObjectStore | None = links.open_objects(self._environ, links.transport_for(looped=self.needs_loop))
        if store is None:
            raise Failure(
                "InvokeError", "a large payload was stored, and this function does not know where: deploy the graph again"
            )
        return await store.get(key)

    async def _answer_batch(
        self, queue_events: ModuleType, payload: dict[str, object], invocation: Invocation, context: object
    ) -> Whole:
        process = getattr(self._topology, "process", None)
        if process is None:
            raise Failure("GraphError", "this graph does not read queues: only flows do")
        records: list[Record] = queue_events.read_batch(payload)
        for record in records:
            receive(_with(record.event, invocation, context), self._default_content_type)
        named = self._environ.get("FNKIT_KAFKA_REPORTS", "").split(",")  # topics, as the deployment says
        answer: Whole = await queue_events.run_batch(records, process, self.log.report, named_topics=named)
        return answer

    async def _answer_http(self, response: WireResponse) -> Whole | Streamed:
        if not self._url_streams:
            return await answer_whole(response)
        if self._streams:
            return answer_stream(response, self.log)
        # A streaming function URL passes a buffered answer through as it is, without reading a status from it.
        return await answer_direct(response)


def _tagged(payload: bytes) -> object:
    """Return the value of a payload from another function; what reads it is loaded with the first one."""
    decode_json: Callable[[str], object] = import_module("fnkit.functions.codec").decode_json
    return decode_json(payload.decode())


def _decoded(invocation: Invocation) -> object:
    payload = invocation.payload
    if invocation.content_type.partition(";")[0].strip() != JSON:
        return payload
    try:
        return _tagged(payload) if payload.startswith(_CALL) else loads(payload or b"null")
    except (ValueError, RecursionError) as error:
        raise Failure("Runtime.UnmarshalError", f"the payload of the invocation is not JSON: {error}") from error


def _with(event: Event, invocation: Invocation, context: object) -> Event:
    """Give *event* the context of its invocation, and the trace that it belongs to."""
    event.__dict__["lambda_context"] = context
    if invocation.trace_id:
        event.headers.setdefault("x-amzn-trace-id", invocation.trace_id)
    return event
