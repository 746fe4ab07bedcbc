"""The JSON of a manifest: written the same way every time, read with every fault at once."""

from __future__ import annotations

from fnkit import lean
from fnkit.errors import ManifestError
from fnkit.lean import Mapping
from fnkit.manifest.model import FORMAT, NO_CALL_OPTIONS, CallOptions, Document, Flow, Function, Manifest, Route, Router, Step
from fnkit.manifest.shape import AnyMap, Faults, Field, Flag, Listing, Number, Record, Text, TextMap, Whole, is_finite, kind_of
from fnkit.records import cast

_NAMES = Listing(Text(filled=True))
_OPTIONAL_LIMIT = Field(Whole(least=1, optional=True), None)

CALL = Record(
    "Call",
    CallOptions,
    {
        "timeout_s": Field(Number(above=0), None),
        "idle_timeout_s": Field(Number(above=0), None),
        "retries": Field(Whole(optional=True), None),
        "retry_on": Field(_NAMES, ()),
        "backoff_s": Field(Number(least=0), None),
        "backoff_rate": Field(Number(least=1), None),
        "max_backoff_s": Field(Number(least=0), None),
        "jitter": Field(Text(choices=("", "full", "half", "none")), ""),
        "breaker_threshold": Field(Whole(optional=True), None),
        "breaker_rest_s": Field(Number(above=0), None),
    },
)
_CALL = Field(CALL, NO_CALL_OPTIONS)
ROUTE = Record(
    "Route",
    Route,
    {
        "key": Field(Text(filled=True)),
        "target": Field(Text(), ""),
        "handler": Field(Text(), ""),
        "args": Field(AnyMap(), {}),
        "function": Field(Text(), ""),
        "call": _CALL,
    },
)
STEP = Record(
    "Step",
    Step,
    {
        "name": Field(Text(filled=True)),
        "kind": Field(Text(choices=("task", "queue", "router")), "task"),
        "target": Field(Text(), ""),
        "handler": Field(Text(), ""),
        "args": Field(AnyMap(), {}),
        "after": Field(_NAMES, ()),
        "cycle_from": Field(_NAMES, ()),
        "function": Field(Text(), ""),
        "responder": Field(Flag(), False),
        "input_path": Field(Text(), ""),
        "result_path": Field(Text(), ""),
        "full_event": Field(Flag(optional=True), None),
        "on_error": Field(Text(), ""),
        "max_iterations": _OPTIONAL_LIMIT,
        "routes": Field(Listing(ROUTE), ()),
        "shape": Field(Text(), ""),
        "call": _CALL,
    },
)
FLOW = Record(
    "Flow",
    Flow,
    {
        "steps": Field(Listing(STEP)),
        "engine": Field(Text(choices=("async", "sync")), "async"),
        "allow_cyclic": Field(Flag(), False),
        "max_iterations": _OPTIONAL_LIMIT,
        "on_error": Field(Text(), ""),
        "options": Field(AnyMap(), {}),
    },
)
ROUTER = Record("Router", Router, {"step": Field(STEP)})
FUNCTION = Record(
    "Function",
    Function,
    {
        "name": Field(Text(filled=True)),
        "kind": Field(Text(choices=("entry", "step", "child"))),
        "steps": Field(_NAMES, ()),
        "module": Field(Text(), ""),
        "requirements": Field(Listing(Text(filled=True)), ()),
        "memory_mb": Field(Whole(least=1), 512),
        "timeout_s": Field(Whole(least=1), 60),
        "concurrency": Field(Whole(least=1), 1),
        "max_environments": Field(Whole(least=1, optional=True), None),
        "environment": Field(TextMap(), {}),
        "streaming": Field(Flag(), False),
    },
)
_HEAD: Mapping[str, Field] = {
    "name": Field(Text(filled=True)),
    "topology": Field(Text(choices=("flow", "router", "inference_graph", "gateway")), "flow"),
    "project": Field(Text(), ""),
}
_TAIL: Mapping[str, Field] = {
    "functions": Field(Listing(FUNCTION), ()),
    "placement": Field(Text(choices=("", "step", "declared", "fused")), ""),
    "streaming": Field(Flag(), False),
    "parameters": Field(AnyMap(), {}),
    "default_content_type": Field(Text(), ""),
    "python": Field(Text(), ""),
    "labels": Field(TextMap(), {}),
}


