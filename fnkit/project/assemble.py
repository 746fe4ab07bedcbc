"""From a graph that was written to data: every name resolved, every fault collected, the result a `Loaded`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from fnkit.errors import ProblemsError
from fnkit.functions.queues.readers import find_queue_problems
from fnkit.manifest import (
    NO_CALL_OPTIONS,
    CallOptions,
    Flow,
    Function,
    Manifest,
    Problem,
    Route,
    Router,
    Step,
    Topology,
    find_problems,
    resolve_function,
)
from fnkit.project.absent import is_promised, read_file
from fnkit.project.calls import merged
from fnkit.project.carried import foreign_arguments, is_knot, not_picklable, plain_value
from fnkit.project.constructors import find_call_problems
from fnkit.project.files import read_requirements
from fnkit.project.graph import FlowGraph
from fnkit.project.later import later
from fnkit.project.loaded import Loaded
from fnkit.project.model_files import carry_models
from fnkit.project.modules import import_file
from fnkit.project.origin import module_name
from fnkit.project.resolve import Namespace, Resolver, hint_of, is_of_users_code
from fnkit.project.root import find_root
from fnkit.project.router import RouterGraph
from fnkit.project.settings import Settings, read_settings
from fnkit.project.steps import GraphStep, RouteDraft, is_plain, name_of
from fnkit.serving.authoring import RUNNER

if TYPE_CHECKING:
    from fnkit.project.function import ServingFunction
    from fnkit.project.pickling import pickle_objects
else:
    pickle_objects = later("fnkit.project.pickling", "pickle_objects")


@dataclass(slots=True)
class Assembly:
    """A graph on its way to data: what is known of its code, and what went wrong so far.

    *errors* are the exceptions behind those *problems* that names and arguments have caused, in the order of the steps. *absent*: for
    each function whose file was read without them, the modules that are not installed here.
    """

    function: ServingFunction
    resolver: Resolver
    settings: Settings
    absent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def refuse(self, step: str, code: str, message: str, hint: str = "", error: Exception | None = None) -> None:
        """Note a fault."""
        self.problems.append(Problem(step, code, message, hint))
        if error is not None:
            self.errors.append(error)


def assemble(function: ServingFunction, *, check_calls: bool = True) -> Loaded:
    """Return *function*'s graph as data; ProblemsError lists everything that is wrong with it."""
    assembly, manifest = begin(function, runs_here=False)
    return finish(assembly, manifest, check_calls=check_calls)


def begin(
    function: ServingFunction, namespaces: tuple[Namespace, ...] = (), *, runs_here: bool = True
) -> tuple[Assembly, Manifest]:
    """Return the manifest of *function* and what was found out on the way; faults are noted, not raised.

    What the user's own files raise while they are imported is raised. Where nothing of it *runs_here*, a file may do without modules
    that the requirements of its function promise.
    """
    root = find_root(function)
    settings = read_settings(root or function.origin.folder, os.environ)
    assembly = Assembly(function, Resolver(root, function.origin, namespaces=namespaces), settings)
    if root is not None:
        assembly.resolver.modules, assembly.absent = _import_modules(assembly, root, runs_here=runs_here)
    return assembly, _manifest(assembly)


def finish(assembly: Assembly, manifest: Manifest, *, check_calls: bool) -> Loaded:
    """Return the `Loaded` for *manifest*; ProblemsError if anything is wrong."""
    resolver = assembly.resolver
    problems = [*assembly.problems, *find_problems(manifest), *find_queue_problems(manifest), *foreign_arguments(manifest)]
    if check_calls:
        problems += find_call_problems(manifest, resolver.objects)
    pickles, refused = pickle_objects(resolver.pickles) if resolver.pickles else ({}, {})
    problems += [not_picklable(manifest, name, reason) for name, reason in refused.items()]
    if problems:
        raise ProblemsError(f"the graph {manifest.name!r}", tuple(dict.fromkeys(problems)))
    files = {name: module.__name__ for name, module in resolver.modules.items() if name}
    if "" in resolver.modules:
        files[manifest.name] = resolver.modules[""].__name__
    root = resolver.root or assembly.function.origin.folder
    manifest, models = carry_models(manifest, root)
    return Loaded(manifest, root, (*assembly.settings.include, *models), pickles, assembly.settings, files)


def draft_manifest(function: ServingFunction) -> Manifest:
    """Return the manifest of *function* with the names as they were written, no code looked at: enough to draw it."""
    graph = function.spec.graph
    if isinstance(graph, FlowGraph):
        steps = tuple(_draft_step(step, _after_with_handlers(graph, step)) for step in graph.steps.values())
        spec: Flow | Router = _flow(graph, steps)
    elif isinstance(graph, RouterGraph):
        routes = tuple(Route(key, name_of(route.class_name), name_of(route.handler)) for key, route in graph.routes.items())
        spec = Router(Step(function.name, "router", name_of(graph.class_name), routes=routes))
    else:
        spec = Flow(())
    topology: Topology = "router" if isinstance(spec, Router) else "flow"
    functions = (Function(function.name, "entry"), *(Function(name, "child") for name in function.children))
    return Manifest(function.name, spec, topology, function.project, functions)


