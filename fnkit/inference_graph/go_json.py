"""What Go's encoding/json makes of a body.

KServe's router re-encodes bodies in two places, in the answer of an Ensemble and for `mapPredictionsToInstances`, and what
comes out shows that Go did it: the keys of every object are sorted, the last of several equal keys wins, every number is a
float64 in Go's shortest form, `<`, `>`, `&` and two line separators are escaped, and what is not Unicode becomes U+FFFD.

The interpreter's JSON scanner and writer do the work; numbers that Go writes differently travel between the two as marked
strings. Only a body nested deeper than they can go is read and written step by step here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from fnkit.inference_graph.gjson import scan
from fnkit.inference_graph.gjson import valid as is_json
from fnkit.inference_graph.gjson.numbers import format_plain
from fnkit.inference_graph.gjson.strings import text_of
from fnkit.inference_graph.gjson.validity import LARGE, valid_within
from fnkit.inference_graph.go_syntax import MAX_DEPTH, find_fault
from fnkit.inference_graph.portions import encoded

_BLANKS = b" \t\n\r"
_MARK = "\udc00"  # cannot come from a body: lone surrogates are replaced before it is read
_MARKED = re.compile(f'"{_MARK}([^"]*)"')
_INVALID_BYTE = re.compile("[\udc80-\udcff]")
_ESCAPE = re.compile(r"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.S)
_UNUSUAL_INTEGER = re.compile(r"[0-9]{16}|-0(?![0-9.])")
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_HTML_CHARACTER = re.compile("[<>&\u2028\u2029]")
_TYPES = {scan.STRING: "string", scan.NUMBER: "number", scan.TRUE: "bool", scan.FALSE: "bool", scan.JSON: "array"}


class GoJSONError(ValueError):
    """Go would not decode the body; the message is Go's."""


class _OutOfRange(Exception):
    """A number that is no float64; the argument is its text."""


def valid(body: bytes) -> bool:
    """Tell whether Go's `json.Valid` accepts *body*: one JSON value, at most 10,000 levels deep."""
    return valid_within(body, MAX_DEPTH) if len(body) >= LARGE else is_json(body) and not _is_too_deep(body)


def encode(value: object) -> bytes:
    """Return *value* (None, bool, int, float, str, and lists and dicts of them) as Go's `json.Marshal` writes it.

    Raises `GoJSONError` for NaN and the infinities.
    """
    try:
        text = _WRITER.encode(_marked(value))
    except RecursionError:
        text = "".join(_write_deep(value))
    except _OutOfRange as error:
        raise GoJSONError(f"json: unsupported value: {error}") from None
    return _finish(text)


def canonical_object(body: bytes) -> bytes:
    """Return *body*, decoded into a map and encoded again. `null` is a map too, and stays null.

    Raises `GoJSONError` with Go's text if the body is not JSON, no object, or has a number beyond float64.
    """
    fault = None if _is_sound(body) else find_fault(body)
    written, too_large = b"", ""
    try:
        written = _written(body) if fault is None else b""
    except _OutOfRange as error:
        fault, too_large = find_fault(body), str(error)
    except ValueError:
        fault = find_fault(body)
    if fault is not None:
        raise GoJSONError(fault)
    kind, raw = scan.parse(body) or (scan.NULL, b"")
    if kind != scan.NULL and raw[:1] != b"{":
        raise GoJSONError(f"json: cannot unmarshal {_TYPES[kind]} into Go value of type map[string]interface {{}}")
    if too_large:
        raise GoJSONError(f"json: cannot unmarshal number {too_large} into Go value of type float64")
    return written


def _written(body: bytes) -> bytes:
    return encoded(body.strip(_BLANKS), canonical) if len(body) >= LARGE else canonical(body)


def _is_sound(body: bytes) -> bool:
    """Tell whether *body* may be decoded: what is not large is found to be no JSON by doing so."""
    return valid_within(body, MAX_DEPTH) if len(body) >= LARGE else not _is_too_deep(body)


def join_objects(objects: Mapping[str, bytes]) -> bytes:
    """Return one object of already encoded values, its keys sorted by their UTF-8 bytes."""
    return b"{" + b",".join(encode(key) + b":" + objects[key] for key in sorted(objects)) + b"}"


def map_predictions_to_instances(body: bytes) -> bytes:
    """Return `{"instances": ...}` with the list that *body* has under `predictions`; *body* itself where Go does nothing.

    Key names count in any case, the last of several wins. Both keys must hold lists or null, wherever they stand; other keys
    are dropped unread. An empty list, or none, changes nothing.
    """
    if not valid(body):
        return body
    value = scan.parse(body)
    if value is None or value[1][:1] != b"{":
        return body
    predictions = b""
    for key, (kind, raw) in scan.children(value):
        name = text_of(key).decode("utf-8", "replace").replace("\u017f", "s").lower()  # ſ is an s to Go's case folding
        if name not in ("predictions", "instances"):
            continue
        if kind != scan.NULL and raw[:1] != b"[":
            return body
        try:
            found = encoded(raw, canonical) if kind != scan.NULL else b"[]"
        except _OutOfRange:
            return body
        if name == "predictions":
            predictions = found
    return b'{"instances":' + predictions + b"}" if predictions not in (b"", b"[]") else body


