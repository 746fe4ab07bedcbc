"""Which of a client's headers reach the services: `PROPAGATE_HEADERS`, as KServe's router reads it.

The variable holds Go regular expressions (RE2), separated by commas, not trimmed, unanchored, matched against names in Go's
canonical form. Not set: nothing passes. Set to nothing: one empty pattern, so everything passes. A pattern that does not compile is
skipped. RE2 is not Python's `re`: what Python alone knows is refused here, what RE2 alone knows is translated.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from fnkit.net.http1 import is_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Header = tuple[str, str]
    Policy = Callable[[Iterable[Header]], tuple[Header, ...]]

# Go keeps these out of a request's header map; they never pass.
_NEVER = frozenset(("Host", "Content-Length", "Transfer-Encoding", "Trailer"))
_ATOMS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)  # an escape, or a class in brackets
_FOREIGN_ATOM = re.compile(r"\\[1-9Z]")
_FOREIGN = re.compile(r"\(\?[=!>#(]|\(\?P[=>]|\(\?<[=!]|[*+?}]\+|\(\?[a-zA-Z-]*[aLux]")
_LITERAL = re.compile(r"\\Q(.*?)(?:\\E|\Z)", re.DOTALL)
_CLASSES = {
    "[:alnum:]": "0-9A-Za-z", "[:alpha:]": "A-Za-z", "[:digit:]": "0-9", "[:lower:]": "a-z", "[:upper:]": "A-Z",
    "[:word:]": "0-9A-Za-z_", "[:xdigit:]": "0-9A-Fa-f", "[:space:]": r"\t\n\v\f\r ", "[:punct:]": "!-/:-@[-`{-~",
}  # fmt: skip


@lru_cache(maxsize=4096)
def canonical(name: str) -> str:
    """Return *name* in Go's canonical form (`X-B3-Traceid`); a name with bytes that no name has stays as it is."""
    if not is_token(name):
        return name
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """Return Python's form of a Go regular expression, None if Go would not compile it."""
    pattern = _LITERAL.sub(lambda literal: re.escape(literal[1]), pattern)
    for name, members in _CLASSES.items():
        pattern = pattern.replace(name, members)
    skeleton = _ATOMS.sub("x", pattern)
    if _FOREIGN.search(skeleton) or any(map(_FOREIGN_ATOM.match, _ATOMS.findall(pattern))):
        return None
    if any(int(count) > 1000 for count in re.findall(r"[{,](\d{1,9})(?=[,}])", skeleton)):  # RE2's limit
        return None
    translated = _ATOMS.sub(lambda atom: r"\Z" if atom[0] == r"\z" else atom[0], pattern).replace("(?<", "(?P<")
    try:
        return re.compile(translated, re.ASCII)
    except (re.error, OverflowError, RecursionError):
        return None


def skipped_patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return those of *patterns* that Go would not compile."""
    return tuple(pattern for pattern in patterns if compile_pattern(pattern) is None)


def patterns_of(variable: str | None) -> tuple[str, ...]:
    """Return the patterns in the value of `PROPAGATE_HEADERS`; None: the variable is not set."""
    return () if variable is None else tuple(variable.split(","))


def propagation(patterns: Sequence[str]) -> Policy:
    """Return what selects, of a client's headers, those to send on: canonical names, all values, in order, once."""
    compiled = [pattern for text in patterns if (pattern := compile_pattern(text)) is not None]

    @lru_cache(maxsize=4096)
    def passes(name: str) -> bool:
        return name not in _NEVER and any(pattern.search(name) for pattern in compiled)

    def select(headers: Iterable[Header]) -> tuple[Header, ...]:
        named = ((canonical(name), value) for name, value in headers)
        return tuple((name, value) for name, value in named if passes(name))

    def nothing(_: Iterable[Header]) -> tuple[Header, ...]:
        return ()

    return select if compiled else nothing
