"""What a path finds."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.inference_graph.gjson.numbers import parse_float
from fnkit.inference_graph.gjson.scan import NULL, NUMBER, STRING, Value
from fnkit.inference_graph.gjson.strings import text_of


@dataclass(frozen=True, slots=True)
class Result:
    """What a path found in a document.

    *type* is `Null`, `False`, `Number`, `String`, `True` or `JSON` (an object or an array), *raw_bytes* the text of the value
    as it stands in the document. Nothing found: `exists` is false, *type* is `Null` and the text is empty.
    """

    type: str
    raw_bytes: bytes

    @property
    def exists(self) -> bool:
        """A value was found, be it null, false, 0 or empty."""
        return self.type != NULL or bool(self.raw_bytes)

    @property
    def raw(self) -> str:
        """The text of the value; bytes that are not UTF-8 are surrogates, as `surrogateescape` makes them."""
        return self.raw_bytes.decode("utf-8", "surrogateescape")

    @property
    def str(self) -> str:
        """The text of a string, without quotes and escapes; empty for every other type."""
        return text_of(self.raw_bytes).decode("utf-8", "surrogateescape") if self.type == STRING else ""

    @property
    def num(self) -> float:
        """The number as a float64, infinite beyond its range; 0 for every other type and for what is no number."""
        return parse_float(self.raw_bytes.decode("latin-1")) if self.type == NUMBER else 0.0


MISSING = Result(NULL, b"")


def result_of(value: Value | None) -> Result:
    """Return a value as a result, `MISSING` for None."""
    return Result(*value) if value is not None else MISSING
