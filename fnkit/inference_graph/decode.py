"""Read an InferenceGraph from plain JSON data, with the rules of Go's decoder.

Go matches keys whatever their case, ignores keys it does not know, leaves a field alone at null, and refuses a value of the wrong
type: a weight of `"100"`, `1.5` or `1.0` is refused, as KServe's router does when it starts. All faults are reported at once, each
with its path in the document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeGuard

from fnkit.errors import ProblemsError, UsageError
from fnkit.functions.services import ServiceCode, is_step, target_of
from fnkit.inference_graph.spec import (
    API_VERSION,
    EXTENSIONS_ANNOTATION,
    KIND,
    Extensions,
    InferenceGraph,
    Node,
    Retry,
    Step,
    Timeouts,
)

_POD_FIELDS = {
    "resources": "object", "affinity": "object", "tolerations": "list", "nodeSelector": "texts", "nodeName": "text",
    "serviceAccountName": "text", "timeout": "int64", "minReplicas": "int32", "maxReplicas": "int32", "scaleTarget": "int32",
    "scaleMetric": "text",
}  # fmt: skip
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
_NAMES = {str: "a string", int: "an integer", bool: "true or false", list: "a list", dict: "an object", float: "a number"}


class Reader:
    """One object of the document, read field by field; faults of all readers of a document go to one list."""

    __slots__ = ("_fields", "_path", "_problems", "_read")

    def __init__(self, value: object, path: str, problems: list[str]) -> None:
        self._path = path
        self._problems = problems
        self._read: set[str] = set()
        self._fields: dict[str, object] = {}
        if value is None:
            return
        if not isinstance(value, Mapping):
            self.refuse("", "an object", value)
            return
        for key, item in value.items():
            if isinstance(key, str):
                self._fields[key.lower()] = item
            else:
                problems.append(f"{path}: key {key!r} is not a string")

    def raw(self, name: str) -> object:
        """Return the value of the field *name* as it stands; None if it is absent."""
        self._read.add(name.lower())
        return self._fields.get(name.lower())

    def text(self, name: str, default: str = "") -> str:
        value = self.raw(name)
        if isinstance(value, str):
            return value if value.isascii() else _without_surrogates(value)
        if value is not None:
            self.refuse(name, "a string", value)
        return default

    def integer(self, name: str) -> int | None:
        value = self.raw(name)
        if value is None or is_integer(value):
            return value
        self.refuse(name, "an integer", value)
        return None

    def boolean(self, name: str) -> bool:
        value = self.raw(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.refuse(name, "true or false", value)
        return False

    def items(self, name: str) -> list[tuple[str, object]]:
        """Return the elements of the list *name* with their paths."""
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self.refuse(name, "a list", value)
            return []
        return [(f"{self.path(name)}[{index}]", item) for index, item in enumerate(value)]

    def strings(self, name: str) -> tuple[str, ...] | None:
        """Return the list of strings *name*; None if it is absent."""
        if self.raw(name) is None:
            return None
        found = []
        for path, item in self.items(name):
            if isinstance(item, str):
                found.append(item)
            else:
                self._problems.append(f"{path}: want a string, got {shown(item)}")
        return tuple(found)

    def entries(self, name: str) -> list[tuple[str, str, object]]:
        """Return key, path and value of every entry of the object *name*, whose keys are names and keep their case."""
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, Mapping):
            self.refuse(name, "an object", value)
            return []
        return [(str(key), f"{self.path(name)}.{key}", item) for key, item in value.items()]

    def texts(self, name: str) -> dict[str, str]:
        """Return the object *name*, whose values are strings."""
        found = {}
        for key, path, item in self.entries(name):
            if isinstance(item, str):
                found[key] = item
            else:
                self._problems.append(f"{path}: want a string, got {shown(item)}")
        return found

    def reader(self, name: str) -> Reader:
        return Reader(self.raw(name), self.path(name), self._problems)

    def at(self, path: str, value: object) -> Reader:
        return Reader(value, path, self._problems)

    def path(self, name: str) -> str:
        return ".".join(filter(None, (self._path, name)))

    def refuse(self, name: str, wanted: str, value: object) -> None:
        self._problems.append(f"{self.path(name) or 'document'}: want {wanted}, got {shown(value)}")

    def complain(self, problem: str) -> None:
        self._problems.append(problem)

    def positive(self, name: str) -> int | None:
        value = self.integer(name)
        if value is not None and value <= 0:
            self.complain(f"{self.path(name)}: want a positive number, got {value}")
            return None
        return value

    def refuse_unread(self) -> None:
        """Report the fields that nobody asked for: fnkit's own blocks have no unknown ones."""
        for name in sorted(self._fields.keys() - self._read):
            self._problems.append(f"{self.path(name)}: unknown field")


