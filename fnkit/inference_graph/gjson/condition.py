"""A path that is compiled once and asked of many documents."""

from __future__ import annotations

from functools import lru_cache

from fnkit.inference_graph.gjson.document import Document
from fnkit.inference_graph.gjson.evaluate import evaluate
from fnkit.inference_graph.gjson.path import Expression, read
from fnkit.inference_graph.gjson.result import MISSING, Result, result_of
from fnkit.inference_graph.gjson.scan import Value


class Query:
    """A compiled path. It never changes what it answers and may be shared between threads."""

    __slots__ = ("expression", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.expression = _read(path)

    def get(self, document: bytes) -> Result:
        """Return what the path finds in *document*, which is not checked to be JSON."""
        return result_of(self._find(document))

    def exists(self, document: bytes) -> bool:
        """Tell whether the path finds anything in *document*."""
        return self._find(document) is not None

    def matches(self, document: bytes) -> bool:
        """Tell whether *document* is JSON and the path finds anything in it: what KServe's router asks of a condition."""
        read = Document(document)
        return read.valid and read.has(self)

    def __repr__(self) -> str:
        return f"Query({self.path!r})"

    def _find(self, document: bytes) -> Value | None:
        if self.expression is None:
            return None
        try:
            return evaluate(self.expression, document)
        except RecursionError:  # queries or multipaths nested some hundred levels deep in the path itself
            return None


def _read(path: str) -> Expression | None:
    try:
        return read(path.encode("utf-8", "surrogatepass"))
    except RecursionError:
        return None


@lru_cache(maxsize=512)
def compile(path: str) -> Query:
    """Return the compiled form of *path*; the last few hundred are remembered."""
    return Query(path)


def get(document: bytes, path: str) -> Result:
    """Return what *path* finds in *document*, which is not checked to be JSON."""
    return compile(path).get(document)


__all__ = ["MISSING", "Query", "compile", "get"]
