"""An InferenceGraph as data: what `serving.kserve.io/v1alpha1` says, frozen, and fnkit's own extensions beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fnkit.functions.services import ServiceCode

API_VERSION = "serving.kserve.io/v1alpha1"
KIND = "InferenceGraph"
ROOT = "root"
ROUTER_TYPES = ("Sequence", "Splitter", "Ensemble", "Switch")
SCALE_METRICS = ("cpu", "memory", "concurrency", "rps")
EXTENSIONS_ANNOTATION = "fnkit/extensions"


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask a service again: at most *attempts* calls, with growing pauses, after these statuses or a failed connection."""

    attempts: int = 3
    backoff_ms: int = 100
    max_backoff_ms: int = 10_000
    statuses: tuple[int, ...] = (500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a node. *extensions*: *retry* and *timeout_ms* are fnkit's own."""

    name: str = ""
    service_name: str = ""
    service_url: str = ""
    node_name: str = ""
    data: str = ""
    condition: str = ""
    weight: int | None = None
    dependency: str = ""
    map_predictions: bool = False
    retry: Retry | None = None
    timeout_ms: int | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that are given; a sound step has exactly one."""
        return tuple(filter(None, (self.node_name, self.service_name, self.service_url)))

    @property
    def is_hard(self) -> bool:
        """Tell whether a failure of this step ends its node."""
        return self.dependency == "Hard"


@dataclass(frozen=True, slots=True)
class Node:
    """A router: its type, checked only by the CRD, and its steps. *merge* is fnkit's own, for an Ensemble."""

    router_type: str = ""
    steps: tuple[Step, ...] = ()
    merge: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """`routerTimeouts` in seconds; 0 and less mean no limit. *service_client* None: no limit."""

    server_read: int = 60
    server_write: int = 60
    server_idle: int = 180
    service_client: int | None = None


@dataclass(frozen=True, slots=True)
class Extensions:
    """What fnkit adds to a whole graph, each off unless asked for.

    *stream*: answers pass through as they arrive. *propagate_headers*: patterns in place of `PROPAGATE_HEADERS`.
    *services*: service name -> URL, or a class of the project. *max_depth*: how many nodes may be nested in one request, cycles included.
    """

    stream: bool = False
    trace_context: bool = False
    metrics: bool = False
    propagate_headers: tuple[str, ...] | None = None
    services: Mapping[str, str | ServiceCode] = field(default_factory=dict)
    max_depth: int = 10_000

    @property
    def code(self) -> dict[str, ServiceCode]:
        """The services that are classes of the project."""
        return {name: target for name, target in self.services.items() if isinstance(target, ServiceCode)}

    @property
    def urls(self) -> dict[str, str]:
        """The services that are URLs."""
        return {name: target for name, target in self.services.items() if isinstance(target, str)}


@dataclass(frozen=True, slots=True)
class InferenceGraph:
    """One InferenceGraph. *pod* holds the parts of the spec that concern the router's pod, as they were written."""

    name: str
    nodes: Mapping[str, Node]
    namespace: str = ""
    timeouts: Timeouts = Timeouts()
    extensions: Extensions = Extensions()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pod: Mapping[str, object] = field(default_factory=dict)

    @property
    def service_names(self) -> tuple[str, ...]:
        """The services that its steps call by name, each once."""
        steps = (step for node in self.nodes.values() for step in node.steps)
        return tuple(dict.fromkeys(step.service_name for step in steps if step.service_name and not step.service_url))
