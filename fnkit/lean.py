"""What the start of a function needs of the standard library, without what the public modules bring along.

`import json` compiles regular expressions for its half in Python, and then leaves the work to its half in C: with `re`, `enum` and
`functools` this takes about as long as starting Python does. `loads` and `dumps` call the same C functions as `json`, in the same way,
with the same results; what they cannot read is handed to `json`, which says why. Where Python has no such C functions, or where they
take other arguments, both *are* the functions of `json`.
"""

from __future__ import annotations

import sys

__all__ = ["Iterable", "Mapping", "dumps", "import_module", "length_hint", "loads"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from importlib import import_module
    from operator import length_hint
    from typing import Any

    Hook = Callable[[dict[str, Any]], object]
else:
    from _collections_abc import Iterable, Mapping  # `collections.abc` is this module, behind the whole of `collections`

    try:
        from _operator import length_hint
    except ImportError:
        from operator import length_hint

    def import_module(name):
        """Return the module called *name*, imported if need be: as `importlib.import_module`, which comes with `warnings`."""
        __import__(name)
        return sys.modules[name]


_SPACE = " \t\n\r"
_CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Rules:
    """What the scanner asks of a `json.JSONDecoder`: its attributes."""

    strict = True
    object_pairs_hook = None
    array_hook = None  # from Python 3.15 on
    parse_float = float
    parse_int = int

    def __init__(self, object_hook: Hook | None = None, parse_constant: Callable[[str], object] | None = None) -> None:
        self.object_hook = object_hook
        self.parse_constant = parse_constant or _CONSTANTS.__getitem__


def _scanner(rules: _Rules) -> Callable[[str, int], tuple[Any, int]]:
    scan: Callable[[str, int], tuple[Any, int]] = import_module("_json").make_scanner(rules)
    return scan


def _write_by_c(value: object, default: Callable[[Any], object], separators: tuple[str, str]) -> str:
    # A new encoder each time, as in `json`: it remembers which containers it is inside of.
    encode = _make_encoder({}, default, _quote, None, separators[1], separators[0], False, False, True)
    return "".join(encode(value, 0))


def _refuse(value: object) -> object:
    raise TypeError(f"Object of type {value.__class__.__name__} is not JSON serializable")


try:
    from _json import encode_basestring_ascii as _quote
    from _json import make_encoder as _make_encoder

    _scan = _scanner(_Rules())
    # A debug build of Python ends the process where a C function fails without an error.
    _IN_C = (
        not hasattr(sys, "gettotalrefcount")
        and _scan(' {"a": [NaN, 1]}', 1)[1] == 16
        and _write_by_c({"a": [None]}, _refuse, (",", ":")) == '{"a":[null]}'
    )
except (ImportError, AttributeError, TypeError):
    _IN_C = False


def _read(text: str | bytes, *, object_hook: Hook | None = None, parse_constant: Callable[[str], object] | None = None) -> Any:
    """Return the value of JSON *text*: as `json.loads`. `json.JSONDecodeError`, a `ValueError`, for what is not JSON."""
    scan = _scan if object_hook is None and parse_constant is None else _scanner(_Rules(object_hook, parse_constant))
    found = text if isinstance(text, str) else _decoded(text)
    start = 0 if found[:1] not in _SPACE else len(found) - len(found.lstrip(_SPACE))
    try:
        value, end = scan(found, start)
        if end == len(found) or not found[end:].strip(_SPACE):
            return value
    except (StopIteration, SystemError):
        pass  # The scanner raises the errors of `json.decoder`; as long as that is not loaded it fails without any.
    return import_module("json").loads(text, object_hook=object_hook, parse_constant=parse_constant)


def _decoded(text: bytes) -> str:
    """Return UTF-8 text; "" for what `json` must look at: other types and encodings, byte order marks."""
    if not isinstance(text, bytes) or not b"\0" < text[:1] < b"\x80" or text[1:2] == b"\0":
        return ""
    return text.decode("utf-8", "surrogatepass")


def _write(value: object, *, default: Callable[[Any], object] | None = None, separators: tuple[str, str] = (", ", ": ")) -> str:
    """Return *value* as JSON text in ASCII: as `json.dumps`. TypeError and ValueError for what JSON cannot say."""
    return _quote(value) if isinstance(value, str) else _write_by_c(value, default or _refuse, separators)


loads, dumps = _read, _write
if not _IN_C:
    loads, dumps = import_module("json").loads, import_module("json").dumps
