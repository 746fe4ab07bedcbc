"""How a graph begins: functions of code, projects, functions that come ready made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fnkit.errors import MLRunInvalidArgumentError, MLRunNotFoundError
from fnkit.manifest.spelling import did_you_mean
from fnkit.project.files import find_or_refuse, read_requirements, requirement_lines
from fnkit.project.function import ServingFunction, refuse_other_kinds
from fnkit.project.origin import Origin, origin_of_caller

_HUB = {"v2_model_server": "PickledModelServer", "v2-model-server": "PickledModelServer"}


class _Current:
    """The project that functions belong to when nothing else is said."""

    project: Project | None = None


def code_to_function(
    name: str = "",
    project: str = "",
    tag: str = "",
    filename: str = "",
    handler: str = "",  # noqa: ARG001  # MLRun takes it
    kind: str = "serving",
    image: str | None = None,
    code_output: str = "",  # noqa: ARG001  # MLRun takes it
    embed_code: bool = True,  # noqa: ARG001  # MLRun takes it
    description: str = "",  # noqa: ARG001  # MLRun takes it
    requirements: str | Iterable[str] | None = None,
    categories: Iterable[str] | None = None,  # noqa: ARG001  # MLRun takes it
    labels: Mapping[str, str] | None = None,
    with_doc: bool = True,  # noqa: ARG001  # MLRun takes it
    ignored_tags: str | None = None,  # noqa: ARG001  # MLRun takes it
    requirements_file: str = "",
) -> ServingFunction:
    """Return a function whose step classes are in *filename* (default: where this is called), to build a graph for.

    *filename* is looked up beside the caller's file, in the project's folder and in the working directory. *requirements*: pip
    requirement lines, or the name of a file with them. LoadError where a file is missing, MLRunInvalidArgumentError for another *kind*.
    """
    origin = origin_of_caller()
    return _make(
        origin,
        name,
        project=project,
        tag=tag,
        filename=filename,
        kind=kind,
        image=image,
        requirements=requirements,
        requirements_file=requirements_file,
        labels=labels,
    )


def new_function(
    name: str = "",
    project: str = "",
    tag: str = "",
    kind: str = "serving",
    command: str = "",
    image: str | None = None,
    requirements: str | Iterable[str] | None = None,
    requirements_file: str = "",
    labels: Mapping[str, str] | None = None,
) -> ServingFunction:
    """Return a function without a file of its own: its classes are those of the caller, or passed as objects."""
    origin = origin_of_caller()
    return _make(
        origin,
        name or "function",
        project=project,
        tag=tag,
        filename=command,
        kind=kind,
        image=image,
        requirements=requirements,
        requirements_file=requirements_file,
        labels=labels,
    )


def import_function(url: str = "", name: str = "", project: str = "", new_name: str = "") -> ServingFunction:
    """Return a function that is ready made (`"hub://v2_model_server"`) or whose code is in the file *url*."""
    origin = origin_of_caller()
    if not url.startswith("hub://"):
        return _make(origin, new_name or name, project=project, filename=url)
    wanted = url.removeprefix("hub://").rpartition("/")[2].partition(":")[0]
    if wanted not in _HUB:
        known = [key for key in _HUB if "-" not in key]
        raise MLRunNotFoundError(f"there is no function {url}", hint=did_you_mean(wanted, known) + f"; known: {', '.join(known)}")
    function = _make(origin, new_name or name or wanted.replace("_", "-"), project=project)
    function.spec.default_class = _HUB[wanted]
    return function


class Project:
    """A named place for functions. *context* is the folder that their files are looked up in."""

    def __init__(self, name: str, context: str = "./") -> None:
        self.name = name
        self.context = context
        self.functions: dict[str, ServingFunction] = {}

    def __repr__(self) -> str:
        return f"<project {self.name!r}>"

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return Path(self.context).expanduser().resolve()

    def set_function(
        self,
        func: str | ServingFunction | None = None,
        name: str = "",
        kind: str = "serving",
        image: str | None = None,
        handler: str | None = None,
        with_repo: bool | None = None,
        tag: str | None = None,
        requirements: str | Iterable[str] | None = None,
        requirements_file: str = "",
    ) -> ServingFunction:
        """Add a function (of the file *func*, or one that exists) to the project and return it."""
        origin = origin_of_caller()
        if isinstance(func, str) and func.startswith("hub://"):
            function = import_function(func, name=name, project=self.name)
        elif isinstance(func, ServingFunction):
            function = func
            function.name = name or function.name
        else:
            function = _make(
                origin,
                name,
                project=self.name,
                tag=tag or "",
                filename=func or "",
                kind=kind,
                image=image,
                requirements=requirements,
                requirements_file=requirements_file,
                folder=self.folder,
            )
        function.project = self.name
        self.functions[function.name] = function
        return function

    def get_function(self, key: str) -> ServingFunction:
        """Return a function of the project by its name; MLRunNotFoundError if there is none."""
        if key not in self.functions:
            raise MLRunNotFoundError(f"there is no function {key!r} in the project", hint=did_you_mean(key, self.functions))
        return self.functions[key]

    def list_functions(self) -> list[ServingFunction]:
        """Return the functions of the project in the order they were added."""
        return list(self.functions.values())

    def deploy_function(self, function: str | ServingFunction, *, target: str | None = None) -> str:
        """Deploy one function and return its URL."""
        found = function if isinstance(function, ServingFunction) else self.get_function(function)
        return found.deploy(target=target)


def get_or_create_project(name: str, context: str = "./", **_options: object) -> Project:
    """Return the project called *name*; functions made after this belong to it unless they say otherwise.

    Options that only a server of projects would need (`user_project=`, `init_git=`...) are accepted and change nothing.
    """
    current = _Current.project
    if current is None or current.name != name:
        current = _Current.project = Project(name, context)
    current.context = context
    return current


def _make(
    origin: Origin,
    name: str,
    *,
    project: str = "",
    tag: str = "",
    filename: str = "",
    kind: str = "serving",
    image: str | None = None,
    requirements: str | Iterable[str] | None = None,
    requirements_file: str = "",
    labels: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> ServingFunction:
    if kind:
        refuse_other_kinds(kind)
    current = _Current.project
    own = folder or (current.folder if current else None)
    folders = tuple(dict.fromkeys([origin.folder, *([own] if own else []), Path.cwd()]))
    file = find_or_refuse(filename, folders) if filename else None
    if file is not None and file.suffix != ".py":
        raise MLRunInvalidArgumentError(
            f"{file.name} is not a Python file",
            hint="put the step classes into a .py file; a notebook can write one with %%writefile",
        )
    stem = file.stem if file else origin.file.stem if origin.file else "function"
    lines = requirement_lines(requirements, folders)
    if requirements_file:
        lines += read_requirements(find_or_refuse(requirements_file, folders))
    return ServingFunction(
        name or stem.replace("_", "-"),
        project=project or (current.name if current else ""),
        file=file,
        origin=origin,
        folders=folders,
        requirements=lines,
        image=image or "",
        tag=tag,
        labels=labels,
    )
