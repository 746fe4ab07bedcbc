"""Read requirement lines: who declared them, which name they ask for, whether their text alone says what will be installed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A requirement as pip reads it, and *where* it is declared ("function 'greeter'")."""

    line: str
    where: str

    @property
    def name(self) -> str:
        """The normalised name of the distribution; empty for a path, a URL or an option."""
        match = _NAME.match(self.line)
        if match is None or self.is_place:
            return ""
        return re.sub(r"[-_.]+", "-", match[0]).lower()

    @property
    def is_place(self) -> bool:
        """Tell whether it names a place (path, URL, another file) whose contents may change under the same text."""
        text = self.line.strip()
        return text.startswith(("-", ".", "/", "~")) or "://" in text or text.endswith((".whl", ".tar.gz", ".zip"))


def merge_requirements(*groups: tuple[Iterable[str], str]) -> tuple[Requirement, ...]:
    """Return the lines of all *groups* (lines, where) once each and sorted, without comments and without fnkit itself.

    fnkit is in every bundle already.
    """
    found: dict[str, Requirement] = {}
    for lines, where in groups:
        for line in lines:
            text = re.sub(r"(^|\s+)#.*$", "", line).strip()
            requirement = Requirement(text, where)
            if text and requirement.name != "fnkit":
                found.setdefault(text, requirement)
    return tuple(found[text] for text in sorted(found))


def is_reproducible(requirements: Sequence[Requirement], root: Path) -> bool:
    """Tell whether the text of *requirements* says what is installed, as far as an index lets it."""
    return not any(requirement.is_place or (root / requirement.line).exists() for requirement in requirements)