class _DocumentShape(AnyMap):
    """The document of a topology that checks its own: the JSON object itself."""

    __slots__ = ()

    def read(self, value: object, path: str, faults: Faults) -> object:
        return Document(cast("Mapping[str, object]", AnyMap.read(self, value, path, faults)))

    def write(self, value: object) -> object:
        assert isinstance(value, Document)
        return dict(value.spec)


def _manifest_shape(spec: Field) -> Record:
    return Record("Manifest", Manifest, {**_HEAD, "spec": spec, **_TAIL})


SHAPES: Mapping[str, Record] = {
    "flow": _manifest_shape(Field(FLOW)),
    "router": _manifest_shape(Field(ROUTER)),
    "inference_graph": _manifest_shape(Field(_DocumentShape())),
    "gateway": _manifest_shape(Field(_DocumentShape())),
}


def dumps(manifest: Manifest) -> str:
    """Return the text of `graph.json`: fields in their order, defaults left out, equal manifests give equal text.

    ManifestError when a value of the user (an argument, a parameter) is not plain JSON; it names the place.
    """
    written = {"format": FORMAT, **cast("dict[str, object]", SHAPES[manifest.topology].write(manifest))}
    faults: Faults = []
    try:
        find_foreign(written, "$", faults)
    except RecursionError:
        faults.append("$: a value contains itself, or is nested too deeply")
    if faults:
        raise _refused(f"the graph {manifest.name!r} cannot be written", faults)
    text: str = lean.import_module("json").dumps(written, indent=2, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def loads(text: str | bytes) -> Manifest:
    """Return the manifest that *text* says; ManifestError lists every fault with its JSON path."""
    faults: Faults = []
    document = _parse(text, faults)
    if not isinstance(document, dict):
        raise _refused("not a graph manifest", faults or [f"$: expected an object, found {kind_of(document)}"])
    found = document.pop("format", None)
    if found != FORMAT:
        raise _refused("not a graph manifest", [f"$.format: expected {FORMAT!r}, found {found!r}"])
    topology = document.get("topology", "flow")
    shape = SHAPES.get(topology) if isinstance(topology, str) else None
    manifest = (shape or SHAPES["flow"]).read(document, "$", faults)
    if faults:
        raise _refused("not a valid graph manifest", faults)
    return cast("Manifest", manifest)


def find_foreign(value: object, path: str, faults: Faults) -> None:
    """Append to *faults* each place of *value* that JSON cannot carry unchanged: other types, NaN, keys that are not text."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                faults.append(f"{path}: the key {key!r} is {kind_of(key)}, keys must be strings")
            else:
                find_foreign(item, f"{path}.{key}", faults)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            find_foreign(item, f"{path}[{index}]", faults)
    elif isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            faults.append(f"{path}: a lone surrogate is no text")
    elif isinstance(value, float) and not is_finite(value):
        faults.append(f"{path}: {value} has no place in JSON")
    elif not (value is None or isinstance(value, int | float)):
        faults.append(f"{path}: a {type(value).__name__} has no place in JSON")


def _parse(text: str | bytes, faults: Faults) -> object:
    def constant(name: str) -> object:
        faults.append(f"$: {name} is not JSON")
        return None

    try:
        return lean.loads(text, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise _refused("not a graph manifest", [f"not UTF-8 text: {error.reason} at byte {error.start}"]) from error
    except ValueError as error:
        # `json.JSONDecodeError` knows the place; a number of too many digits has none
        line, column = getattr(error, "lineno", 0), getattr(error, "colno", 0)
        place = f"line {line} column {column}: {getattr(error, 'msg', '')}" if line else str(error)
        raise _refused("not JSON", [place]) from error
    except RecursionError as error:
        raise _refused("not a graph manifest", ["nested too deeply"]) from error


def _refused(what: str, faults: Faults) -> ManifestError:
    lines = "".join(f"\n  - {fault}" for fault in faults)
    return ManifestError(f"{what}:{lines}", where="graph.json", hint="graph.json is written by `fnkit build`; build it again")
