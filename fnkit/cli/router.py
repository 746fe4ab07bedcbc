"""fnkit router: serve one InferenceGraph as KServe's router binary does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from fnkit.cli.console import Console
from fnkit.cli.options import common
from fnkit.errors import EmulatorError, FnkitError, UsageError
from fnkit.functions.services import is_step
from fnkit.inference_graph.decode import read_graph_json
from fnkit.inference_graph.lint import find_warnings
from fnkit.inference_graph.spec import InferenceGraph
from fnkit.project.inference_graph_file import load_graph
from fnkit_emulator.router.server import RouterOptions, environment_propagation, serve


def _services(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    bad = [name for name, equals, url in pairs if not (name and equals and url)]
    if bad:
        raise click.BadParameter(f"{bad[0]!r} is not NAME=URL")
    return {name: url for name, _, url in pairs}


@click.command("router")
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option("--graph-json", "-graph-json", default=None, help="The JSON of an InferenceGraph's spec.")
@click.option("--host", default="127.0.0.1", show_default=True, envvar="FNKIT_ROUTER_HOST", help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), envvar="FNKIT_ROUTER_PORT",
              help="Port to listen on; 0 picks a free one.")  # fmt: skip
@click.option("--drain-seconds", default=30.0, show_default=True, type=click.FloatRange(0),
              help="How long requests are still served after SIGTERM.")  # fmt: skip
@click.option("--service", "services", multiple=True, metavar="NAME=URL", callback=_services,
              help="Where a serviceName leads; may be repeated.")  # fmt: skip
@click.option("--in-cluster", is_flag=True, help="Other service names are InferenceServices of the graph's namespace.")
@click.option("--name", default="", help="Which graph of TARGET, if it holds several.")
@common
def command(
    console: Console,
    *,
    target: Path | None,
    graph_json: str | None,
    host: str,
    port: int,
    drain_seconds: float,
    services: dict[str, str],
    in_cluster: bool,
    name: str,
) -> None:
    """Serve a KServe InferenceGraph over HTTP, as KServe's router does.

    The graph is TARGET, an InferenceGraph in YAML or JSON, or the value of --graph-json, as KServe's controller passes it. Which headers
    reach the services is decided by PROPAGATE_HEADERS: regular expressions, separated by commas.
    """
    graph = _graph(target, graph_json, name)
    for problem in find_warnings(graph):
        console.say(f"warning: {problem}")
    if not in_cluster:
        _warn_of_unknown_services(console, graph, services)
    _refuse_step_classes(graph, services)
    options = RouterOptions(
        host, port, environment_propagation(), drain_seconds, services, log_steps=console.verbosity > 0, in_cluster=in_cluster
    )

    def ready(url: str) -> None:
        console.result(f"serving on {url}", event="ready", url=url)

    asyncio.run(serve(graph, options, ready=ready))


def _warn_of_unknown_services(console: Console, graph: InferenceGraph, services: dict[str, str]) -> None:
    known = graph.extensions.services.keys() | services.keys()
    asked = {
        step.service_name for node in graph.nodes.values() for step in node.steps if step.service_name and not step.service_url
    }
    for name in sorted(asked - known):
        console.say(f"warning: nobody says where service {name!r} is: its steps fail with 500 (hint: --service {name}=URL)")


def _refuse_step_classes(graph: InferenceGraph, services: dict[str, str]) -> None:
    """Refuse services that are classes: the router runs no code of its users."""
    classes = [*(graph.extensions.code.keys() - services.keys()), *(name for name, url in services.items() if is_step(url))]
    if classes:
        raise UsageError(
            f"the services {', '.join(sorted(classes))} are step classes, which the router cannot run",
            hint="run the graph with `fnkit emulate`, or say where the services are: --service NAME=URL",
        )


def _graph(target: Path | None, graph_json: str | None, name: str) -> InferenceGraph:
    if target is not None and graph_json is not None:
        raise click.UsageError("give a TARGET or --graph-json, not both")
    if target is not None:
        return load_graph(target, name)
    try:
        return read_graph_json(graph_json or "")
    except FnkitError as error:
        # KServe's router leaves with status 1 here, and whoever starts it may rely on that.
        raise EmulatorError(error.message, where=error.where, hint=error.hint or "--graph-json takes a spec") from error
