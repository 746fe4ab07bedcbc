"""One fault of a graph, as data."""

from __future__ import annotations

from fnkit.records import record


@record(frozen=True, slots=True)
class Problem:
    """A fault of a graph: the step it belongs to (`""`: the graph as a whole), a stable code, what is wrong, what to do."""

    step: str
    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"step {self.step!r}: " if self.step else ""
        hint = f" (hint: {self.hint})" if self.hint else ""
        return f"{place}{self.message}{hint}"