def _import_modules(
    assembly: Assembly, root: Path, *, runs_here: bool
) -> tuple[dict[str, ModuleType], dict[str, tuple[str, ...]]]:
    """Return the modules of the functions that have a file of their own, and what these were read without."""
    modules: dict[str, ModuleType] = {}
    absent: dict[str, tuple[str, ...]] = {}
    for key, owner in (("", assembly.function), *assembly.function.children.items()):
        if owner.file is None:
            continue
        name = module_name(owner.file, root)
        if runs_here or not is_promised(_requirements_of(assembly, owner)):
            modules[key] = import_file(owner.file, name, root)
            continue
        modules[key], missing = read_file(owner.file, name, root)
        if missing:
            absent[owner.name] = missing
    return modules, absent


def _manifest(assembly: Assembly) -> Manifest:
    function = assembly.function
    graph = function.spec.graph
    if isinstance(graph, RouterGraph):
        spec: Flow | Router = Router(_router_step(assembly, graph))
    elif isinstance(graph, FlowGraph):
        steps = tuple(_step(assembly, graph, step) for step in graph.steps.values())
        _check_error_targets(assembly, graph)
        spec = _flow(graph, steps, _options(assembly, graph))
    else:
        spec = Flow(())
    for name, trigger in function.spec.triggers.items():
        if trigger.get("kind") != "http":
            hint = "let events come through a queue step, and put the steps that handle them behind it"
            assembly.refuse("", "trigger", f"the trigger {name!r} of kind {trigger.get('kind')!r} cannot be deployed", hint)
    return Manifest(
        name=function.name,
        spec=spec,
        topology="router" if isinstance(spec, Router) else "flow",
        project=function.project,
        functions=tuple(_functions(assembly)),
        streaming=bool(function.spec.streaming),
        parameters=dict(function.spec.parameters),
        default_content_type=function.spec.default_content_type or "",
        python=assembly.settings.python,
        labels={str(key): str(value) for key, value in function.labels.items()},
    )


def _flow(graph: FlowGraph, steps: tuple[Step, ...], options: Mapping[str, object] | None = None) -> Flow:
    return Flow(steps, graph.engine, graph.allow_cyclic, graph.max_iterations, graph.on_error, dict(options or {}))


def _options(assembly: Assembly, graph: FlowGraph) -> dict[str, object]:
    options = {key: _options_value(assembly, value) for key, value in graph.options.items()}
    if assembly.function.verbose:
        options["verbose"] = True
    return options


