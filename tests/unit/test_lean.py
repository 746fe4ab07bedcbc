"""JSON of the lean start is the JSON of `json`, whichever way it is made."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit import lean

ROOT = Path(__file__).resolve().parents[2]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers() | st.floats() | st.booleans() | st.none(), inner)
    ),
    max_leaves=12,
)
DOCUMENTS = st.text(st.sampled_from('{}[]",:\\/ \t\n\r\x0b\x00\ufeffu0dabntrueflsNI-+.eE19é\ud800💡')) | VALUES.map(json.dumps)
SPACES = st.text(st.sampled_from(" \t\n\r\x0b\xa0"), max_size=3)


def outcome(work: object, *given: object, **options: object) -> str:
    """Return what a call gave or raised, as text: NaN equals NaN, 1 does not equal True."""
    try:
        return repr(work(*given, **options))  # type: ignore[operator]  # a function
    except (ValueError, TypeError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


@given(VALUES, st.sampled_from([None, (",", ":"), (", ", ": ")]))
def test_every_value_is_written_as_json_writes_it(value: object, separators: tuple[str, str] | None) -> None:
    options = {} if separators is None else {"separators": separators}

    assert outcome(lean.dumps, value, **options) == outcome(json.dumps, value, **options)


@given(SPACES, DOCUMENTS, SPACES)
def test_every_text_is_read_or_refused_as_json_does(before: str, document: str, after: str) -> None:
    text = before + document + after

    assert outcome(lean.loads, text) == outcome(json.loads, text)


@given(SPACES, DOCUMENTS, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]))
def test_bytes_of_every_encoding_are_read_or_refused_as_json_does(before: str, document: str, encoding: str) -> None:
    data = (before + document).encode(encoding, "surrogatepass")

    assert outcome(lean.loads, data) == outcome(json.loads, data)
    assert outcome(lean.loads, bytearray(data)) == outcome(json.loads, bytearray(data))


@given(st.binary(max_size=8))
def test_any_bytes_are_read_or_refused_as_json_does(data: bytes) -> None:
    assert outcome(lean.loads, data) == outcome(json.loads, data)


@pytest.mark.parametrize("wrong", [None, 1, ["[]"], {}, math.pi])
def test_what_is_no_text_is_refused_as_json_does(wrong: object) -> None:
    assert outcome(lean.loads, wrong) == outcome(json.loads, wrong)


def test_an_error_tells_the_place() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        lean.loads('{\n "a": nothing}')

    assert (caught.value.lineno, caught.value.colno) == (2, 7)


WRONG = (
    "",
    " ",
    "{",
    "[1,]",
    '["a',
    '{"a": nothing}',
    "1 2",
    '"\\u12"',
    '"\x01"',
    "-",
    "\ufeff1",
    '{"a" 1}',
    "[1}",
    "nul",
    "[" * 9 + "x",
)
AT_FIRST = """
import sys
sys.path.insert(0, sys.argv[1])
from fnkit.lean import loads
for wrong in eval(sys.argv[2]):
    for name in [name for name in sys.modules if name.partition(".")[0] == "json"]:
        del sys.modules[name]
    try:
        loads(wrong)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""


def test_the_first_text_that_is_no_json_is_refused_as_well_as_later_ones() -> None:
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", AT_FIRST, str(ROOT), ascii(WRONG)], capture_output=True, text=True, check=False
    )

    assert found.stdout.splitlines() == [outcome(json.loads, wrong) for wrong in WRONG], found.stderr


@given(DOCUMENTS)
def test_hooks_are_called_as_json_calls_them(document: str) -> None:
    options = {"object_hook": sorted, "parse_constant": str.lower}

    assert outcome(lean.loads, document, **options) == outcome(json.loads, document, **options)


@pytest.mark.parametrize("value", [{1, 2}, [object], {"a": b"bytes"}, {(1, 2): 3}, {b"key": 1}])
def test_what_json_does_not_know_is_refused_in_its_words(value: object) -> None:
    assert outcome(lean.dumps, value) == outcome(json.dumps, value)


def test_a_default_writes_what_json_does_not_know() -> None:
    value = {"a": {3}, "b": [b"x"]}

    assert lean.dumps(value, default=str) == json.dumps(value, default=str)


def test_a_value_that_contains_itself_is_refused() -> None:
    circle: list[object] = []
    circle.append({"again": circle})

    assert outcome(lean.dumps, circle) == outcome(json.dumps, circle) == "ValueError: Circular reference detected"


def test_the_same_value_twice_is_no_circle() -> None:
    one = {"a": [1]}

    assert lean.dumps([one, one]) == json.dumps([one, one])


def test_values_nested_too_deeply_are_refused() -> None:
    deep = "[" * 200_000

    with pytest.raises(RecursionError):
        lean.loads(deep)


BOTH_WAYS = """
import sys
sys.path.insert(0, sys.argv[1])
if sys.argv[2] != "as it is":
    import json, operator
    sys.modules["_json"] = None
    sys.modules["_operator"] = None
    if sys.argv[2] == "of another make":
        sys.modules["_json"] = type(sys)("_json")
        sys.modules["_json"].__dict__.update(encode_basestring_ascii=str, make_encoder=lambda rules: rules, make_scanner=str)
from fnkit import lean
assert (lean.loads.__module__ == "json") == (sys.argv[2] != "as it is"), lean.loads
print(lean.loads(b' {"a": [1, NaN, "\\\\u00e9"]} '), lean.loads('{"a": 1}', object_hook=len), lean.length_hint(iter((1, 2))))
print(lean.dumps({"a": ["\\xe9", None, 1.5]}), lean.dumps([{1}], default=list, separators=(",", ":")), lean.dumps("\\xe9"))
print(lean.import_module("os.path").__name__, isinstance({}, lean.Mapping), isinstance((), lean.Iterable))
for wrong in ("", "{", "1 2", "\\ufeff1"):
    try:
        lean.loads(wrong)
    except ValueError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize("way", ["as it is", "without its C functions", "of another make"])
def test_a_python_without_the_c_functions_gives_the_same(way: str) -> None:
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BOTH_WAYS, str(ROOT), way], capture_output=True, text=True, check=False
    )

    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == [
        "{'a': [1, nan, 'é']} 1 2",
        r'{"a": ["\u00e9", null, 1.5]} [[1]] "\u00e9"',
        "posixpath True True",
        "JSONDecodeError Expecting value: line 1 column 1 (char 0)",
        "JSONDecodeError Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "JSONDecodeError Extra data: line 1 column 3 (char 2)",
        "JSONDecodeError Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
    ]
