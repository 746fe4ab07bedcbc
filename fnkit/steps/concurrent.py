"""Run a function for many events at once, with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

from fnkit.engine.construct import suspends
from fnkit.errors import MLRunInvalidArgumentError
from fnkit.records import cast
from fnkit.steps.calls import Function

_MECHANISMS = ("asyncio", "threading", "multiprocessing")


class ConcurrentExecution:
    """Go on with what *event_processor* makes of the body; at most *max_in_flight* calls run at a time.

    *concurrency_mechanism*: `"asyncio"` awaits an async function on the event loop, `"threading"` and `"multiprocessing"` call a plain
    one in a pool (of processes only where the system has shared memory: AWS Lambda has none). A call that raises is repeated up to
    *retries* times, after `backoff_factor * 2**n` seconds.
    With *pass_context* the function gets the graph's context as its second argument (not in another process).
    """

    def __init__(
        self,
        event_processor: Function,
        concurrency_mechanism: str | None = None,
        max_in_flight: int = 8,
        retries: int = 0,
        backoff_factor: float = 1.0,
        pass_context: bool = False,
        context: object = None,
    ) -> None:
        mechanism = concurrency_mechanism or ("asyncio" if suspends(event_processor) else "threading")
        if mechanism not in _MECHANISMS:
            raise MLRunInvalidArgumentError(f"unknown concurrency_mechanism {mechanism!r}, use one of: {', '.join(_MECHANISMS)}")
        if mechanism != "asyncio" and suspends(event_processor):
            raise MLRunInvalidArgumentError(f"an async function runs with concurrency_mechanism 'asyncio', not {mechanism!r}")
        if pass_context and mechanism == "multiprocessing":
            raise MLRunInvalidArgumentError("pass_context is not possible with multiprocessing: a context belongs to one process")
        if max_in_flight < 1:
            raise MLRunInvalidArgumentError(f"max_in_flight must be 1 or more, not {max_in_flight}")
        self._fn = event_processor
        self._more = (context,) if pass_context else ()
        self._turns = asyncio.Semaphore(max_in_flight)
        self._attempts = retries + 1
        self._backoff_s = backoff_factor
        self._pool = _pool(mechanism, max_in_flight)

    async def do(self, body: object) -> object:
        """Return the function's result; raise what its last attempt raised."""
        async with self._turns:
            for attempt in range(self._attempts):
                try:
                    return await self._call(body)
                except Exception:
                    if attempt + 1 == self._attempts:
                        raise
                await asyncio.sleep(self._backoff_s * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def close(self) -> None:
        """Stop the pool."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _call(self, body: object) -> object:
        if self._pool is not None:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._fn, body, *self._more)
        result = self._fn(body, *self._more)
        return await cast(Awaitable[object], result) if hasattr(result, "__await__") else result


def _pool(mechanism: str, size: int) -> Executor | None:
    if mechanism == "threading":
        return ThreadPoolExecutor(size, "fnkit-concurrent")
    if mechanism == "multiprocessing":
        return ProcessPoolExecutor(size, mp_context=get_context("spawn"))
    return None