def _options_value(assembly: Assembly, value: object) -> object:
    """Return an option of the whole graph with the classes in it as targets."""
    if isinstance(value, Mapping):
        return {key: _options_value(assembly, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_options_value(assembly, item) for item in value]
    return value if is_plain(value) else _reference(assembly, value)


def _functions(assembly: Assembly) -> Iterator[Function]:
    parent = assembly.function
    for function in (parent, *parent.children.values()):
        spec, settings = function.spec, assembly.settings
        own = "" if function is parent else function.name
        module = assembly.resolver.modules.get(own)
        yield Function(
            name=function.name,
            kind="entry" if function is parent else "child",
            module=module.__name__ if module else "",
            requirements=_requirements_of(assembly, function),
            memory_mb=spec.memory_mb or settings.memory_mb,
            timeout_s=spec.timeout_s or settings.timeout_s,
            concurrency=spec.concurrency or settings.concurrency,
            max_environments=spec.max_environments or settings.max_environments,
            environment={**settings.environment, **parent.spec.env, **spec.env},
            streaming=bool(spec.streaming),
        )


def _requirements_of(assembly: Assembly, function: ServingFunction) -> tuple[str, ...]:
    """Return the requirement lines of *function*: a child that has some of its own does without the project's requirements.txt."""
    inherits = function is assembly.function or not function.requirements
    inherited = _project_requirements(assembly) if inherits else []
    return tuple(dict.fromkeys([*assembly.settings.requirements, *inherited, *function.requirements]))


def _project_requirements(assembly: Assembly) -> list[str]:
    """Return the lines of the requirements.txt beside the function's code, if there is one."""
    root = assembly.resolver.root
    path = root / "requirements.txt" if root else None
    return read_requirements(path) if path is not None and path.is_file() else []


def _step(assembly: Assembly, graph: FlowGraph, draft: GraphStep) -> Step:
    function = _function_of(assembly, draft.function)
    draft_of_step = _draft_step(draft, _after_with_handlers(graph, draft))
    target, handler = _code(assembly, draft.name, draft.class_name, draft.handler, function)
    pools = graph.shared_pool if draft.class_name == RUNNER else {}
    return Step(
        name=draft.name,
        kind=draft.kind,
        target=target,
        handler=handler,
        args=_arguments(assembly, draft.name, {**pools, **draft.class_args}, function),
        after=draft_of_step.after,
        cycle_from=draft_of_step.cycle_from,
        function=function or draft.function,
        responder=draft.responder,
        input_path=draft.input_path,
        result_path=draft.result_path,
        full_event=draft.full_event,
        on_error=draft.on_error,
        max_iterations=draft.max_iterations or None,
        routes=tuple(_route(assembly, draft.name, route) for route in draft.routes.values()),
        shape=draft.shape,
        call=draft.call if draft.kind == "queue" else merged(draft.call, _call_of(assembly, function), graph.call),
    )


def _call_of(assembly: Assembly, function: str) -> CallOptions:
    """Return the call options of the function that a step runs in: the parent where it says none that is declared."""
    parent = assembly.function
    return parent.children[function].call if function in parent.children else parent.call


def _draft_step(draft: GraphStep, after: tuple[str, ...]) -> Step:
    return Step(
        name=draft.name,
        kind=draft.kind,
        target=name_of(draft.class_name),
        handler=name_of(draft.handler),
        after=after,
        cycle_from=tuple(draft.cycle_from),
        function=draft.function,
        responder=draft.responder,
        on_error=draft.on_error,
        max_iterations=draft.max_iterations or None,
        routes=tuple(Route(key, name_of(route.class_name), name_of(route.handler)) for key, route in draft.routes.items()),
        shape=draft.shape,
    )


def _after_with_handlers(graph: FlowGraph, draft: GraphStep) -> tuple[str, ...]:
    """Return the predecessors of a step, and the error handlers that go on to it."""
    handlers = [step.name for step in graph.steps.values() if step.error_before == draft.name]
    return tuple(dict.fromkeys([*draft.after, *handlers]))


def _check_error_targets(assembly: Assembly, graph: FlowGraph) -> None:
    for step in graph.steps.values():
        if step.error_before and step.error_before not in graph.steps:
            message = f"cant set before, there is no step named {step.error_before}"
            assembly.refuse(step.name, "error-target", message)


def _router_step(assembly: Assembly, graph: RouterGraph) -> Step:
    name = graph.name or name_of(graph.class_name).rpartition(".")[2]
    target, _ = _code(assembly, name, graph.class_name, None, "")
    return Step(
        name=name,
        kind="router",
        target=target,
        args=_arguments(assembly, name, graph.class_args, ""),
        input_path=graph.input_path,
        result_path=graph.result_path,
        call=assembly.function.call,
        routes=tuple(_route(assembly, name, route) for route in graph.routes.values()),
    )


def _route(assembly: Assembly, step: str, draft: RouteDraft) -> Route:
    function = _function_of(assembly, draft.function)
    target, handler = _code(assembly, step, draft.class_name, draft.handler, function)
    own = getattr(draft, "call", NO_CALL_OPTIONS)  # the models of a runner are called by their runner alone
    call = merged(own, _call_of(assembly, function)) if function else own
    args = _arguments(assembly, step, draft.class_args, function)
    return Route(draft.key, target, handler, args, function or draft.function, call)


def _function_of(assembly: Assembly, wanted: str) -> str:
    """Return the declared function that *wanted* means; `""` where it is none (the manifest's checks say so)."""
    known = (*assembly.function.children, assembly.function.name)
    return wanted if wanted == "*" else resolve_function(wanted, known) if wanted else ""


def _code(assembly: Assembly, step: str, class_name: object, handler: object, function: str) -> tuple[str, str]:
    """Return target and handler; a name that nothing has is noted and stays as it was written."""
    resolver = assembly.resolver
    target, method = name_of(class_name), name_of(handler)
    try:
        if class_name:
            target = resolver.target_of_class(class_name, function)
        elif handler:
            method = resolver.target_of_function(handler, function)
    except (ImportError, AttributeError) as error:
        if is_of_users_code(error):
            raise
        assembly.refuse(step, "unknown-name", str(error), hint_of(error), error)
    return target, method


_SELECTOR = "_model_runner_selector"
"""The one argument that names a class."""


def _arguments(assembly: Assembly, step: str, args: Mapping[str, object], function: str) -> dict[str, object]:
    """Return the arguments of a step as JSON can carry them: functions and classes become references under `_key`."""
    written: dict[str, object] = {}
    for key, value in args.items():
        if key == _SELECTOR and isinstance(value, str):
            written[key] = _code(assembly, step, value, None, function)[0]
        elif key.startswith("_") and (callable(value) or isinstance(value, str)):
            written[key] = _code(assembly, step, None, value, function)[1]
        elif is_knot(value):
            assembly.refuse(step, "argument-value", f"the argument {key!r} contains itself, or is nested too deeply")
        elif is_plain(value):
            written[key] = plain_value(value)
        elif callable(value):
            written[f"_{key}"] = _reference(assembly, value)
        else:
            written[key] = value
    return written


def _reference(assembly: Assembly, value: object) -> object:
    return assembly.resolver.target_of_class(value) if callable(value) else value
