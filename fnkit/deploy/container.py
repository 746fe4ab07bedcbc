"""Export a graph as containers: for each function a folder to build its image of, and a `compose.yaml` that runs them together.

A folder holds the unpacked bundle, a Dockerfile and a `.dockerignore`; the zips, `graph.json` and `bundles.json` lie beside them, so that
the emulator runs what the images are made of. The entry function calls the others over HTTP (`fnkit.functions.http_invoker`).

Refused are graphs with functions behind a queue: nothing here would wake them. (`fnkit.deploy.knative` has sources for Kafka.)
"""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from shlex import quote
from string import Template
from typing import TYPE_CHECKING

import yaml

from fnkit.bundle import build, is_build_folder, read_bundles
from fnkit.bundle.build import choose_python, place_manifest
from fnkit.deploy.container_names import find_clashes, service_name
from fnkit.deploy.export import Exported, Exporter, Order
from fnkit.errors import ProblemsError, UsageError
from fnkit.functions.queues.readers import find_mappings
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit.manifest import Flow
from fnkit.project import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fnkit.bundle import Build, Bundle
    from fnkit.manifest import Function, Manifest

PORT = 8080
SERVER = ("gunicorn>=25.1,<28", "uvicorn>=0.34,<1", "uvicorn-worker>=0.3,<1", "httptools>=0.6,<1")
APPLICATION = "fnkit.runtime.asgi:application"
DEFAULT_IMAGE = "{name}:{tag}"
TAKES = frozenset({"placement", "python", "platform", "refresh", "image", "registry"})


def _nothing_wakes(_spec: QueueSpec) -> str:
    return "a container has no event source"


@dataclass(frozen=True, slots=True)
class Container:
    """What becomes the image of one function: *folder* is its build context, *name* that of its service, *image* its full name."""

    function: Function
    name: str
    image: str
    folder: Path
    platform: str = ""

    @property
    def build_command(self) -> str:
        """The command that makes the image."""
        platform = f" --platform {self.platform}" if self.platform else ""
        return f"docker build{platform} -t {self.image} {quote(str(self.folder))}"


# ---- one function


def serve_command(function: Function) -> list[str]:
    """Return what serves a bundle in whose folder it is started, on the port that `PORT` says."""
    limit = function.timeout_s
    return [
        "gunicorn", "--worker-class", "uvicorn_worker.UvicornWorker", "--no-control-socket", "--keep-alive", "75",
        "--timeout", str(limit + 30), "--graceful-timeout", str(limit), APPLICATION,
    ]  # fmt: skip


def dockerfile(manifest: Manifest, function: Function) -> str:
    """Return the text of the Dockerfile of *function*."""
    template = Template(_template("Dockerfile"))
    return template.substitute(
        function=function.name,
        graph=manifest.name,
        python=manifest.python,
        server=" ".join(f'"{requirement}"' for requirement in SERVER),
        command=json.dumps(serve_command(function)),
    )


def _template(name: str) -> str:
    return files("fnkit_templates").joinpath("container", name).read_text("utf-8")


def write_context(manifest: Manifest, bundle: Bundle, folder: Path) -> str:
    """Make *folder* the build context of the image of *bundle*; return the tag that its content asks for."""
    unpacked = folder / "bundle"
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True)
    _unpack(bundle.path, unpacked)
    text = dockerfile(manifest, bundle.function)
    (folder / "Dockerfile").write_text(text, "utf-8")
    (folder / ".dockerignore").write_text(_template("dockerignore"), "utf-8")
    return sha256(f"{bundle.sha256}\n{text}".encode()).hexdigest()[:12]


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            path = Path(opened.extract(info, folder))
            if path.is_file():
                path.chmod(0o755 if info.external_attr >> 16 & 0o111 else 0o644)  # any user of the image can read it


