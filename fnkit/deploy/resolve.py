"""Find the URL of a function by its name."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote

from fnkit.deploy.naming import function_prefix
from fnkit.errors import InvokeError
from fnkit.functions import function_name


class Functions(Protocol):
    """Where functions are looked up."""

    def find_url(self, name: str) -> str | None:
        """Return the URL of the function *name*, None if there is no such function, or it has none."""
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
        url = functions.find_url(candidate)
        if url is not None:
            return url
    raise InvokeError(
        f"there is no function with a URL called {' or '.join(tried)}",
        where=name,
        hint="deploy the graph, or give --stage, --region, the URL itself, or --url of an emulator",
    )
