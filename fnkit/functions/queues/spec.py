"""What a queue step asks for: which kind of queue, where it is, and how it is read.

The path chooses the kind::

    ""  "orders"  local://orders          the local queue; on AWS an SQS queue that the deployer makes
    kafka://broker:9092/topic             Kafka; also a bare topic together with kafka_brokers= or cluster=
    sqs://name  https://sqs.../id/name    an SQS queue that exists
    kinesis://stream                      a Kinesis stream
    v3io://container/path                 a V3IO stream
    dummy://                              keeps messages in memory, for tests
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fnkit.functions.queues.access import Access, find_misplaced, read_access
from fnkit.functions.queues.message import Retention
from fnkit.functions.queues.trigger_args import read_trigger
from fnkit.manifest.spelling import did_you_mean
from fnkit.records import field, record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    QueueKind = Literal["local", "kafka", "sqs", "kinesis", "v3io", "dummy"]
    Starting = Literal["earliest", "latest"]

_SCHEMES: Mapping[str, QueueKind] = {
    "local": "local",
    "kafka": "kafka",
    "sqs": "sqs",
    "kinesis": "kinesis",
    "v3io": "v3io",
    "v3ios": "v3io",
    "dummy": "dummy",
}
_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_BROKER = re.compile(
    r"([A-Za-z_]+://)?(\[[0-9A-Fa-f:.]+\]|[^:/\s\[\]]+)(:\d{1,5})?"
)  # a protocol is for the client library to judge
_WORD = "it has letters, digits, '.', '_' and '-'"
_NAMES: Mapping[QueueKind, tuple[re.Pattern[str], str, str]] = {
    "kafka": (re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}"), "a topic", f"{_WORD}, 249 at most"),
    "sqs": (
        re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo"),
        "an SQS queue",
        "it has letters, digits, '_' and '-', 80 at most",
    ),
    "kinesis": (re.compile(r"[A-Za-z0-9._-]{1,128}"), "a stream", f"{_WORD}, 128 at most"),
}  # as the services take them
_KNOWN = frozenset(
    "path shards retention_in_hours trigger_args full_event kafka_brokers kafka_bootstrap_servers group sharding_func"
    " kafka_producer_options visibility_timeout max_receives batch_size batch_window max_concurrency"
    " cluster credentials security_protocol sasl_mechanism pollers _sharding_func".split()
)
_SPELLED = sorted(_KNOWN - {"_sharding_func"})  # a function given as sharding_func is written as its reference, under this name


@record(frozen=True, slots=True)
class QueueSpec:
    """One queue of a graph.

    *address* is the queue's name, topic, stream or URL; *brokers* are `host:port` (Kafka only).
    *sharding* chooses the key of a message: the name of a field of the body, a fixed partition, or `""` for the event's own key;
    *sharder* is the reference of a function that chooses it, where there is one (`"module:function"`, or an expression in parentheses).
    *batch_size* and *batch_window_s* bound what one invocation receives; *max_concurrency* how many run at once.
    For Kafka: *cluster* is the ARN of an Amazon MSK cluster, which knows its brokers; *credentials* the name of an environment variable
    that holds them; with it *security_protocol* and *sasl_mechanism* are never `""`; *producer_options* have librdkafka's names;
    *starting* says where a group begins that has committed nothing yet; *pollers* are how many readers on AWS are kept for the queue
    alone, 0 for those of all.
    """

    name: str
    kind: QueueKind
    address: str
    brokers: tuple[str, ...] = ()
    group: str = ""
    shards: int | None = None
    full_event: bool | None = None
    sharding: str | int = ""
    retention: Retention = field(default_factory=Retention)
    batch_size: int = 10
    batch_window_s: float = 0.0
    max_concurrency: int = 4
    producer_options: Mapping[str, object] = field(default_factory=dict)
    cluster: str = ""
    credentials: str = ""
    security_protocol: str = ""
    sasl_mechanism: str = ""
    starting: Starting = "earliest"
    pollers: int = 0
    sharder: str = ""

    @property
    def keyed(self) -> bool:
        """Tell whether messages are given keys, so that their order matters."""
        return self.sharding != "" or self.sharder != ""


def read_spec(name: str, args: Mapping[str, object]) -> tuple[QueueSpec | None, tuple[str, ...]]:
    """Read the arguments *args* of the queue step *name*.

    Returns the spec and no problems, or None and every problem as a sentence.
    """
    problems = [f"unknown argument '{key}'; {did_you_mean(key, _SPELLED)}" for key in sorted(set(args) - _KNOWN)]
    if "path" not in args:
        problems.append("path=<stream path or None> must be specified for queues")
    path = args.get("path") or ""
    if not isinstance(path, str):
        problems.append(f"path must be a string, not {type(path).__name__}")
        path = ""
    access = read_access(args, problems)
    kind, address, brokers = _locate(name, path, _brokers(args, problems), problems, clustered=bool(args.get("cluster")))
    if kind != "kafka":
        problems += find_misplaced(args, kind)
    trigger = read_trigger(args.get("trigger_args"), problems)
    numbers = {key: _number({**trigger, **args}, key, low, problems) for key, low in _NUMBERS.items()}
    _check_choices(args, problems)
    if problems:
        return None, tuple(problems)
    spec = _spec(name, args, kind, address, brokers, numbers)
    return _with(spec, access, "latest" if trigger.get("starting") == "latest" else "earliest"), ()


_NUMBERS = {"shards": 1, "retention_in_hours": 0, "visibility_timeout": 0.1, "max_receives": 1, "batch_size": 1, "batch_window": 0,
            "max_concurrency": 1, "pollers": 1}  # fmt: skip
_SECONDS_OR_HOURS = ("retention_in_hours", "visibility_timeout", "batch_window")  # the others are counts


def _check_choices(args: Mapping[str, object], problems: list[str]) -> None:
    sharding, group, full_event = args.get("sharding_func"), args.get("group"), args.get("full_event")
    if sharding is not None and (isinstance(sharding, bool) or not isinstance(sharding, str | int)):
        problems.append(
            f"sharding_func must be a partition's number, the name of a field of the body, or a function of the event, not {sharding!r}"
        )
    elif isinstance(sharding, int) and sharding < 0:
        problems.append(f"sharding_func must be a partition's number of at least 0, not {sharding}")
    if group is not None and not isinstance(group, str):
        problems.append(f"group must be a string, not {group!r}")
    if full_event is not None and not isinstance(full_event, bool):
        problems.append(f"full_event must be true or false, not {full_event!r}")


def _with(spec: QueueSpec, access: Access, starting: Starting) -> QueueSpec:
    return replace(
        spec,
        cluster=access.cluster,
        credentials=access.credentials,
        security_protocol=access.security_protocol,
        sasl_mechanism=access.sasl_mechanism,
        producer_options=access.options,
        starting=starting,
    )


def _spec(
    name: str,
    args: Mapping[str, object],
    kind: QueueKind,
    address: str,
    brokers: tuple[str, ...],
    numbers: Mapping[str, float | None],
) -> QueueSpec:
    hours, shards = numbers["retention_in_hours"], numbers["shards"]
    retention = Retention(
        visibility_s=_or(numbers["visibility_timeout"], 30.0),
        max_receives=int(_or(numbers["max_receives"], 3)),
        retention_s=hours * 3600 if hours else None,
    )
    full_event, sharding = args.get("full_event"), args.get("sharding_func")
    return QueueSpec(
        name=name,
        kind=kind,
        address=address,
        brokers=brokers,
        group=str(args.get("group") or ""),
        shards=int(shards) if shards else None,
        full_event=full_event if isinstance(full_event, bool) else None,
        sharding=sharding if isinstance(sharding, str | int) else "",
        sharder=str(args.get("_sharding_func") or ""),
        retention=retention,
        batch_size=int(_or(numbers["batch_size"], 10)),
        batch_window_s=_or(numbers["batch_window"], 0.0),
        max_concurrency=int(_or(numbers["max_concurrency"], 4)),
        pollers=int(_or(numbers["pollers"], 0)),
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _brokers(args: Mapping[str, object], problems: list[str]) -> tuple[str, ...]:
    given = args.get("kafka_brokers") or args.get("kafka_bootstrap_servers") or ()
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        problems.append("kafka_brokers must be a string 'host:port,host:port' or a list of such")
        return ()
    return _checked(parts, problems)


def _checked(brokers: Sequence[str], problems: list[str]) -> tuple[str, ...]:
    found = tuple(broker.strip() for broker in brokers if broker.strip())
    problems += [f"'{broker}' is no broker; write host:port" for broker in found if _BROKER.fullmatch(broker) is None]
    return found


def _locate(
    name: str, path: str, brokers: tuple[str, ...], problems: list[str], *, clustered: bool
) -> tuple[QueueKind, str, tuple[str, ...]]:
    scheme, separator, rest = path.partition("://")
    if separator and scheme in ("http", "https") and (".queue." in rest or "sqs" in rest.split("/", 1)[0]):
        return "sqs", path, ()
    if not separator:
        return ("kafka", path or name, brokers) if brokers or clustered else ("local", queue_name(path or name), ())
    if scheme not in _SCHEMES:
        problems.append(
            f"path '{path}' has an unknown scheme; a queue is one of {', '.join(f'{known}://' for known in _SCHEMES)}"
        )
        return "local", "", ()
    kind = _SCHEMES[scheme]
    if kind == "kafka":
        return _locate_kafka(path, rest, brokers, problems, clustered=clustered)
    if kind == "local":
        return kind, queue_name(rest or name), ()
    if kind == "v3io":
        return kind, path, ()
    if not rest and kind != "dummy":
        problems.append(f"path '{path}' names no {'queue' if kind == 'sqs' else 'stream'}")
    elif kind in _NAMES:
        _check_name(kind, rest, problems)
    return kind, rest, ()


def _check_name(kind: QueueKind, name: str, problems: list[str]) -> None:
    pattern, what, rule = _NAMES[kind]
    if pattern.fullmatch(name) is None:
        problems.append(f"'{name}' cannot be the name of {what}: {rule}")


def _locate_kafka(
    path: str, rest: str, brokers: tuple[str, ...], problems: list[str], *, clustered: bool
) -> tuple[QueueKind, str, tuple[str, ...]]:
    host, slash, topic = rest.partition("/")
    if not slash:
        host, topic = ("", rest) if brokers or clustered else (rest, "")
    found = _checked(host.split(","), problems) or brokers
    if not topic:
        problems.append(f"path '{path}' names no topic; write kafka://broker:9092/topic")
    else:
        _check_name("kafka", topic, problems)
    if not found and not clustered:
        problems.append(f"path '{path}' names no broker; write kafka://broker:9092/topic, or add kafka_brokers=")
    return "kafka", topic, found


def _number(args: Mapping[str, object], key: str, low: float, problems: list[str]) -> float | None:
    value = args.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < low:
        problems.append(f"{key} must be a number of at least {low}, not {value!r}")
        return None
    if key not in _SECONDS_OR_HOURS and value != int(value):
        problems.append(f"{key} must be a whole number, not {value!r}")
        return None
    return float(value)


def queue_name(text: str) -> str:
    """Return *text* as a name that a file and an SQS queue can have."""
    return _NAME.sub("-", text).strip("-")[:80] or "queue"
