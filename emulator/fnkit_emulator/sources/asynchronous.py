"""Asynchronous invocations (`InvocationType=Event`): accepted into a durable local queue, tried again, given up at last.

An event waits in the local queue `FUNCTION.async`; "202 Accepted" is answered once it is there, so that an emulator that is killed goes on
with it at its next start. A failed attempt is repeated after a pause, as often as the function's configuration says (twice, as on Lambda);
an event that was throttled is tried again without counting. What fails for good, or grows too old, goes to the on-failure destination,
or becomes a dead letter that `fnkit queues` shows and redrives.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message, Received, Retention
from fnkit.functions.queues.spec import QueueSpec
from fnkit_emulator.invocation import Fault
from fnkit_emulator.sources.delivery import Answer, Outcome
from fnkit_emulator.sources.local import LocalSource
from fnkit_emulator.sources.tally import Tally

_THROTTLED_S = (0.1, 5.0)  # the first and the longest pause before a throttled event is tried again
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class EventInvokeConfig:
    """How asynchronous events of a function are treated; the defaults are Lambda's. Destinations are ARNs, "" for none."""

    retries: int = 2
    max_age_s: int = 21_600
    on_success: str = ""
    on_failure: str = ""


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt: the *payload* of the answer, or its *fault*; *throttled*: the function took no event at all."""

    payload: bytes = b""
    fault: Fault | None = None
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What asynchronous events of a function need.

    *attempt* hands an event to the function; *config* is asked at each attempt; *destine* sends a record to a destination's ARN;
    *say* hears of events that are given up.
    """

    arn: str
    attempt: Callable[[Message], Awaitable[Attempted]]
    config: Callable[[], EventInvokeConfig]
    destine: Callable[[str, bytes], Awaitable[None]]
    say: Callable[[str], None]
    delays_s: Sequence[float]


def queue_of(function: str) -> QueueSpec:
    """Return the queue in which asynchronous events of *function* wait."""
    name = f"{function}.async"
    retention = Retention(
        visibility_s=60.0, max_receives=1_000_000
    )  # when an event is given up is decided here, not by the queue
    return QueueSpec(name, "local", name, retention=retention, batch_size=1, max_concurrency=_AT_ONCE)


class AsyncEvents:
    """The asynchronous events of one function: `accept` stores them, `run` has them handled until it is told to `stop`."""

    def __init__(self, function: str, folder: Path, around: Surroundings) -> None:
        spec = queue_of(function)
        self._around = around
        self._store = LocalQueue(folder, spec.address, retention=spec.retention)
        self._queue = LocalQueue(folder, spec.address, retention=spec.retention)
        self._source = LocalSource(spec, self._queue, _never, delay=self._delay, deliver=self._deliver, look_s=0.25)

    @property
    def tally(self) -> Tally:
        """What has been done so far."""
        return self._source.tally

    def accept(self, request_id: str, payload: bytes, headers: Mapping[str, str]) -> None:
        """Store an event; it is accepted once this returns."""
        self._store.send([Message(payload, "", headers, request_id)])

    async def run(self) -> None:
        """Handle events until `stop`."""
        await self._source.run()

    def stop(self) -> None:
        """Begin with no more events; those that wait are handled at the next start."""
        self._source.stop()

    def close(self) -> None:
        """Close the file."""
        self._store.close()
        self._queue.close()

    def _delay(self, receives: int) -> float:
        delays = self._around.delays_s
        return delays[min(receives, len(delays)) - 1] if delays else 0.0

    async def _deliver(self, items: Sequence[Received]) -> Outcome[Received]:
        outcome: Outcome[Received] = Outcome()
        for loan in items:
            attempted = await self._attempt(loan)
            if attempted is None:
                outcome.done.append(loan)
            else:
                outcome.failed.append((loan, attempted))
        return outcome

    async def _attempt(self, loan: Received) -> str | None:
        """Have the event handled once. None: it is settled, well or badly; otherwise why it failed, and it comes again."""
        config, pause = self._around.config(), _THROTTLED_S[0]
        while True:
            if time.time() - loan.sent_at > config.max_age_s:
                reason = f"the event is older than {config.max_age_s} s"
                await self._give_up(loan, config, reason, "EventAgeExceeded", Attempted())
                return None
            attempted = await self._around.attempt(loan.message)
            if not attempted.throttled:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 2, _THROTTLED_S[1])
        if attempted.fault is None:
            if config.on_success:
                await self._around.destine(config.on_success, self._record(loan, "Success", attempted))
            return None
        reason = f"{attempted.fault.type}: {attempted.fault.message}"
        if loan.receives <= config.retries:
            return reason
        await self._give_up(loan, config, reason, "RetriesExhausted", attempted)
        return None

    async def _give_up(
        self, loan: Received, config: EventInvokeConfig, reason: str, condition: str, attempted: Attempted
    ) -> None:
        plural = "" if loan.receives == 1 else "s"
        said = f"the event {loan.message.id} is given up after {loan.receives} attempt{plural}: {reason}"
        if config.on_failure:
            await self._around.destine(config.on_failure, self._record(loan, condition, attempted))
            self._around.say(f"{said}; its record goes to {config.on_failure}")
            return
        self._store.bury_loan(loan.receipt, reason)
        self.tally.dead += 1
        self._around.say(f"{said}; it is a dead letter of queue '{self._store.name}'")

    def _record(self, loan: Received, condition: str, attempted: Attempted) -> bytes:
        """Return the invocation record that Lambda sends to a destination."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        context = {
            "requestId": loan.message.id,
            "functionArn": f"{self._around.arn}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": loan.receives,
        }
        record = {
            "version": "1.0",
            "timestamp": stamp,
            "requestContext": context,
            "requestPayload": _json(loan.message.body),
        }
        if condition != "EventAgeExceeded":
            fault = attempted.fault
            answered = {"statusCode": 200, "executedVersion": "$LATEST"}
            record["responseContext"] = {**answered, "functionError": "Unhandled"} if fault else answered
            record["responsePayload"] = _json(fault.as_json(loan.message.id) if fault else attempted.payload)
        return json.dumps(record).encode()


async def _never(_payload: bytes, _count: int) -> Answer:
    raise AssertionError("asynchronous events have a delivery of their own")


def _json(data: bytes) -> object:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return data.decode("utf-8", "replace")
