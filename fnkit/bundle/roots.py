"""Name what a function runs: the user's modules and pickles that its steps refer to.

A name alone may be one of the function's own file. A reference is a text "package.module:Name" or "pickle:NAME", as a step's
class, its handler, or anywhere in its arguments (a model's class, a function for a ready-made step). A text that only looks
like a reference names no module of the project and does no harm.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fnkit.functions.services import code_services
from fnkit.manifest import Document, Flow, Function, Manifest, Route, Router, Step

_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
_PICKLE = re.compile(r"pickle:([^:/\\]+)")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Roots:
    """Dotted *modules* that are referred to (not all of them need exist), names of *pickles*, and names alone; each sorted."""

    modules: tuple[str, ...]
    pickles: tuple[str, ...]
    names: tuple[str, ...]


def find_roots(manifest: Manifest, function: Function) -> Roots:
    """Return what *function* of the placed *manifest* refers to."""
    texts = list(_texts(_parts(manifest, function)))
    modules = {match[1] for text in texts if (match := _REFERENCE.fullmatch(text)) and match[1] != "pickle"}
    pickles = {match[1] for text in texts if (match := _PICKLE.fullmatch(text))}
    names = {text.partition(".")[0] for text in texts if _MODULE.fullmatch(text)}
    return Roots(tuple(sorted(modules)), tuple(sorted(pickles)), tuple(sorted(names)))


def modules_in_pickle(data: bytes) -> tuple[str, ...]:
    """Return the texts in the pickle *data* that may be names of modules; nothing of it is run."""
    found = set()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL":
            found.add(str(argument).partition(" ")[0])
        elif "UNICODE" in opcode.name and isinstance(argument, str) and _MODULE.fullmatch(argument):
            found.add(argument)
    return tuple(sorted(found))


def _parts(manifest: Manifest, function: Function) -> Iterator[object]:
    match manifest.spec:
        case Flow():
            mine = [step for step in manifest.spec.steps if step.name in function.steps]
            yield from (_of_step(step, function) for step in mine)
            yield from (
                _of_route(route) for step in manifest.spec.steps for route in step.routes if route.function == function.name
            )
            if function.kind == "entry" or any(step.target.startswith("fnkit.") for step in mine):
                yield manifest.spec.options
        case Router():
            yield from _router_parts(manifest.spec.step, function)
        case Document() if manifest.topology == "inference_graph":
            services = code_services(manifest.spec.spec)
            yield [(services[name].target, services[name].args) for name in function.steps if name in services]
        case Document():
            yield manifest.spec.spec


def _router_parts(router: Step, function: Function) -> Iterator[object]:
    if function.kind == "entry":
        yield (router.target, router.handler, router.args)
        yield from (_of_route(route) for route in router.routes if route.function in ("", "*", function.name))
    else:
        yield from (_of_route(route) for route in router.routes if route.key in function.steps)


def _of_step(step: Step, function: Function) -> object:
    beside = tuple(_of_route(route) for route in step.routes if route.function in ("", "*", function.name))
    return (step.target, step.handler, step.args, beside)


def _of_route(route: Route) -> object:
    return (route.target, route.handler, route.args)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _all_texts(value.values())
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        yield from _all_texts(value)


def _all_texts(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        yield from _texts(value)
