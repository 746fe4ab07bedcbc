"""Which function reads which queue of a graph."""

from __future__ import annotations

from fnkit.errors import UsageError
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit.manifest.model import Flow, Manifest
from fnkit.manifest.problem import Problem
from fnkit.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


@record(frozen=True, slots=True)
class SourceMapping:
    """One event source mapping: *function* reads the queue *spec*."""

    spec: QueueSpec
    function: str


def find_mappings(manifest: Manifest) -> tuple[SourceMapping, ...]:
    """Return the mappings of a placed *manifest*, in the order of its queues. `UsageError` names every queue that cannot be read."""
    flow = manifest.spec
    if not isinstance(flow, Flow):
        return ()
    found: list[SourceMapping] = []
    problems: list[str] = []
    for step in flow.steps:
        if step.kind != "queue":
            continue
        spec, wrong = read_spec(step.name, step.args)
        problems += [f"queue '{step.name}': {problem}" for problem in wrong]
        readers = sorted({after.function for after in flow.steps if step.name in after.after})
        if spec is not None:
            found += [SourceMapping(spec, reader) for reader in readers]
    problems += _read_twice(found)
    if problems:
        raise UsageError("\n".join(problems), hint="see the queue's arguments in the graph")
    return tuple(found)


def find_queue_problems(manifest: Manifest) -> tuple[Problem, ...]:
    """Return everything that is wrong with the arguments of the queues of *manifest*, placed or not."""
    steps = manifest.spec.steps if isinstance(manifest.spec, Flow) else ()
    return tuple(
        Problem(step.name, "queue-arguments", problem, "see the arguments of queues")
        for step in steps
        if step.kind == "queue" and "path" in step.args  # without a path it is another problem already
        for problem in read_spec(step.name, step.args)[1]
    )


def _read_twice(mappings: Iterable[SourceMapping]) -> list[str]:
    """Two functions may read a Kafka topic or a Kinesis stream side by side; from a queue they would take each other's messages."""
    readers: dict[tuple[str, str], list[str]] = {}
    for mapping in mappings:
        if mapping.spec.kind in ("local", "sqs"):
            readers.setdefault((mapping.spec.kind, mapping.spec.address), []).append(mapping.function)
    return [
        f"functions {', '.join(names)} read the same queue '{address}': each message reaches only one of them; give each its own queue"
        for (_, address), names in readers.items()
        if len(names) > 1
    ]
