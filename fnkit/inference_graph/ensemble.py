"""The router of all steps at once, and what else needs an event loop.

KServe's router starts all calls and awaits the answers in the order of the steps. A failed call, or an answer that is no JSON
object, of any step not yet awaited ends the node at once; a Hard step that is not successful ends it when its turn comes. Calls
that are then still under way are not cancelled: they run to their end, unseen.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fnkit.inference_graph.beside import done
from fnkit.inference_graph.calls import Answer, CallFailed
from fnkit.inference_graph.go_json import canonical_object, encode
from fnkit.inference_graph.merging import MERGES

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from fnkit.inference_graph.beside import Beside
    from fnkit.inference_graph.flight import Flight, Runner
    from fnkit.inference_graph.spec import Step

    Outcome = tuple[int, bytes]


class Tasks:
    """The tasks of a graph, those included that nobody waits for any more."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Answer]] = set()

    def start(self, coroutine: Coroutine[object, object, Answer]) -> asyncio.Task[Answer]:
        task: asyncio.Task[Answer] = asyncio.get_running_loop().create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._forget)
        return task

    async def close(self) -> None:
        """Cancel what is still running and wait for its end."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _forget(self, task: asyncio.Task[Answer]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen: whoever waited has been told, and nobody else will


def ensemble(steps: Sequence[Step], runners: Sequence[Runner], tasks: Tasks, merge: str, beside: Beside | None = None) -> Runner:
    """Compile an Ensemble. *merge* names a strategy of `merging`; `""` combines the answers as KServe does.

    Large answers are read *beside* the loop.
    """
    if merge == "fastest":
        return _fastest(runners, tasks)
    hard = tuple(step.is_hard for step in steps)
    names = tuple(step.name or str(at) for at, step in enumerate(steps))
    order = _merged_order(names)
    combine = MERGES.get(merge)
    branches = tuple(_branch(run, beside, as_object=combine is None) for run in runners)

    async def run(body: bytes, flight: Flight, stream: bool) -> Answer:  # noqa: ARG001  # an Ensemble cannot stream
        gathered = await _gather([tasks.start(branch(body, flight, False)) for branch in branches], hard)
        if isinstance(gathered, Answer):
            return gathered
        if combine is not None:
            return Answer(200, await done(beside, sum(map(len, gathered)), combine, names, gathered))
        return Answer(200, b"{%b}" % b",".join(key + gathered[at] for key, at in order))

    return run


def _merged_order(names: Sequence[str]) -> tuple[tuple[bytes, int], ...]:
    """Return the keys of the combined object, as Go sorts and writes them, with the step whose answer stands there."""
    last = {name: at for at, name in enumerate(names)}
    return tuple((encode(name) + b":", last[name]) for name in sorted(last, key=str.encode))


def _branch(run: Runner, beside: Beside | None, *, as_object: bool) -> Runner:
    async def branch(body: bytes, flight: Flight, stream: bool) -> Answer:
        answer = await run(body, flight, stream)
        assert isinstance(answer.body, bytes)
        if not as_object:
            return answer
        try:
            return Answer(answer.status, await done(beside, len(answer.body), canonical_object, answer.body))
        except ValueError as error:
            raise CallFailed(str(error)) from None

    return branch


async def _gather(tasks: Sequence[asyncio.Task[Answer]], hard: Sequence[bool]) -> list[bytes] | Answer:
    """Return the bodies in order, or the first unsuccessful answer of a Hard step; raise the first failure at once."""
    bodies: list[bytes] = []
    if not tasks:
        return bodies
    outcome: asyncio.Future[list[bytes] | Answer] = asyncio.get_running_loop().create_future()

    def arrived(task: asyncio.Task[Answer]) -> None:
        if outcome.done():
            return
        if task.cancelled():
            outcome.cancel()
        elif task.exception() is not None:
            # Go runs what it started last before the rest: of failures that need no waiting, the last step's is told.
            failures = [failed.exception() for failed in tasks if failed.done() and not failed.cancelled()]
            outcome.set_exception(next(filter(None, reversed(failures))))
        else:
            advance()

    def advance() -> None:
        while len(bodies) < len(tasks) and tasks[len(bodies)].done():
            task = tasks[len(bodies)]
            if task.cancelled() or task.exception() is not None:
                return  # its own arrival, which is about to be told, ends the node
            answer = task.result()
            if hard[len(bodies)] and not 200 <= answer.status < 300:
                outcome.set_result(answer)
                return
            assert isinstance(answer.body, bytes)
            bodies.append(answer.body)
        if len(bodies) == len(tasks):
            outcome.set_result(bodies)

    for task in tasks:
        task.add_done_callback(arrived)
    try:
        return await outcome
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        raise


def _fastest(runners: Sequence[Runner], tasks: Tasks) -> Runner:
    """Answer with the first successful answer and cancel the others; without one, with the last answer or failure."""

    async def run(body: bytes, flight: Flight, stream: bool) -> Answer:  # noqa: ARG001  # an Ensemble cannot stream
        waiting = {tasks.start(runner(body, flight, False)) for runner in runners}
        unsuccessful: Answer | CallFailed = CallFailed("the ensemble has no steps")
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    try:
                        answer = task.result()
                    except CallFailed as error:
                        unsuccessful = error
                        continue
                    if 200 <= answer.status < 300:
                        return answer
                    unsuccessful = answer
        finally:
            for task in waiting:
                task.cancel()
        if isinstance(unsuccessful, Answer):
            return unsuccessful
        raise unsuccessful

    return run


async def sleep(seconds: float) -> None:
    """Pause before a call is repeated."""
    await asyncio.sleep(seconds)


def within(run: Runner, seconds: float, place: str) -> Runner:
    """Return *run* with a limit on its time."""

    async def limited(body: bytes, flight: Flight, stream: bool) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                return await run(body, flight, stream)
        except TimeoutError:
            raise CallFailed(f"{place}: no answer within {seconds * 1000:g} ms") from None

    return limited
