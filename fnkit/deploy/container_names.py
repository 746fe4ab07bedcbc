"""What functions are called where they run in containers: services of a cluster, or of Docker Compose."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fnkit.manifest import Function, Manifest

NAME_LIMIT = 63  # RFC 1035 label, which names of Services are
_OWN_LIMIT = 50  # leaves Knative room for what it appends to the names of revisions


def cluster_name(name: str) -> str:
    """Return *name* as the name of a Service: lower case letters, digits and hyphens."""
    text = "".join(char if char.isascii() and char.isalnum() else "-" for char in name.lower())
    text = text[:NAME_LIMIT].strip("-")
    return text if text[:1].isalpha() else f"fn-{text}"[:NAME_LIMIT].strip("-")


def service_name(manifest: Manifest, function: Function) -> str:
    """Return the name of the service that *function* is: the graph's for the entry function, the graph's and its own for any other."""
    name = manifest.name if function.kind == "entry" else f"{manifest.name}-{function.name}"
    text = cluster_name(name)
    if len(name) > _OWN_LIMIT:
        digest = sha256(name.encode()).hexdigest()[:8]
        return f"{text[: _OWN_LIMIT - 9].rstrip('-')}-{digest}"
    return text


def find_clashes(names: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a sentence for each function whose service has the name of another's; given are pairs of function and service."""
    taken: dict[str, str] = {}
    for function, service in names:
        if service in taken:
            yield f"functions {taken[service]!r} and {function!r} are both called {service!r} on a cluster"
        taken[service] = function
