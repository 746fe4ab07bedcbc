"""What a deployment wants of asynchronous events: how often they are tried, and where those go that are given up."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from fnkit.deploy.queue_names import Names
from fnkit.deploy.state import Asynchronous, WantedQueue

QUEUE = "queue"  # instead of an ARN: a queue of the deployment
_QUEUE_NAME = "asynchronous-dead"
_RETENTION_S = 14 * 24 * 3600  # as long as SQS can keep a message
_LIMITS = Asynchronous()
_ARN = re.compile(r"arn:aws[a-z-]*:(sqs|sns|lambda|events):[a-z0-9-]+:\d{12}:\S+")
_ACTIONS = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "lambda": "lambda:InvokeFunction",
    "events": "events:PutEvents",
}


@dataclass(frozen=True, slots=True)
class AsyncWishes:
    """What was said about asynchronous events; None and `""`: nothing. *failures* is an ARN, or `"queue"`."""

    retries: int | None = None
    max_age_s: int | None = None
    failures: str = ""


NOTHING_SAID = AsyncWishes()


def want_asynchronous(wishes: AsyncWishes, names: Names) -> Asynchronous | None:
    """Return how events shall be treated, None where nothing was said."""
    if wishes == NOTHING_SAID:
        return None
    return Asynchronous(
        retries=_LIMITS.retries if wishes.retries is None else wishes.retries,
        max_age_s=_LIMITS.max_age_s if wishes.max_age_s is None else wishes.max_age_s,
        on_failure=_own_queue(names).arn if wishes.failures == QUEUE else wishes.failures,
    )


def want_queues(wishes: AsyncWishes, names: Names) -> tuple[WantedQueue, ...]:
    """Return the queue of the deployment for events that are given up, where it shall have one."""
    return (_own_queue(names),) if wishes.failures == QUEUE else ()


def find_grants(wishes: AsyncWishes, names: Names) -> Iterator[Mapping[str, object]]:
    """Yield what the role needs for the destination of events that are given up: Lambda sends to it in the role's name."""
    if wishes.failures == QUEUE:
        yield {"Effect": "Allow", "Action": [_ACTIONS["sqs"]], "Resource": [_own_queue(names).arn]}
    elif found := _ARN.fullmatch(wishes.failures):
        yield {"Effect": "Allow", "Action": [_ACTIONS[found[1]]], "Resource": [wishes.failures]}


def find_problems(wishes: AsyncWishes, names: Names, taken: Collection[str]) -> Iterator[str]:
    """Yield what Lambda would not take. *taken* are the names of the SQS queues that the graph's own queues become."""
    if wishes.failures == QUEUE and _own_queue(names).name in taken:
        yield f"the SQS queue {_own_queue(names).name} would be that of a queue of the graph too: rename the latter"
    if wishes.retries is not None and wishes.retries > _LIMITS.retries:
        yield f"async_retries is {wishes.retries}, Lambda tries an event at most 2 more times"
    if wishes.max_age_s is not None and not 60 <= wishes.max_age_s <= _LIMITS.max_age_s:
        yield f"async_max_age_s is {wishes.max_age_s}, Lambda keeps an event for 60 to {_LIMITS.max_age_s} s"
    if wishes.failures not in ("", QUEUE) and _ARN.fullmatch(wishes.failures) is None:
        yield f'async_failures is {wishes.failures!r}: say "queue", or the ARN of an SQS queue, a topic, a function or an event bus'
    if wishes.failures.endswith(".fifo"):
        yield "async_failures names a FIFO queue or topic, to which Lambda sends no events that were given up"


def _own_queue(names: Names) -> WantedQueue:
    name = f"{names.prefix}{_QUEUE_NAME}"
    return WantedQueue(name, {"MessageRetentionPeriod": str(_RETENTION_S)}, names.arn("sqs", name))
