"""Find the URL of a function by its name."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote

from fnkit.deploy.naming import ALIAS, function_prefix
from fnkit.deploy.state import RemoteFunction
from fnkit.errors import InvokeError
from fnkit.functions import function_name


class Functions(Protocol):
    """Where functions are looked up."""

    def function(self, name: str) -> RemoteFunction | None:
        """Return the function *name*, None if there is none."""
        ...

    def url(self, name: str, alias: str) -> str:
        """Return the URL of *alias*."""
        ...


def emulated_url(base: str, name: str) -> str:
    """Return the URL of the function *name* of the emulator at *base*."""
    return f"{base.rstrip('/')}/_functions/{quote(name, safe='')}/"


def candidates(name: str, stage: str) -> tuple[str, ...]:
    """Return what *name* may be called on Lambda: the entry function of the graph *name* on *stage*, or just *name*."""
    return (function_prefix(name, stage) + function_name(name), name)


def deployed_url(name: str, stage: str, functions: Functions) -> str:
    """Return the URL of the graph, or function, *name*. InvokeError names what was looked for."""
    tried = candidates(name, stage)
    for candidate in tried:
        there = functions.function(candidate)
        if there is not None:
            return functions.url(candidate, ALIAS)
    raise InvokeError(
        f"there is no function {' or '.join(tried)}",
        where=name,
        hint="deploy the graph, or give --stage, --region, the URL itself, or --url of an emulator",
    )
