"""Steps that call other services over HTTP: `$remote`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from fnkit.engine.event import Event
from fnkit.engine.paths import read_path, write_path
from fnkit.engine.payload import JSON, media_type
from fnkit.errors import MLRunInvalidArgumentError
from fnkit.net import aio
from fnkit.net.client import Client
from fnkit.net.errors import InvalidRequest, NetError
from fnkit.steps.requests import Request, RequestPlan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from fnkit.engine import Context

DEFAULT_RETRIES = 6
DEFAULT_IN_FLIGHT = 8
_LONGEST_WAIT_S = 120.0
_SHOWN = 2_000  # characters of a refused answer that its error shows


@dataclass(frozen=True, slots=True)
class Received:
    """What a service answered."""

    status: int
    content_type: str
    body: bytes


class Caller:
    """Sends requests: some at a time, each attempt with a time limit, failed ones again after a growing pause.

    What counts as failed: no connection, a broken or late answer, a status of 500 or more. Every other answer is an answer.
    """

    def __init__(self, *, retries: int, backoff_s: float, timeout_s: float | None, in_flight: int) -> None:
        if in_flight < 1:
            raise MLRunInvalidArgumentError(f"max_in_flight must be 1 or more, not {in_flight}")
        if retries < 0 or backoff_s < 0:
            raise MLRunInvalidArgumentError("retries and backoff_factor must not be negative")
        self._attempts = retries + 1
        self._backoff_s = backoff_s
        self._timeout_s = timeout_s
        self._in_flight = in_flight
        self._turns = asyncio.Semaphore(in_flight)
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def call(self, request: Request) -> Received:
        """Return the answer. Raises what the last attempt raised: RuntimeError for a status of 500 or more."""
        client = self._client_of_loop()
        async with self._turns:
            for attempt in range(self._attempts):
                last = attempt + 1 == self._attempts
                try:
                    received = await self._attempt(client, request)
                except InvalidRequest:
                    raise
                except NetError:
                    if last:
                        raise
                else:
                    if received.status < 500:
                        return received
                    if last:
                        raise RuntimeError(f"bad http response {received.status}: {_shown(received.body)}")
                await asyncio.sleep(min(self._backoff_s * 2**attempt, _LONGEST_WAIT_S))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.close()

    async def _attempt(self, client: Client, request: Request) -> Received:
        reply = await client.request(
            request.method, request.url, headers=request.headers.items(), body=request.body, timeout_s=self._timeout_s
        )
        return Received(reply.status, reply.header("content-type"), await reply.read())

    def _client_of_loop(self) -> Client:
        """A client belongs to one event loop; a flow that is run on another one gets another client."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._loop, self._client = loop, Client(aio.connector())
            self._turns = asyncio.Semaphore(self._in_flight)
        return self._client


class RemoteStep:
    """Call a service with the body and go on with its answer.

    *url*: an address, or the name of a function of the project. *subpath* is appended; `"$path"` there stands for the event's path.
    *method*: default the event's, or POST; a GET has no body. Bodies other than text and bytes are sent as JSON, as is what a
    *body_expression* makes of them. *headers* are sent along, as are `MLRUN-EVENT-ID`, `Idempotency-Key` (the same at each attempt), the
    event's trace and, unless it is `/`, `MLRUN-EVENT-PATH`. *url_expression* (which sees `event`, `endpoint` and `context`),
    *body_expression* and *headers_expression* are expressions over the body, called `event`, as `"event['city']"`. *return_json*: the
    answer is JSON, otherwise it is bytes unless its content type says JSON. *max_in_flight* (8) calls run at a time; *retries* and
    *backoff_factor* tell how often and after which pauses (`backoff_factor * 2**n` seconds) a failed call is repeated; *timeout* limits
    one attempt, in seconds.

    Errors: RuntimeError for a status of 500 and more after all attempts, ValueError for any other status that is not 2xx.
    """

    def __init__(
        self,
        url: str | None = None,
        subpath: str | None = None,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        url_expression: str | None = None,
        body_expression: str | None = None,
        return_json: bool = True,
        input_path: str | None = None,
        result_path: str | None = None,
        max_in_flight: int | None = None,
        retries: int | None = None,
        backoff_factor: float | None = None,
        timeout: float | None = None,
        headers_expression: str | None = None,
        context: Context | None = None,
        name: str | None = None,
    ) -> None:
        self._plan = RequestPlan(
            url=url or "",
            subpath=subpath or "",
            method=method or "",
            headers=dict(headers or {}),
            url_expression=url_expression or "",
            body_expression=body_expression or "",
            headers_expression=headers_expression or "",
            context=context,
        )
        self._caller = Caller(
            retries=DEFAULT_RETRIES if retries is None else retries,
            backoff_s=1.0 if backoff_factor is None else backoff_factor,
            timeout_s=timeout,
            in_flight=max_in_flight or DEFAULT_IN_FLIGHT,
        )
        self._return_json = return_json
        self._input_path = input_path or ""
        self._result_path = result_path or ""
        self._name = name or type(self).__name__

    async def do_event(self, event: Event) -> Event:
        """Return the event with the service's answer as its body, or at its result path."""
        answer = await self._ask(event, read_path(event.body, self._input_path))
        event.body = write_path(event.body, self._result_path, answer)
        return event

    async def _ask(self, event: Event, content: object) -> object:
        """Return what the service answers about *content*, for *event*."""
        received = await self._caller.call(self._plan.request(event, content))
        if not 200 <= received.status < 300:
            raise ValueError(
                f"For event {event}, RemoteStep {self._name} got an unexpected response status {received.status}: "
                f"{received.body[:_SHOWN]!r}"
            )
        is_json = self._return_json or media_type(received.content_type) == JSON
        return json.loads(received.body) if is_json else received.body

    async def close(self) -> None:
        """Close the connections."""
        await self._caller.close()


Remote = RemoteStep


class BatchHttpRequests(RemoteStep):
    """Call a service once for each element of the body, a list, at the same time; go on with the list of the answers in that order.

    The arguments are those of `RemoteStep`; expressions see the element as `event`. The first call that fails for good fails the event.
    """

    async def do_event(self, event: Event) -> Event:
        """Return the event with the list of the answers."""
        elements = read_path(event.body, self._input_path)
        if not isinstance(elements, list | tuple):
            raise TypeError(f"BatchHttpRequests needs a list, not {type(elements).__name__}")
        answers = await _all([self._ask(_part(event, number, element), element) for number, element in enumerate(elements)])
        event.body = write_path(event.body, self._result_path, answers)
        return event


def _part(event: Event, number: int, element: object) -> Event:
    """Return the event of one element, with a key of its own."""
    one = event.copy(element)
    one.visit = f"{event.idempotency_key}/{number}"
    return one


async def _all(calls: list[Awaitable[object]]) -> list[object]:
    """Await all; the first failure cancels the others and is raised as it is."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _shown(body: bytes) -> str:
    return body[:_SHOWN].decode("utf-8", "replace")