def image_name(order: Order, name: str, tag: str) -> str:
    """Return the image of the service *name*, as `--image` and `--registry` say. UsageError for what names no image."""
    pattern, registry = order.text("image", DEFAULT_IMAGE), order.text("registry").rstrip("/")
    image = pattern.replace("{name}", name).replace("{tag}", tag)
    if (
        not image
        or any(map(str.isspace, image))
        or any(char in pattern.replace("{name}", "").replace("{tag}", "") for char in "{}")
    ):
        raise UsageError(f"{pattern!r} names no image", where="--image", hint="write it like registry.example/{name}:{tag}")
    return f"{registry}/{image}" if registry else image


def check_image(order: Order, services: tuple[str, ...]) -> None:
    """Refuse an `--image` that would be that of several *services*."""
    image = image_name(order, "{name}", "{tag}")
    if len(services) > 1 and "{name}" not in order.text("image", DEFAULT_IMAGE):
        raise UsageError(
            f"{image!r} would be the image of {len(services)} services: {', '.join(services)}",
            where="--image",
            hint="write {name} where the name of the service goes: --image registry.example/{name}:1",
        )


# ---- the whole graph


def write_containers(order: Order, woken: Callable[[QueueSpec], str] = _nothing_wakes) -> tuple[Build, tuple[Container, ...]]:
    """Build the bundles of *order* and a build context for each, the entry function's first.

    *woken* says why a queue cannot wake a function, "" where it can. Raises `ProblemsError` for a graph that containers cannot run, besides
    what building raises.
    """
    built = _build(order, woken)
    bundles = sorted(built.bundles, key=lambda bundle: bundle.function.kind != "entry")
    return built, tuple(_write(order, built.manifest, bundle) for bundle in bundles)


def _build(order: Order, woken: Callable[[QueueSpec], str]) -> Build:
    """Return the bundles of *order*; a graph that does not fit is refused before anything is written."""
    if is_build_folder(Path(order.target)):
        built = read_bundles(Path(order.target))
        _check(order, built.manifest, woken)
        return built
    loaded = load(order.target)
    python = choose_python(order.build.python or loaded.settings.python)
    _check(order, place_manifest(loaded, order.build.placement, python), woken)
    return build(loaded, order.out, options=replace(order.build, for_cloud=True), report=order.report)


def _check(order: Order, manifest: Manifest, woken: Callable[[QueueSpec], str]) -> None:
    services = _services(manifest)
    problems = (*find_problems(manifest, woken), *find_clashes(services))
    if problems:
        raise ProblemsError(f"{manifest.name!r} as containers", problems)
    check_image(order, tuple(service for _, service in services))


def _services(manifest: Manifest) -> list[tuple[str, str]]:
    return [(function.name, service_name(manifest, function)) for function in manifest.functions]


def _write(order: Order, manifest: Manifest, bundle: Bundle) -> Container:
    name = service_name(manifest, bundle.function)
    folder = order.out / name
    tag = write_context(manifest, bundle, folder)
    return Container(bundle.function, name, image_name(order, name, tag), folder, docker_platform(order))


def docker_platform(order: Order) -> str:
    """Return Docker's word for the platform that was asked for, "" for its own."""
    return {"linux-x86_64": "linux/amd64", "linux-arm64": "linux/arm64"}.get(order.build.platform, "")


def image_commands(order: Order, containers: Sequence[Container]) -> tuple[str, ...]:
    """Return the commands that make the images and, where that is known, bring them to where a cluster finds them."""
    pushes = has_registry(order)
    return tuple(
        command for found in containers for command in (found.build_command, *((f"docker push {found.image}",) if pushes else ()))
    )


def has_registry(order: Order) -> bool:
    """Tell whether the images of *order* have a place that they can be pushed to."""
    return bool(order.text("registry")) or "/" in order.text("image")


def registry_warnings(order: Order) -> tuple[str, ...]:
    """Return what a cluster will miss."""
    said = (
        "the images have no registry, so a cluster does not find them: build again with --registry, or load them into its nodes"
    )
    return () if has_registry(order) else (said,)


