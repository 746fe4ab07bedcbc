"""The event sources of a running emulator: queues that its functions read, and their asynchronous invocations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.readers import SourceMapping
from fnkit_emulator.credentials import outside
from fnkit_emulator.function_url import report
from fnkit_emulator.invocation import Invocation
from fnkit_emulator.journal import Journal, Notice
from fnkit_emulator.options import Options
from fnkit_emulator.pool import Pool, Throttled
from fnkit_emulator.sources import asynchronous
from fnkit_emulator.sources.asynchronous import AsyncEvents, Attempted, EventInvokeConfig, queue_of
from fnkit_emulator.sources.batches import count_failed
from fnkit_emulator.sources.delivery import Answer, Call
from fnkit_emulator.sources.leftovers import keep_clean
from fnkit_emulator.sources.mappings import EventSources, Poller, Surroundings, named, open_poller
from fnkit_emulator.sources.plan import Claim, SourcePlan, claim
from fnkit_emulator.sources.registry import write_registry

_REPEAT_S = 30.0  # the same complaint is not made again before


class Attached:
    """Everything but requests that brings events to *pools*. *claimed* is the folder of the queues, if it has been claimed before."""

    def __init__(
        self, plan: SourcePlan, pools: Mapping[str, Pool], options: Options, journal: Journal, *, claimed: Claim | None = None
    ) -> None:
        self._plan, self._pools, self._options, self._journal = plan, pools, options, journal
        self._claim = claimed
        self._asynchronous: dict[str, AsyncEvents] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sources: list[EventSources] = []
        self._said: dict[str, float] = {}
        self._stopping = False
        self._tidying: asyncio.Task[None] | None = None
        self.configs: dict[str, EventInvokeConfig] = {}

    # ---- beginning and end

    def start(self) -> None:
        """Open the pollers of the graph's queues, and go on with the asynchronous events that an earlier emulator has left."""
        if self._plan.has_queues and self._claim is None:
            self._claim = claim(self._plan)
        for remark in self._plan.remarks:
            self._journal(Notice(remark, kind="failure"))
        for spec in self._plan.unread:
            self._say(f"queue '{spec.name}' is written by this graph and read by none of its functions: what is sent stays there")
        if self._plan.has_queues:
            self._note()
        if self._plan.mappings:
            self._run("queues", {name: self._poller(mapping) for name, mapping in named(self._plan.mappings).items()})
        folder = self._plan.base / self._plan.graph
        cleaning = keep_clean(folder / "objects", self._say)
        self._tidying = asyncio.get_running_loop().create_task(cleaning)
        for function in self._pools:
            if (folder / f"{queue_of(function).address}.db").exists():
                self._events_of(function)

    async def stop(self) -> None:
        """Take no more events, and return when those at work are done. What waits in the queues stays there."""
        self._stopping = True
        for sources in self._sources:
            sources.stop()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """Cut off what is still at work: its messages come again at the next start."""
        tasks = [*self._tasks.values(), *([self._tidying] if self._tidying else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for events in self._asynchronous.values():
            events.close()
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    # ---- asynchronous invocations

    def accept(self, pool: Pool, invocation: Invocation) -> None:
        """Store *invocation* to be handled later; `FnkitError` when it cannot be stored."""
        headers = {"trace": invocation.trace_id, "client-context": invocation.client_context}
        events = self._events_of(pool.deployed.name)
        events.accept(invocation.request_id, invocation.payload, {name: value for name, value in headers.items() if value})

    def config(self, function: str) -> EventInvokeConfig:
        """Return how asynchronous events of *function* are treated: as the Lambda API was told, or the options say."""
        said = self._options
        retries = len(said.retry_delays_s) if said.async_retries is None else said.async_retries
        return self.configs.get(function) or EventInvokeConfig(retries=retries, max_age_s=said.async_max_age_s)

    def _events_of(self, function: str) -> AsyncEvents:
        if function in self._asynchronous:
            return self._asynchronous[function]
        if self._claim is None:
            self._claim = claim(self._plan)
        pool = self._pools[function]
        around = asynchronous.Surroundings(
            arn=pool.deployed.arn,
            attempt=lambda message: self._attempt(pool, message),
            config=lambda: self.config(function),
            destine=self._destine,
            say=lambda text: self._journal(Notice(text, function, "failure")),
            delays_s=self._options.retry_delays_s,
        )
        events = self._asynchronous[function] = AsyncEvents(function, self._claim.folder, around)
        self._note()
        if not self._stopping:
            self._run(function, {queue_of(function).name: events})
        return events

    async def _attempt(self, pool: Pool, message: Message) -> Attempted:
        invocation = Invocation(
            message.body,
            request_id=message.id,
            trace_id=message.headers.get("trace", ""),
            client_context=message.headers.get("client-context", ""),
        )
        try:
            pool.submit(invocation)
        except Throttled:
            return Attempted(throttled=True)
        payload = await invocation.read_all()
        self._journal(report(pool, invocation, 202))
        return Attempted(payload, invocation.fault)

    async def _destine(self, arn: str, record: bytes) -> None:
        """Send *record* to a destination: a function of this graph, or a local queue by the name of an SQS ARN."""
        name = arn.rpartition(":")[2]
        if ":function:" in arn:
            self.accept(self._pools[arn.rpartition(":function:")[2].partition(":")[0]], Invocation(record))
            return
        assert self._claim is not None
        queue = LocalQueue(self._claim.folder, name)
        try:
            queue.send([Message(record)])
        finally:
            queue.close()

    # ---- queues

    def _poller(self, mapping: SourceMapping) -> Poller:
        assert self._claim is not None
        around = Surroundings(
            self._claim.folder, self._options.region, self._complain, outside(self._options.environment), self._mourn
        )
        return open_poller(mapping, self._call(mapping), around)

    def _call(self, mapping: SourceMapping) -> Call:
        pool, name = self._pools[mapping.function], mapping.spec.name

        async def call(payload: bytes, count: int) -> Answer:
            invocation = Invocation(payload)
            try:
                pool.submit(invocation)
            except Throttled as error:
                return Answer(error=error.message, throttled=True)
            answer = await invocation.read_all()
            self._journal(report(pool, invocation, 200, queue=name, batch=count, failed=count_failed(answer)))
            fault = invocation.fault
            return Answer(answer) if fault is None else Answer(error=f"{fault.type}: {fault.message}")

        return call

    def _run(self, name: str, pollers: Mapping[str, Poller]) -> None:
        sources = EventSources(pollers, self._complain)
        self._sources.append(sources)
        self._tasks[name] = asyncio.get_running_loop().create_task(self._watched(sources))

    async def _watched(self, sources: EventSources) -> None:
        try:
            await sources.run()
        except Exception as error:
            self._journal(Notice(f"the pollers {', '.join(sources.pollers)} have ended: {error!r}", kind="failure"))
            raise

    def _note(self) -> None:
        """Write down which queues there are, for `fnkit queues`."""
        assert self._claim is not None
        try:
            unread = tuple(SourceMapping(spec, "") for spec in self._plan.unread)
            mappings = (*self._plan.mappings, *unread)
            write_registry(self._claim.folder, mappings, self._plan.arguments, tuple(self._asynchronous))
        except OSError as error:
            self._say(f"which queues there are cannot be written down: {error}")

    def _complain(self, text: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        now = clock()
        if now - self._said.get(text, -_REPEAT_S) >= _REPEAT_S:
            self._said[text] = now
            self._journal(Notice(text, kind="failure"))

    def _mourn(self, text: str) -> None:
        self._journal(Notice(text, kind="failure"))

    def _say(self, text: str) -> None:
        self._journal(Notice(text))
