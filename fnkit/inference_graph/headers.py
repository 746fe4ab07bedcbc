"""Which of a client's headers reach the services: `PROPAGATE_HEADERS`, as KServe's router reads it.

The variable holds Go regular expressions (RE2), separated by commas, not trimmed, unanchored, matched against names in Go's
canonical form. Not set: nothing passes. Set to nothing: one empty pattern, so everything passes. A pattern that does not compile is
skipped.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

from fnkit.net.http1 import is_token

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Sequence

    Header = tuple[str, str]
    Policy = Callable[[Iterable[Header]], tuple[Header, ...]]

# Go keeps these out of a request's header map; they never pass.
_NEVER = frozenset(("Host", "Content-Length", "Transfer-Encoding", "Trailer"))


@lru_cache(maxsize=4096)
def canonical(name: str) -> str:
    """Return *name* in Go's canonical form (`X-B3-Traceid`); a name with bytes that no name has stays as it is."""
    if not is_token(name):
        return name
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


def _compiled(pattern: str) -> re.Pattern[str] | None:
    # Loaded by name: most graphs propagate nothing, and need not wait for it when they start.
    compiled: re.Pattern[str] | None = import_module("fnkit.inference_graph.go_regexp").compile_pattern(pattern)
    return compiled


def skipped_patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return those of *patterns* that Go would not compile."""
    return tuple(pattern for pattern in patterns if _compiled(pattern) is None)


def patterns_of(variable: str | None) -> tuple[str, ...]:
    """Return the patterns in the value of `PROPAGATE_HEADERS`; None: the variable is not set."""
    return () if variable is None else tuple(variable.split(","))


def propagation(patterns: Sequence[str]) -> Policy:
    """Return what selects, of a client's headers, those to send on: canonical names, all values, in order, once."""
    compiled = [pattern for text in patterns if (pattern := _compiled(text)) is not None]

    @lru_cache(maxsize=4096)
    def passes(name: str) -> bool:
        return name not in _NEVER and any(pattern.search(name) for pattern in compiled)

    def select(headers: Iterable[Header]) -> tuple[Header, ...]:
        named = ((canonical(name), value) for name, value in headers)
        return tuple((name, value) for name, value in named if passes(name))

    def nothing(_: Iterable[Header]) -> tuple[Header, ...]:
        return ()

    return select if compiled else nothing
