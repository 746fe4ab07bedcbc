"""Load what a bundle holds: read its two documents, make the steps of its function, compile its part of the graph."""

from __future__ import annotations

from os.path import basename, join

from fnkit.engine.context import Context
from fnkit.errors import FnkitError, ManifestError
from fnkit.lean import Mapping, import_module, loads
from fnkit.manifest import loads as load_manifest
from fnkit.manifest.model import Flow, Router
from fnkit.runtime.application import Application
from fnkit.runtime.invocation import Failure, stack_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fnkit.engine.answer import RemoteStep
    from fnkit.manifest.model import Function, Manifest, Step
    from fnkit.runtime.application import Topology
    from fnkit.runtime.invocation import Streamed, Whole
    from fnkit.runtime.logs import Log
    from fnkit.runtime.step_calls import StepCalls

FORMAT = "fnkit.bundle/1"
_COMPILERS = {
    "flow": "fnkit.runtime.flows",
    "router": "fnkit.runtime.flows",
    "inference_graph": "fnkit.inference_graph",
    "gateway": "fnkit.gateway",
}


class UserCode(Mapping[str, object]):
    """Finds the objects of the user that a manifest names without a module: pickled classes, and names of the function's own file."""

    def __init__(self, root: str, function: Function) -> None:
        self._root = root
        self._module = function.module
        self._found: dict[str, object] = {}

    def __getitem__(self, name: str) -> object:
        found = self.get(name, self)
        if found is self:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def get(self, name: str, default: object = None) -> object:
        """Return the object called *name* (`"pickle:NAME"`, or `"Name"`), or *default*."""
        if name not in self._found:
            if name.startswith("pickle:"):
                self._found[name] = self._unpickled(name.removeprefix("pickle:"))
            elif ":" not in name and self._module:
                self._found[name] = getattr(import_module(self._module), name, default)
            else:
                return default
        return self._found[name]

    def _unpickled(self, name: str) -> object:
        with open(join(self._root, "pickles", f"{name}.pkl"), "rb") as file:
            return import_module("pickle").load(file)


class Bundle:
    """What an unpacked bundle says: the graph, and which of its functions this is."""

    def __init__(self, root: str) -> None:
        self.root = root
        about = loads(_text(join(root, "bundle.json")))
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise ManifestError(f"not a bundle of this version of fnkit: {about!r}", where="bundle.json", hint="build it again")
        self.manifest: Manifest = load_manifest(_text(join(root, "graph.json")))
        name = str(about.get("function", ""))
        try:
            self.function: Function = self.manifest.function(name)
        except KeyError:
            raise ManifestError(f"the graph has no function '{name}'", where="bundle.json", hint="build it again") from None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ManifestError(f"the bundle cannot be read: {error}", where=basename(path), hint="build it again") from error


class Calls:
    """Answers calls of single steps. A function that runs its graph loads what this takes with the first call."""

    def __init__(self, load: Callable[[str], RemoteStep], names: tuple[str, ...], log: Log) -> None:
        self._given = (load, names, log)
        self._steps: StepCalls | None = None

    def _loaded(self) -> StepCalls:
        if self._steps is None:
            make: Callable[..., StepCalls] = import_module("fnkit.runtime.step_calls").StepCalls
            self._steps = make(*self._given)
        return self._steps

    def prepare(self) -> tuple[RemoteStep, ...]:
        """Make all steps now, so that their errors are errors of the start; return them."""
        return self._loaded().prepare()

    async def answer(self, envelope: Mapping[str, object], context: object, *, streams: bool) -> Whole | Streamed:
        """Run the step that *envelope* names."""
        return await self._loaded().answer(envelope, context, streams=streams)


def load_application(bundle: Bundle, environ: Mapping[str, str], log: Log, *, streams: bool = True) -> Application:
    """Return the function of *bundle*. Raises whatever is wrong with it, or with the user's code."""
    manifest, function = bundle.manifest, bundle.function
    context = Context(
        parameters=manifest.parameters,
        current_function=function.name,
        project=manifest.project,
        streaming=manifest.streaming,
        function_uri=f"{manifest.project}/{function.name}",
    )
    code = UserCode(bundle.root, function)

    def load(name: str) -> RemoteStep:
        load_step: Callable[..., RemoteStep] = import_module("fnkit.engine.alone").load_step
        return load_step(manifest, name, namespaces=[code], context=context)

    topology = _topology(manifest, function, code, context, environ) if runs_graph(manifest, function) else None
    steps = Calls(getattr(topology, "load_step", load), _callable_steps(manifest, function), log)
    needs_loop = any(step.needs_loop for step in steps.prepare()) if topology is None else topology.needs_loop
    return Application(
        topology,
        steps,
        needs_loop=needs_loop,
        log=log,
        environ=environ,
        streams=streams,
        url_streams=environ.get("FNKIT_RESPONSE_MODE", "") == "streaming",
        default_content_type=manifest.default_content_type,
    )


def runs_graph(manifest: Manifest, function: Function) -> bool:
    """Tell whether *function* runs a part of the graph by itself: the entry function does, and what a queue wakes."""
    if isinstance(manifest.spec, Router):
        return function.kind == "entry"
    if function.kind == "entry" or not isinstance(manifest.spec, Flow):
        return True
    queues = {step.name for step in manifest.spec.steps if step.kind == "queue"}
    return any(_follows(step, queues) for step in manifest.spec.steps if step.function == function.name)


def _follows(step: Step, queues: set[str]) -> bool:
    return not queues.isdisjoint(step.after)


def _callable_steps(manifest: Manifest, function: Function) -> tuple[str, ...]:
    if isinstance(manifest.spec, Router):
        return function.steps if function.kind != "entry" else ()
    if not isinstance(manifest.spec, Flow):
        # Functions of an InferenceGraph other than its entry serve services that the graph calls.
        return function.steps if manifest.topology == "inference_graph" and function.kind != "entry" else ()
    steps = manifest.spec.steps
    routes = [route.key for step in steps for route in step.routes if route.function == function.name]
    return (
        *(step.name for step in steps if step.name in function.steps and step.kind == "task"),
        *(key for key in routes if key in function.steps),
    )


def _topology(manifest: Manifest, function: Function, code: UserCode, context: Context, environ: Mapping[str, str]) -> Topology:
    module = import_module(_COMPILERS[manifest.topology])
    compile_topology: Callable[..., Topology] = module.compile_topology
    return compile_topology(manifest, function=function.name, namespaces=[code], context=context, environ=environ)


def failure_at_start(error: BaseException) -> Failure:
    """Return what an error while loading is to the Runtime API, under the names that AWS's own runtime uses."""
    stack = stack_of(error)
    if isinstance(error, SyntaxError):
        place = f"{error.filename or '?'}, line {error.lineno}"
        lines = (f'  File "{error.filename}", line {error.lineno}', f"    {(error.text or '').rstrip()}")
        return Failure("Runtime.UserCodeSyntaxError", f"{place}: {error.msg}", lines)
    text = error.explain() if isinstance(error, FnkitError) else str(error)
    if isinstance(error, ImportError):
        return Failure("Runtime.ImportModuleError", text, stack)
    cause = error.__cause__
    if cause is not None and not isinstance(error, FnkitError):
        text = f"{text}: {type(cause).__name__}: {cause}"
    return Failure(type(error).__name__, text, stack)
