"""What a JSON value must look like to become a record, a list or a plain value, and how it is written back.

Each shape knows three things about one kind of value: how to read it from JSON while collecting every fault with its
JSON path, how to write it, and what its JSON Schema is. The manifest's format is a table of shapes.
"""

from __future__ import annotations

from fnkit.lean import Mapping
from fnkit.manifest.spelling import did_you_mean
from fnkit.records import Protocol, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


Faults = list[str]


class Shape(Protocol):
    """One kind of JSON value."""

    def read(self, value: object, path: str, faults: Faults) -> object:
        """Return what *value* stands for; append a line to *faults* for each thing that is wrong with it."""
        ...

    def write(self, value: object) -> object:
        """Return the JSON value that `read` turns into *value*."""
        ...

    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of this shape."""
        ...


@record(frozen=True, slots=True)
class Text:
    """A string; one of *choices* if there are any, not empty if *filled*."""

    choices: tuple[str, ...] = ()
    filled: bool = False

    def read(self, value: object, path: str, faults: Faults) -> object:
        if not isinstance(value, str):
            faults.append(f"{path}: expected a string, found {kind_of(value)}")
        elif self.filled and not value:
            faults.append(f"{path}: must not be empty")
        elif self.choices and value not in self.choices:
            faults.append(f"{path}: {value!r} is not one of {', '.join(filter(None, self.choices))}")
        return value

    def write(self, value: object) -> object:
        return value

    def schema(self) -> dict[str, object]:
        if self.choices:
            return {"enum": list(self.choices)}
        return {"type": "string", "minLength": 1} if self.filled else {"type": "string"}


@record(frozen=True, slots=True)
class Flag:
    """A boolean; null too if *optional*."""

    optional: bool = False

    def read(self, value: object, path: str, faults: Faults) -> object:
        if not (isinstance(value, bool) or (self.optional and value is None)):
            faults.append(f"{path}: expected true or false, found {kind_of(value)}")
        return value

    def write(self, value: object) -> object:
        return value

    def schema(self) -> dict[str, object]:
        return {"type": ["boolean", "null"] if self.optional else "boolean"}


@record(frozen=True, slots=True)
class Whole:
    """A whole number from *least* on; null too if *optional*."""

    least: int = 0
    optional: bool = False

    def read(self, value: object, path: str, faults: Faults) -> object:
        if self.optional and value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            faults.append(f"{path}: expected a whole number, found {kind_of(value)}")
        elif value < self.least:
            faults.append(f"{path}: must be at least {self.least}, found {value}")
        return value

    def write(self, value: object) -> object:
        return value

    def schema(self) -> dict[str, object]:
        return {"type": ["integer", "null"] if self.optional else "integer", "minimum": self.least}


@record(frozen=True, slots=True)
class Number:
    """A number, or null: *least* or more, and more than *above*."""

    least: float | None = None
    above: float | None = None

    def read(self, value: object, path: str, faults: Faults) -> object:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            faults.append(f"{path}: expected a number, found {kind_of(value)}")
        elif isinstance(value, float) and not is_finite(value):
            faults.append(f"{path}: expected a number, found {value}")
        elif self.least is not None and value < self.least:
            faults.append(f"{path}: must be at least {self.least:g}, found {value}")
        elif self.above is not None and value <= self.above:
            faults.append(f"{path}: must be more than {self.above:g}, found {value}")
        return value

    def write(self, value: object) -> object:
        return value

    def schema(self) -> dict[str, object]:
        schema: dict[str, object] = {"type": ["number", "null"]}
        if self.least is not None:
            schema["minimum"] = self.least
        if self.above is not None:
            schema["exclusiveMinimum"] = self.above
        return schema


@record(frozen=True, slots=True)
class Listing:
    """A JSON array of one shape, read as a tuple."""

    item: Shape

    def read(self, value: object, path: str, faults: Faults) -> object:
        if not isinstance(value, list):
            faults.append(f"{path}: expected an array, found {kind_of(value)}")
            return ()
        return tuple(self.item.read(item, f"{path}[{index}]", faults) for index, item in enumerate(value))

    def write(self, value: object) -> object:
        assert isinstance(value, tuple)
        return [self.item.write(item) for item in value]

    def schema(self) -> dict[str, object]:
        return {"type": "array", "items": self.item.schema()}


@record(frozen=True, slots=True)
class TextMap:
    """A JSON object whose values are strings; written in the order of its keys."""

    def read(self, value: object, path: str, faults: Faults) -> object:
        if not isinstance(value, dict):
            faults.append(f"{path}: expected an object, found {kind_of(value)}")
            return {}
        for key, item in value.items():
            if not isinstance(item, str):
                faults.append(f"{join(path, key)}: expected a string, found {kind_of(item)}")
        return value

    def write(self, value: object) -> object:
        assert isinstance(value, Mapping)
        return dict(sorted(value.items()))

    def schema(self) -> dict[str, object]:
        return {"type": "object", "additionalProperties": {"type": "string"}}


@record(frozen=True, slots=True)
class AnyMap:
    """A JSON object of the user's own: any JSON values, in the user's order."""

    def read(self, value: object, path: str, faults: Faults) -> object:
        if not isinstance(value, dict):
            faults.append(f"{path}: expected an object, found {kind_of(value)}")
            return {}
        return value

    def write(self, value: object) -> object:
        assert isinstance(value, Mapping)
        return dict(value)

    def schema(self) -> dict[str, object]:
        return {"type": "object"}


@record(frozen=True, slots=True)
class Field:
    """A key of a record: its shape, and the value that stands for its absence (`...`: it must be there)."""

    shape: Shape
    default: object = ...


@record(frozen=True, slots=True)
class Record:
    """A JSON object with known keys, read by *build* from keyword arguments."""

    title: str
    build: Callable[..., object]
    fields: Mapping[str, Field]

    def read(self, value: object, path: str, faults: Faults) -> object:
        if not isinstance(value, dict):
            faults.append(f"{path}: expected an object, found {kind_of(value)}")
            return None
        before = len(faults)
        for key in value:
            if key not in self.fields:
                faults.append(f"{join(path, key)}: unknown key ({did_you_mean(key, self.fields)})")
        found: dict[str, object] = {}
        for key, field in self.fields.items():
            if key in value:
                found[key] = field.shape.read(value[key], join(path, key), faults)
            elif field.default is ...:
                faults.append(f"{path}: {key!r} is missing")
        return self.build(**found) if len(faults) == before else None

    def write(self, value: object) -> object:
        written: dict[str, object] = {}
        for key, field in self.fields.items():
            item = getattr(value, key)
            if field.default is ... or item != field.default:
                written[key] = field.shape.write(item)
        return written

    def schema(self) -> dict[str, object]:
        return {
            "title": self.title,
            "type": "object",
            "additionalProperties": False,
            "properties": {key: field.shape.schema() for key, field in self.fields.items()},
            "required": [key for key, field in self.fields.items() if field.default is ...],
        }


def kind_of(value: object) -> str:
    """Return what *value* is in the words of JSON."""
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def join(path: str, key: str) -> str:
    """Return the JSON path of *key* in the object at *path*."""
    return f"{path}.{key}" if key.isidentifier() else f'{path}["{key}"]'


def is_finite(value: float) -> bool:
    """Tell whether *value* is neither infinite nor NaN; `math` knows that too, but has to be loaded."""
    return value - value == 0
