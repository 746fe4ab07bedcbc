"""`ServingFunction`: a graph with its code, its parameters and its child functions, under MLRun's words."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal, cast, overload

from fnkit.errors import GraphError, InvokeError, MLRunInvalidArgumentError, UsageError
from fnkit.inert import INERT
from fnkit.manifest import Engine
from fnkit.manifest.spelling import did_you_mean
from fnkit.project.assemble import assemble, draft_manifest
from fnkit.project.calls import CallSettings
from fnkit.project.files import find_or_refuse, read_requirements, read_secrets, requirement_lines
from fnkit.project.graph import FlowGraph
from fnkit.project.later import later
from fnkit.project.origin import Origin, origin_of_caller
from fnkit.project.recording import is_recording, record, records_deployment
from fnkit.project.router import RouterGraph
from fnkit.project.spec import FunctionSpec
from fnkit.project.steps import GraphStep, Handler, RouteDraft

if TYPE_CHECKING:
    from fnkit.project.deployment import Deployment, deploy
    from fnkit.project.loaded import Loaded
    from fnkit.project.mock import MockServer, make_mock_server
    from fnkit.project.plot import Drawing, plot
else:
    deploy = later("fnkit.project.deployment", "deploy")
    make_mock_server = later("fnkit.project.mock", "make_mock_server")
    plot = later("fnkit.project.plot", "plot")

_TOPOLOGIES = ("flow", "router")
_ENGINES = ("async", "sync")
_KINDS = ("serving",)


def refuse_other_kinds(kind: str) -> None:
    """MLRunInvalidArgumentError for the *kind* of a function that serves no graph."""
    if kind not in _KINDS:
        raise MLRunInvalidArgumentError(f"unsupported kind of function {kind!r}", hint=did_you_mean(kind, _KINDS))


class ServingFunction(CallSettings):
    """A function that serves a graph.

    *file* is the user's file with the step classes, None where the classes are given as objects or live beside the caller. Call options
    of a function hold for the steps that run in it, as far as they say nothing else themselves.
    """

    kind = "serving"

    def __init__(
        self,
        name: str,
        *,
        project: str = "",
        file: Path | None = None,
        origin: Origin | None = None,
        folders: tuple[Path, ...] = (),
        requirements: Iterable[str] = (),
        image: str = "",
        tag: str = "",
        labels: Mapping[str, str] | None = None,
        parent: ServingFunction | None = None,
    ) -> None:
        self.name = name
        self.project = project
        self.file = file
        self.image = image
        self.tag = tag
        self.labels = dict(labels or {})
        self.verbose = False
        self.requirements = list(requirements)
        self.spec = FunctionSpec()
        self.children: dict[str, ServingFunction] = {}
        self.origin = origin or origin_of_caller()
        self.folders = folders or (self.origin.folder, Path.cwd())
        self.secrets: dict[str, str] = {}
        self._parent = parent
        self._deployment: Deployment | None = None
        if parent is None:
            record(self)

    def __repr__(self) -> str:
        return f"<serving function {self.name!r}>"

    @overload
    def set_topology(
        self,
        topology: Literal["flow"],
        class_name: object = None,
        engine: str | None = None,
        exist_ok: bool = False,
        allow_cyclic: bool = False,
        max_iterations: int | None = None,
    ) -> FlowGraph: ...
    @overload
    def set_topology(
        self,
        topology: Literal["router"] | None = None,
        class_name: object = None,
        engine: str | None = None,
        exist_ok: bool = False,
        allow_cyclic: bool = False,
        max_iterations: int | None = None,
        **class_args: object,
    ) -> RouterGraph: ...
    @overload
    def set_topology(
        self,
        topology: str,
        class_name: object = None,
        engine: str | None = None,
        exist_ok: bool = False,
        allow_cyclic: bool = False,
        max_iterations: int | None = None,
        **class_args: object,
    ) -> FlowGraph | RouterGraph: ...
    def set_topology(
        self,
        topology: str | None = None,
        class_name: object = None,
        engine: str | None = None,
        exist_ok: bool = False,
        allow_cyclic: bool = False,
        max_iterations: int | None = None,
        **class_args: object,
    ) -> FlowGraph | RouterGraph:
        """Start the graph and return it: `"flow"` (steps behind each other) or `"router"` (a route per model; the default).

        *class_name* and *class_args* are the router's class and its arguments. MLRunInvalidArgumentError for anything else.
        """
        topology = topology or "router"
        if self.spec.graph is not None and not exist_ok:
            raise MLRunInvalidArgumentError("graph topology is already set, graph was initialized, use exist_ok=True to override")
        if topology not in _TOPOLOGIES:
            raise MLRunInvalidArgumentError(
                f"unsupported topology {topology}, use 'router' or 'flow'", hint=did_you_mean(topology, _TOPOLOGIES)
            )
        graph = (
            self._flow(engine, allow_cyclic, max_iterations, class_args)
            if topology == "flow"
            else self._router(class_name, allow_cyclic, class_args)
        )
        self.spec.graph = graph
        return graph

    def _flow(
        self, engine: str | None, allow_cyclic: bool, max_iterations: int | None, class_args: Mapping[str, object]
    ) -> FlowGraph:
        engine = engine or "async"
        if engine not in _ENGINES:
            raise MLRunInvalidArgumentError(
                f"unsupported engine {engine}, use 'async' or 'sync'", hint=did_you_mean(engine, _ENGINES)
            )
        if engine == "sync" and allow_cyclic:
            raise MLRunInvalidArgumentError("Cyclic graphs are not supported with sync engine, please use async engine")
        for argument in class_args:
            known = ("engine", "exist_ok", "allow_cyclic", "max_iterations")
            raise MLRunInvalidArgumentError(
                f"set_topology('flow') has no argument {argument!r}", hint=did_you_mean(argument, known)
            )
        return FlowGraph(self, engine=cast("Engine", engine), allow_cyclic=allow_cyclic, max_iterations=max_iterations)

    def _router(self, class_name: object, allow_cyclic: bool, class_args: Mapping[str, object]) -> RouterGraph:
        if allow_cyclic:
            raise MLRunInvalidArgumentError("cyclic graphs are only supported in flow topology with async engine")
        return RouterGraph(self, class_name, **class_args)

    def add_model(
        self,
        key: str,
        model_path: str | None = None,
        class_name: object = None,
        model_url: str | None = None,
        handler: Handler = None,
        router_step: str | None = None,
        child_function: str | None = None,
        creation_strategy: object = None,
        outputs: object = None,
        **class_args: object,
    ) -> RouteDraft:
        """Add a model to the router (made if there is no graph yet) and return its route; *key* may carry a version: `"m1:v2"`.

        A model that loads from nowhere needs no path. MLRunInvalidArgumentError without a class (or a default one) or a handler;
        *model_url* makes a route that calls another server.
        """
        target = self._router_for_models(router_step)
        if model_url:
            return target.put_route(RouteDraft(key, "RemoteStep", None, child_function or "", {"url": model_url, **class_args}))
        class_name = class_name or self.spec.default_class
        if not class_name and not handler:
            raise MLRunInvalidArgumentError(
                "model_path must be provided with class_name"
                if model_path
                else f"class_name or handler must be provided for the model {key!r}",
                hint="name a class derived from V2ModelServer: class_name='MyModel'",
            )
        if model_path is not None:
            class_args["model_path"] = str(model_path)
        return target.put_route(RouteDraft(key, class_name or None, handler, child_function or "", class_args))

    def _router_for_models(self, router_step: str | None) -> RouterGraph | GraphStep:
        graph = self.spec.graph
        if graph is None:
            graph = self.set_topology("router")
        if isinstance(graph, RouterGraph):
            return graph
        if router_step:
            return graph[router_step]
        routers = [step for step in graph.steps.values() if step.kind == "router"]
        if not routers:
            raise GraphError(
                "graph does not contain any router, add_model can only be used when there is a router step",
                hint='add one with graph.to("*", name="router")',
            )
        if len(routers) > 1:
            raise GraphError(
                f"found {len(routers)} routers, please specify the router_step you would like to add this model to",
                hint=f"one of {', '.join(step.name for step in routers)}",
            )
        return routers[0]

    def set_streaming(self, enabled: bool = True) -> None:
        """Stream answers to HTTP clients as they are made; refused beside triggers that cannot stream."""
        self.spec.set_streaming(enabled)

    def add_trigger(self, name: str, spec: Mapping[str, object]) -> ServingFunction:
        """Add a trigger such as `{"kind": "http"}`; return the function."""
        self.spec.add_trigger(name, spec)
        return self

    def with_secrets(self, kind: str, source: object) -> ServingFunction:
        """Give secrets to `context.get_secret`: `("inline", mapping)`, `("file", path)` or `("env", "NAME,NAME")`.

        They stay in this process: neither the manifest nor a bundle holds them.
        """
        self.secrets.update(read_secrets(kind, source, self.folders, os.environ))
        return self

    def set_env(self, name: str, value: str) -> ServingFunction:
        """Set an environment variable of the function; return the function."""
        self.spec.env[name] = str(value)
        return self

    def set_envs(self, env_vars: Mapping[str, str]) -> ServingFunction:
        """Set environment variables of the function; return the function."""
        for name, value in env_vars.items():
            self.set_env(name, value)
        return self

    def with_requirements(self, requirements: str | Iterable[str] | None = None, requirements_file: str = "") -> ServingFunction:
        """Add pip requirement lines, given here (a list, one alone, or the name of a file) or in a file; return the function."""
        self.requirements += requirement_lines(requirements, self.folders)
        if requirements_file:
            self.requirements += read_requirements(self._find(requirements_file))
        return self

    def add_child_function(
        self,
        name: str,
        url: str | None = None,
        image: str | None = None,
        requirements: str | Iterable[str] | None = None,
        kind: str | None = None,
    ) -> ServingFunction:
        """Add a function of its own file *url* (default: this one's) for the steps that name it; return it.

        *requirements*: pip lines of its own (a list, one alone, or the name of a file), in place of the project's requirements.txt.
        """
        if name in self.children:
            raise MLRunInvalidArgumentError(f"there is already a child function named {name}")
        refuse_other_kinds(kind or self.kind)
        child = ServingFunction(
            name,
            project=self.project,
            file=self._find(url) if url else None,
            origin=self.origin,
            folders=self.folders,
            requirements=requirement_lines(requirements, self.folders),
            image=image or "",
            parent=self,
        )
        self.children[name] = child
        return child

    def load(self) -> Loaded:
        """Return the graph as data: its manifest, where its code is and what travels as a pickle.

        ProblemsError lists everything that is wrong with the graph.
        """
        return assemble(self)

    def to_mock_server(
        self,
        namespace: ModuleType | Mapping[str, object] | Iterable[ModuleType | Mapping[str, object]] | None = None,
        current_function: str | None = "*",
        track_models: bool = False,
        workdir: str | None = None,
        stream_profile: object = None,
    ) -> MockServer:
        """Return a server that runs the graph in this process.

        *namespace*: modules or mappings to look names up in first. *current_function*: run the steps of this function only;
        `"*"` runs all in one place, `""` or None those of the parent.
        """
        if is_recording():
            return cast("MockServer", INERT)
        return make_mock_server(self, namespace=namespace, current_function=current_function)

    def plot(self, filename: str | None = None, format: str | None = None, **attrs: object) -> Drawing:
        """Draw the graph; a *filename* writes it. See `fnkit.project.plot.plot`."""
        if is_recording():
            return cast("Drawing", INERT)
        options = {key: value for key, value in attrs.items() if key not in ("source", "targets")}
        return plot(draft_manifest(self), filename=filename, format=format, **options)

    def deploy(
        self,
        project: str = "",
        tag: str = "",
        verbose: bool = False,
        auth_info: object = None,
        builder_env: Mapping[str, str] | None = None,
        force_build: bool = False,
        *,
        target: str | None = None,
    ) -> str:
        """Start the function and return its URL.

        *target*: `"local"` (an emulator that lives as long as this process, or the running one that `FNKIT_EMULATOR_URL` names) or
        `"aws"`; by default what `FNKIT_TARGET` or the settings say. Deploying again replaces what runs.
        """
        if records_deployment():
            return cast("str", INERT)
        self._refuse_empty()
        loaded = self.load()
        target = target or loaded.settings.target
        if target not in ("local", "aws"):
            raise UsageError(f"unknown target {target!r}", hint=f"targets: local, aws; {did_you_mean(target, ('local', 'aws'))}")
        port = self._deployment.stop() if self._deployment else 0
        self._deployment = None
        self._deployment = deploy(
            loaded, target=target, environ={**os.environ, **(builder_env or {})}, secrets=self.secrets, port=port
        )
        return self._deployment.url

    def get_url(self) -> str:
        """Return the URL of the deployed function; InvokeError if it is not deployed."""
        if is_recording():
            return cast("str", INERT)
        return self._deployed().url

    def invoke(
        self,
        path: str = "",
        body: object = None,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        force_external_address: bool = False,
        auth_info: object = None,
        mock: bool | None = None,
        timeout_s: float = 900.0,
    ) -> object:
        """Call the deployed function, wait for the whole answer and return it: parsed if it is JSON, bytes otherwise.

        RuntimeError for a status of 400 and above. *mock*: use a mock server instead of what is deployed.
        """
        if is_recording():
            return INERT
        if mock:
            with self.to_mock_server() as server:
                return server.test(path or "/", body=body, method=method or "", headers=headers)
        return self._deployed().invoke(path, body, method, headers, timeout_s)

    def undeploy(self) -> None:
        """Stop what `deploy` started on this machine; nothing happens if nothing runs."""
        if self._deployment is not None:
            self._deployment.stop()
            self._deployment = None

    def _named(self) -> str:
        return f"function {self.name!r}"

    def _deployed(self) -> Deployment:
        if self._deployment is None:
            raise InvokeError("the function is not deployed", where=f"function {self.name!r}", hint="call fn.deploy() first")
        return self._deployment

    def _refuse_empty(self) -> None:
        graph = self.spec.graph
        if graph is None or (isinstance(graph, FlowGraph) and not graph.steps):
            raise MLRunInvalidArgumentError(
                "nothing to deploy, .spec.graph is none, use .add_model()",
                hint='start with graph = fn.set_topology("flow") and add steps to it',
            )

    def _find(self, name: str) -> Path:
        return find_or_refuse(name, self.folders)