def find_problems(manifest: Manifest, woken: Callable[[QueueSpec], str] = _nothing_wakes) -> Iterator[str]:
    """Yield a sentence for each queue of a graph that would be written to, or read, by nobody where functions are containers.

    *woken* says why a queue cannot wake a function, "" where it can.
    """
    readers: dict[str, list[str]] = {}
    for mapping in find_mappings(manifest):
        readers.setdefault(mapping.spec.name, []).append(mapping.function)
        if why := woken(mapping.spec):
            yield f"step {mapping.spec.name!r}: {why}, so nothing would wake function {mapping.function!r} behind this queue"
    for step in manifest.spec.steps if isinstance(manifest.spec, Flow) else ():
        spec = read_spec(step.name, step.args)[0] if step.kind == "queue" and step.name not in readers else None
        if spec is not None and spec.kind in ("local", "dummy"):
            yield (
                f"step {step.name!r}: a queue of kind {spec.kind!r} is one of the emulator, or made on AWS; "
                "name a broker: path='kafka://broker:9092/topic'"
            )


def service_urls(containers: tuple[Container, ...], pattern: str) -> dict[str, str]:
    """Return the variables by which functions find those that they call; *pattern* is a URL with {service} in it."""
    urls = {
        found.function.name: pattern.replace("{service}", found.name) for found in containers if found.function.kind != "entry"
    }
    return {"FNKIT_SERVICE_URLS": json.dumps(urls, sort_keys=True)} if urls else {}


def environment(container: Container, urls: Mapping[str, str]) -> dict[str, str]:
    """Return all variables of one container, sorted; *urls* go to those that may call others: what clients call, and what queues wake."""
    given = dict(container.function.environment)
    if container.function.kind in ("entry", "child"):
        given |= urls
    return dict(sorted(given.items()))


def compose_text(containers: tuple[Container, ...], out: Path) -> str:
    """Return a compose file that runs the graph on one machine: the entry function on port 8080, the others among themselves."""
    urls = service_urls(containers, f"http://{{service}}:{PORT}")
    services: dict[str, object] = {}
    for found in containers:
        service: dict[str, object] = {"image": found.image, "build": f"./{found.folder.relative_to(out)}"}
        if variables := environment(found, urls):
            service["environment"] = {name: value.replace("$", "$$") for name, value in variables.items()}
        if found.platform:
            service["platform"] = found.platform
        service |= {"mem_limit": f"{found.function.memory_mb}m", "stop_grace_period": f"{found.function.timeout_s + 5}s"}
        if found.function.kind == "entry":
            service |= {
                "ports": [f"127.0.0.1:{PORT}:{PORT}"],
                "depends_on": [other.name for other in containers if other != found],
            }
        services[found.name] = service
    text: str = yaml.safe_dump({"name": containers[0].name, "services": services}, sort_keys=False, width=110)
    return text


def export_order(order: Order) -> Exported:
    """Write the build contexts of *order*, and a compose file beside them."""
    built, containers = write_containers(order)
    path = order.out / "compose.yaml"
    path.write_text(compose_text(containers, order.out), "utf-8")
    return Exported(
        built.manifest.name,
        ("FUNCTION", "IMAGE", "FOLDER"),
        rows(containers),
        events(containers),
        {"compose": str(path), "folder": str(order.out)},
        (*(found.build_command for found in containers), f"docker compose -f {quote(str(path))} up"),
        built.warnings,
    )


def rows(containers: tuple[Container, ...]) -> tuple[tuple[str, ...], ...]:
    """Return *containers* as a table: function, image, folder."""
    return tuple((found.function.name, found.image, str(found.folder)) for found in containers)


def events(containers: tuple[Container, ...]) -> tuple[Mapping[str, object], ...]:
    """Return *containers* as events of the command."""
    return tuple(
        {
            "event": "container",
            "function": found.function.name,
            "service": found.name,
            "image": found.image,
            "folder": str(found.folder),
        }
        for found in containers
    )


EXPORTER = Exporter(export_order, TAKES, "a folder to build an image of for each function, and a compose file")