def _without_surrogates(text: str) -> str:
    """Return *text* as Go reads it: half a pair of surrogates is no character."""
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


def is_integer(value: object) -> TypeGuard[int]:
    """Tell whether Go would take *value* for an int64."""
    return isinstance(value, int) and not isinstance(value, bool) and value in _INT64


def shown(value: object) -> str:
    """Name the type of *value*, and the value where that helps."""
    name = _NAMES.get(type(value), type(value).__name__)
    return f"{name} ({value!r})" if isinstance(value, str | int | float) and len(repr(value)) < 60 else name


def read_graph(document: object, *, where: str = "InferenceGraph") -> InferenceGraph:
    """Return the graph that *document*, a Kubernetes object, describes. Raises `ProblemsError` with all faults of form."""
    problems: list[str] = []
    top = Reader(_spread(document, problems), "", problems)
    for name, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if top.text(name) != wanted:
            problems.append(f"{name}: want {wanted}, got {top.text(name) or 'nothing'}")
    meta = top.reader("metadata")
    graph = _graph(top.reader("spec"), meta)
    if problems:
        raise ProblemsError(where, tuple(problems))
    return graph


def read_graph_json(text: str | bytes) -> InferenceGraph:
    """Return the graph of a `--graph-json`: the JSON of a spec alone. Raises `UsageError` or `ProblemsError`."""
    try:
        spec = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {error}", where="--graph-json") from error
    problems: list[str] = []
    graph = _graph(Reader(spec, "", problems), Reader(None, "", problems))
    if problems:
        raise ProblemsError("--graph-json", tuple(problems))
    return graph


def _refuse_constant(name: str) -> object:
    raise ValueError(f"JSON has no {name}")


def _graph(spec: Reader, meta: Reader) -> InferenceGraph:
    annotations = meta.texts("annotations")
    return InferenceGraph(
        name=meta.text("name"),
        namespace=meta.text("namespace"),
        nodes={name: _node(spec.at(path, value)) for name, path, value in spec.entries("nodes")},
        timeouts=_timeouts(spec.reader("routerTimeouts")),
        extensions=_extensions(spec.reader("fnkit")),
        labels=meta.texts("labels"),
        annotations={key: value for key, value in annotations.items() if key != EXTENSIONS_ANNOTATION},
        pod=_pod(spec),
    )


def _pod(spec: Reader) -> dict[str, object]:
    """Return what concerns the router's pod as it stands; its types are checked as far as this document defines them."""
    found: dict[str, object] = {}
    for name, kind in _POD_FIELDS.items():
        value = spec.raw(name)
        if value is None:
            continue
        found[name] = value
        match kind:
            case "text":
                spec.text(name)
            case "texts":
                spec.texts(name)
            case "list":
                spec.items(name)
            case "object":
                spec.entries(name)
            case _:
                spec.integer(name)
                if kind == "int32" and is_integer(value) and value not in _INT32:
                    spec.refuse(name, "an integer of 32 bits", value)
    return found


def _node(node: Reader) -> Node:
    own = node.reader("fnkit")
    steps = tuple(_step(node.at(path, item)) for path, item in node.items("steps"))
    read = Node(router_type=node.text("routerType"), steps=steps, merge=own.text("merge"))
    own.refuse_unread()
    return read


def _step(step: Reader) -> Step:
    own = step.reader("fnkit")
    read = Step(
        name=step.text("name"),
        service_name=step.text("serviceName"),
        service_url=step.text("serviceUrl"),
        node_name=step.text("nodeName"),
        data=step.text("data"),
        condition=step.text("condition"),
        weight=step.integer("weight"),
        dependency=step.text("dependency"),
        map_predictions=step.boolean("mapPredictionsToInstances"),
        retry=_retry(own.reader("retry")) if own.raw("retry") is not None else None,
        timeout_ms=own.positive("timeoutMs"),
    )
    own.refuse_unread()
    return read


def _timeouts(given: Reader) -> Timeouts:
    def seconds(name: str, default: int) -> int:
        value = given.integer(name)
        return default if value is None else value

    return Timeouts(
        server_read=seconds("serverRead", 60),
        server_write=seconds("serverWrite", 60),
        server_idle=seconds("serverIdle", 180),
        service_client=given.integer("serviceClient"),
    )


# fnkit's own fields stand in `fnkit:` blocks of the spec, a node or a step. A document for a cluster, whose CRD knows no such
# block, says the same as JSON in one annotation; it is spread over the blocks before they are read.