def format_number(number: float) -> str:
    """Return a finite float64 as encoding/json writes it: an exponent below 1e-6 and from 1e21 on, the fewest digits."""
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        return format_plain(number)
    return repr(number).replace("e-0", "e-")


def _is_too_deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    return scan.is_deeper(body, MAX_DEPTH)


def canonical(body: bytes) -> bytes:
    """Return JSON of any kind decoded and encoded at once.

    Raises ValueError if it is none; numbers that are no float64 are the caller's business.
    """
    text = body.decode("utf-8", "surrogateescape")
    if not text.isascii():
        text = _INVALID_BYTE.sub("\ufffd", text)
    if "\\u" in text:
        text = _ESCAPE.sub(_without_lone_surrogate, text)
    decoder = _CAREFUL_READER if _UNUSUAL_INTEGER.search(text) else _READER
    try:
        written = _WRITER.encode(decoder.decode(text))
    except RecursionError:
        if not is_json(body):
            raise ValueError("not JSON") from None
        written = "".join(_write_deep(_read_deep(text)))
    return _finish(written)


def _without_lone_surrogate(found: re.Match[str]) -> str:
    return "\\ufffd" if found[2] else found[0]


def _finish(text: str) -> bytes:
    """Put in the marked numbers, and escape what HTML would trip over: such characters only stand in strings."""
    if _MARK in text:
        text = _MARKED.sub(r"\1", text)
    if _HTML_CHARACTER.search(text):
        text = text.translate(_HTML)
    return text.encode("utf-8", "surrogatepass")


def _read_float(text: str) -> object:
    """Return a number that the interpreter writes as Go does, or a marked string."""
    number = float(text)
    if 1e-4 <= abs(number) < 1e15:
        return int(number) if number.is_integer() else number
    if number - number != 0:
        raise _OutOfRange(text)
    return _MARK + format_number(number)


def _read_integer(text: str) -> object:
    if len(text) < 16 and text != "-0":
        return int(text)
    return _read_float(text)


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _marked(value: object) -> object:
    """Return *value* with the numbers that Go writes differently as marked strings, and text without surrogates."""
    if isinstance(value, str):
        return _as_unicode(value)
    if isinstance(value, float):
        return _read_float(repr(value))
    if isinstance(value, dict):
        return {_as_unicode(str(key)): _marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
    return value


def _as_unicode(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_READER = json.JSONDecoder(parse_float=_read_float, parse_constant=_refuse)
_CAREFUL_READER = json.JSONDecoder(parse_float=_read_float, parse_int=_read_integer, parse_constant=_refuse)
_WRITER = json.JSONEncoder(ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":"))
_TOKEN = re.compile(r'[ \t\n\r:,]*+(?:([{\[])|([}\]])|("[^"\\]*+(?:\\.[^"\\]*+)*+")|([^{}\[\]", \t\n\r:]++))', re.S)


def _read_deep(text: str) -> object:
    """Decode valid JSON of any depth."""
    top: list[object] = []
    containers: list[list[object] | dict[str, object]] = [top]
    keys: list[str | None] = [None]
    for opening, closing, string, scalar in _TOKEN.findall(text):
        container, key = containers[-1], keys[-1]
        if closing:
            containers.pop()
            keys.pop()
            continue
        if string and isinstance(container, dict) and key is None:
            keys[-1] = json.loads(string)
            continue
        value = ({} if opening == "{" else []) if opening else _CAREFUL_READER.decode(string or scalar)
        if isinstance(container, list):
            container.append(value)
        elif key is not None:
            container[key] = value
            keys[-1] = None
        if opening:
            containers.append(value)
            keys.append(None)
    return top[0]


def _write_deep(value: object) -> list[str]:
    """Encode a value of any depth; `waiting` holds what is to be written next, on top: values and finished text."""
    out: list[str] = []
    waiting: list[tuple[bool, object]] = [(False, value)]
    while waiting:
        is_text, item = waiting.pop()
        if is_text:
            out.append(str(item))
        elif isinstance(item, dict):
            out.append("{")
            waiting.append((True, "}"))
            names = sorted(item, reverse=True)
            for place, name in enumerate(names, 1):
                comma = "," if place < len(names) else ""
                waiting += [(False, item[name]), (True, f"{comma}{_WRITER.encode(name)}:")]
        elif isinstance(item, list | tuple):
            out.append("[")
            waiting.append((True, "]"))
            for place in range(len(item) - 1, -1, -1):
                waiting.append((False, item[place]))
                if place:
                    waiting.append((True, ","))
        else:
            out.append(_WRITER.encode(_read_float(repr(item)) if isinstance(item, float) else item))
    return out
