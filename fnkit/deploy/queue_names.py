"""What the queues of a deployment are called on AWS, and which of these names AWS does not take."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fnkit.deploy.state import Account
from fnkit.functions.queues.spec import QueueSpec, queue_name

LONGEST = 80  # characters of the name of an SQS queue, its .fifo included
_ON_AWS = re.compile(r"https?://(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com(?:\.cn)?/(\d{12})/([^/]+)/?")


@dataclass(frozen=True, slots=True)
class Names:
    """Names the queues of the deployment whose functions start with *prefix*, in *account*."""

    account: Account
    prefix: str

    def queue(self, spec: QueueSpec) -> str:
        """Return the name of the SQS queue that a local queue becomes: a FIFO queue where its messages have keys."""
        return self._own(spec, "")

    def dead(self, spec: QueueSpec) -> str:
        """Return the name of the SQS queue for what a reader of *spec* could not process."""
        return self._own(spec, "-dead")

    def url(self, queue: str) -> str:
        """Return the URL of the deployment's own *queue*."""
        return f"https://sqs.{self.account.region}.{self.account.domain}/{self.account.number}/{queue}"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of *resource* in this account and region."""
        return f"arn:{self.account.partition}:{service}:{self.account.region}:{self.account.number}:{resource}"

    def sqs_arn(self, spec: QueueSpec) -> str:
        """Return the ARN of the SQS queue of *spec*: the deployment's own, or the one that its name or URL means."""
        if spec.kind == "local":
            return self.arn("sqs", self.queue(spec))
        if found := _ON_AWS.fullmatch(spec.address):
            return f"arn:{self.account.partition}:sqs:{found[1] or found[2]}:{found[3]}:{found[4]}"
        return self.arn("sqs", spec.address.rstrip("/").rpartition("/")[2])

    def _own(self, spec: QueueSpec, ending: str) -> str:
        local = spec.kind == "local"
        fifo = ".fifo" if local and spec.keyed else ""
        return f"{self.prefix}{spec.address if local else queue_name(spec.name)}{ending}{fifo}"


def find_problems(queues: Iterable[tuple[QueueSpec, str]]) -> Iterator[str]:
    """Yield what is wrong with the names of *queues*, each with the queue of the graph that it is made for."""
    listed = list(queues)
    for spec, name in listed:
        if len(name) > LONGEST:
            yield f"queue '{spec.name}': '{name}' has {len(name)} characters, the name of an SQS queue at most {LONGEST}: shorten it"
    for name, count in Counter(name for _, name in listed).items():
        if count > 1:
            specs = " and ".join(f"'{spec.name}'" for spec, taken in listed if taken == name)
            yield f"queues {specs} would both be the SQS queue '{name}': rename one of them"
