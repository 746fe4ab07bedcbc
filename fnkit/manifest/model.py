"""The graph manifest as data: what `graph.json` says, frozen."""

from __future__ import annotations

from fnkit.records import field, record

FORMAT = "fnkit.graph/1"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Topology = Literal["flow", "router", "inference_graph", "gateway"]
    Placement = Literal["step", "declared", "fused"]
    Engine = Literal["async", "sync"]
    StepKind = Literal["task", "queue", "router"]
    Jitter = Literal["full", "half", "none"]
    FunctionKind = Literal["entry", "step", "child"]
else:
    Topology = Placement = Engine = StepKind = FunctionKind = Jitter = str

PLACEMENTS: tuple[Placement, ...] = ("step", "declared", "fused")


@record(frozen=True, slots=True)
class CallOptions:
    """How a step is called, wherever it runs; None stands for the default. Seconds may be fractions.

    *timeout_s*: how long an attempt may take to its whole answer; where the step streams, to its first chunk. *idle_timeout_s*: how long
    each later chunk may take (default: *timeout_s*). Without them only the limit of the step's function holds.
    *retries*: how many further attempts there may be (4). They are made for throttles, server errors and broken connections of a call to
    another function, and for errors whose class, or a base of it, is named in *retry_on*; never once a chunk has been passed on.
    The first pause is *backoff_s* (0.05), each later one *backoff_rate* times (2) as long, at most *max_backoff_s* (2, or *backoff_s* if
    that is longer); *jitter* makes it random: between nothing and all of it (`full`), or the upper half of that (`half`, the default).
    A function that throttles *breaker_threshold* attempts in a row (10; 0: any number) is left alone for *breaker_rest_s* (1), then,
    while it goes on throttling, for twice as long each time.
    """

    timeout_s: float | None = None
    idle_timeout_s: float | None = None
    retries: int | None = None
    retry_on: tuple[str, ...] = ()
    backoff_s: float | None = None
    backoff_rate: float | None = None
    max_backoff_s: float | None = None
    jitter: Jitter | Literal[""] = ""
    breaker_threshold: int | None = None
    breaker_rest_s: float | None = None


NO_CALL_OPTIONS = CallOptions()


@record(frozen=True, slots=True)
class Route:
    """One route of a router step: a model, or any step, under its key (`"m1"`, or `"m1:v2"` with a version)."""

    key: str
    target: str = ""
    handler: str = ""
    args: Mapping[str, object] = field(default_factory=dict)
    function: str = ""
    call: CallOptions = NO_CALL_OPTIONS


@record(frozen=True, slots=True)
class Step:
    """One step of a flow.

    *target* says where its class is: `"package.module:Class.Inner"`, `"pickle:NAME"` (a file of the bundle, for classes
    of a notebook), or `""` when only *handler* is given. *handler* is a method's name where there is a target, otherwise
    `"package.module:function"`, `"pickle:NAME"` or an expression in parentheses such as `"(event + 1)"`.
    *after* names all predecessors; those of them that close a cycle stand in *cycle_from* too.
    An empty *after* makes a start step, unless the step is named by some `on_error`.
    *args* are the constructor's arguments (for a queue: its path and options), plain JSON. *call* says how the step is called.
    """

    name: str
    kind: StepKind = "task"
    target: str = ""
    handler: str = ""
    args: Mapping[str, object] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    cycle_from: tuple[str, ...] = ()
    function: str = ""
    responder: bool = False
    input_path: str = ""
    result_path: str = ""
    full_event: bool | None = None
    on_error: str = ""
    max_iterations: int | None = None
    routes: tuple[Route, ...] = ()
    shape: str = ""
    call: CallOptions = NO_CALL_OPTIONS


@record(frozen=True, slots=True)
class Flow:
    """The `flow` topology: steps in the order of their definition, and what holds for all of them.

    *max_iterations* is the limit of entries into one step by one event; None means the engine's default.
    *options* hold what ready-made steps need of the whole graph (shared models and the like), plain JSON.
    """

    steps: tuple[Step, ...]
    engine: Engine = "async"
    allow_cyclic: bool = False
    max_iterations: int | None = None
    on_error: str = ""
    options: Mapping[str, object] = field(default_factory=dict)

    def step(self, name: str) -> Step:
        """Return the step called *name*; KeyError if there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)


@record(frozen=True, slots=True)
class Router:
    """The `router` topology: one router step at the root."""

    step: Step


@record(frozen=True, slots=True)
class Document:
    """A topology that keeps its own document: `inference_graph` or `gateway`, plain JSON, checked by its own package."""

    spec: Mapping[str, object] = field(default_factory=dict)


@record(frozen=True, slots=True)
class Function:
    """One serverless function of the graph.

    *steps* are the names of the steps that run in it; the entry function runs the graph and calls the others.
    *module* is the import path of the user's file of this function (`""`: none). *concurrency* is how many events one environment
    handles at a time. *max_environments* limits the environments (None: no limit). *requirements* are pip requirement lines.
    """

    name: str
    kind: FunctionKind
    steps: tuple[str, ...] = ()
    module: str = ""
    requirements: tuple[str, ...] = ()
    memory_mb: int = 512
    timeout_s: int = 60
    concurrency: int = 1
    max_environments: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    streaming: bool = False


@record(frozen=True, slots=True)
class Manifest:
    """What `graph.json` says: the same file in every bundle of a graph.

    *functions* are complete once the steps are placed (`fnkit.functions.place`); before that they hold the entry and the declared
    children. *placement* is `""` until then. *spec* is the topology's own part. *parameters* answer `context.get_param`.
    *streaming* tells whether answers of the entry function are streamed to HTTP clients.
    """

    name: str
    spec: Flow | Router | Document
    topology: Topology = "flow"
    project: str = ""
    functions: tuple[Function, ...] = ()
    placement: Placement | Literal[""] = ""
    streaming: bool = False
    parameters: Mapping[str, object] = field(default_factory=dict)
    default_content_type: str = ""
    python: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def entry(self) -> Function:
        """The function that clients call."""
        return next(function for function in self.functions if function.kind == "entry")

    def function(self, name: str) -> Function:
        """Return the function called *name*; KeyError if there is none."""
        for function in self.functions:
            if function.name == name:
                return function
        raise KeyError(name)
