"""The routers of one step at a time: Sequence, Switch and Splitter, each compiled to one coroutine function.

Observed of KServe's router, and kept: a Sequence sends every step the node's own input unless `data` is exactly `$response`; its
condition reads the previous answer, and when it does not hold, that answer ends the node with status 200 whatever its own status
was; a Switch reads the node's input; a Splitter looks at nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.inference_graph import gjson
from fnkit.inference_graph.beside import done
from fnkit.inference_graph.calls import Answer, CallFailed
from fnkit.inference_graph.flight import NoAnswer, NoMatch
from fnkit.inference_graph.go_json import map_predictions_to_instances

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fnkit.inference_graph.beside import Beside
    from fnkit.inference_graph.flight import Flight, Runner
    from fnkit.inference_graph.spec import Step

    Draw = Callable[[], int]

_NOTHING = Answer(0, b"")


def draw_securely() -> int:
    """Return a number from 0 to 99, all equally likely, from the system's source."""
    while (byte := os.urandom(1)[0]) >= 200:
        pass
    return byte % 100


@dataclass(frozen=True, slots=True)
class _Stage:
    """One step of a Sequence, as it is asked for at run time."""

    run: Runner
    chained: bool
    maps: bool
    condition: gjson.Query | None
    hard: bool
    last: bool


def sequence(steps: Sequence[Step], runners: Sequence[Runner], beside: Beside | None = None) -> Runner:
    """Compile a Sequence. Without steps it answers status 0 and nothing, which ends a request without an answer.

    Work on large bodies is done *beside* the loop.
    """
    stages = tuple(
        _Stage(
            run=run,
            chained=step.data == "$response" and at > 0,
            maps=step.map_predictions,
            condition=gjson.compile(step.condition) if step.condition else None,
            hard=step.is_hard,
            last=at == len(steps) - 1,
        )
        for at, (step, run) in enumerate(zip(steps, runners, strict=True))
    )

    async def run(body: bytes, flight: Flight, stream: bool) -> Answer:
        answer = _NOTHING
        for stage in stages:
            previous = answer.body
            assert isinstance(previous, bytes)  # only the last answer may be a stream
            request = previous if stage.chained else body
            if stage.maps:
                request = await done(beside, len(request), map_predictions_to_instances, request)
            if stage.condition is not None:
                chosen = await done(beside, len(previous), _first_that_holds, previous, (stage.condition,))
                if chosen is None:
                    raise CallFailed("invalid response")
                if chosen:
                    return Answer(200, previous)
            answer = await stage.run(request, flight, stream and stage.last)
            if stage.hard and not 200 <= answer.status < 300:
                return answer
        return answer

    return run


def _first_that_holds(body: bytes, conditions: Sequence[gjson.Query]) -> int | None:
    """Return the index of the first condition that *body* fulfils, their number if it fulfils none; None: it is no JSON."""
    document = gjson.Document(body)
    if not document.valid:
        return None
    return next((at for at, condition in enumerate(conditions) if document.has(condition)), len(conditions))


def switch(steps: Sequence[Step], runners: Sequence[Runner], beside: Beside | None = None) -> Runner:
    """Compile a Switch. A step without a condition has the empty path, which finds an empty key only."""
    conditions = tuple(gjson.compile(step.condition) for step in steps)
    branches = tuple(runners)

    async def run(body: bytes, flight: Flight, stream: bool) -> Answer:
        chosen = await done(beside, len(body), _first_that_holds, body, conditions)
        if chosen is not None and chosen < len(branches):
            return await branches[chosen](body, flight, stream)
        raise NoMatch("None of the routes matched with the switch condition")

    return run


def splitter(steps: Sequence[Step], runners: Sequence[Runner], draw: Draw) -> Runner:
    """Compile a Splitter: *draw* gives a number from 0 to 99, the first step whose cumulated weight exceeds it is taken."""
    weighted = tuple((step.weight, run) for step, run in zip(steps, runners, strict=True))

    async def run(body: bytes, flight: Flight, stream: bool) -> Answer:
        point = draw()
        bound = 0
        for weight, branch in weighted:
            if weight is None:
                raise NoAnswer("a step of a Splitter has no weight")
            bound += weight
            if point < bound:
                return await branch(body, flight, stream)
        raise CallFailed("no route was selected by the splitter")

    return run