def _extensions(own: Reader) -> Extensions:
    given = Extensions(
        stream=own.boolean("stream"),
        trace_context=own.boolean("traceContext"),
        metrics=own.boolean("metrics"),
        propagate_headers=own.strings("propagateHeaders"),
        services=_services(own),
        max_depth=own.positive("maxDepth") or Extensions().max_depth,
    )
    own.refuse_unread()
    return given


def _services(own: Reader) -> dict[str, str | ServiceCode]:
    services: dict[str, str | ServiceCode] = {}
    for name, path, value in own.entries("services"):
        if isinstance(value, str):
            services[name] = target_of(value)
        elif isinstance(value, Mapping):
            services[name] = _service(own.at(path, value))
        else:
            own.complain(f"{path}: want a URL, a class or an object, got {shown(value)}")
    return services


def _service(said: Reader) -> ServiceCode:
    target = said.text("target")
    if not is_step(target):
        said.complain(f"{said.path('target')}: want a class such as package.module:Class, got {target or 'nothing'}")
    args = {name: value for name, _, value in said.entries("args")}
    for name in args:
        if name.startswith("_") or not name.isidentifier():
            said.complain(f"{said.path('args')}.{name}: an argument's name is a Python name that does not begin with _")
    try:
        json.dumps(args)
    except (TypeError, ValueError) as error:
        said.complain(f"{said.path('args')}: want values that JSON has: {error}")
    read = ServiceCode(target, args, said.text("function"), said.strings("requirements") or ())
    said.refuse_unread()
    return read


def _retry(own: Reader) -> Retry:
    plain = Retry()
    statuses = []
    for path, item in own.items("statuses"):
        if is_integer(item) and 100 <= item <= 599:
            statuses.append(item)
        else:
            own.complain(f"{path}: want an HTTP status, got {shown(item)}")
    retry = Retry(
        attempts=own.positive("attempts") or plain.attempts,
        backoff_ms=own.positive("backoffMs") or plain.backoff_ms,
        max_backoff_ms=own.positive("maxBackoffMs") or plain.max_backoff_ms,
        statuses=tuple(statuses) or plain.statuses,
    )
    own.refuse_unread()
    return retry


def _spread(document: object, problems: list[str]) -> object:
    """Return *document* with the extensions of its annotation in the `fnkit` blocks; what a block says already wins."""
    meta, spec = (document.get(key) for key in ("metadata", "spec")) if isinstance(document, Mapping) else (None, None)
    annotations = meta.get("annotations") if isinstance(meta, Mapping) else None
    text = annotations.get(EXTENSIONS_ANNOTATION) if isinstance(annotations, Mapping) else None
    if not isinstance(text, str) or not isinstance(spec, Mapping):
        return document
    place = f"metadata.annotations.{EXTENSIONS_ANNOTATION}"
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        problems.append(f"{place}: not JSON: {error}")
        return document
    return {**document, "spec": _with_block(spec, given, "nodes", place, problems)}  # type: ignore[dict-item]  # a Mapping, as seen above


def _with_block(target: Mapping[object, object], given: object, group: str, place: str, problems: list[str]) -> object:
    """Return *target* with *given* in its block, and what *given* says of the members of *group* in theirs."""
    if not isinstance(given, Mapping):
        problems.append(f"{place}: want an object, got {shown(given)}")
        return target
    block = target.get("fnkit")
    merged = dict(target)
    merged["fnkit"] = (
        {**{key: value for key, value in given.items() if key != group}, **(block or {})}
        if (block is None or isinstance(block, Mapping))
        else block
    )
    members = given.get(group)
    members = {} if members is None else members
    if not isinstance(members, Mapping):
        problems.append(f"{place}.{group}: want an object, got {shown(members)}")
    elif members:
        merged[group] = _members(target.get(group), members, group, f"{place}.{group}", problems)
    return merged


def _members(targets: object, given: Mapping[object, object], group: str, place: str, problems: list[str]) -> object:
    """Return the nodes of a graph, or the steps of a node, with their blocks; steps go by name or by index."""
    inner = "steps" if group == "nodes" else ""
    keyed: dict[object, object] = {}
    if isinstance(targets, Mapping):
        keyed = dict(targets)
    elif isinstance(targets, list | tuple):
        keyed = {(isinstance(step, Mapping) and step.get("name")) or str(at): step for at, step in enumerate(targets)}
    for key, extra in given.items():
        target = keyed.get(key)
        if isinstance(target, Mapping):
            keyed[key] = _with_block(target, extra, inner, f"{place}.{key}", problems)
        else:
            problems.append(f"{place}.{key}: there is no such {group.removesuffix('s')}")
    return keyed if isinstance(targets, Mapping) else list(keyed.values())
