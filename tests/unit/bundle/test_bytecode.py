import importlib.util
import marshal
from pathlib import Path
from types import CodeType

import pytest

from fnkit.bundle.bytecode import Compiler, bytecode_name, find_compiler
from fnkit.bundle.cache import Cache
from fnkit.bundle.interpreter import find_interpreter, running_python


@pytest.fixture
def compiler(tmp_path: Path) -> Compiler:
    return find_compiler(running_python(), Cache(tmp_path / "cache"))


def test_bytecode_is_marked_as_never_to_be_checked_and_shows_the_functions_path(compiler: Compiler) -> None:
    compiled = compiler.compile({"pkg/a.py": b"def f():\n    return 1\n"})

    pyc = compiled.code["pkg/a.py"]
    code = marshal.loads(pyc[16:])
    assert pyc[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(pyc[4:8], "little") == 0b01  # hash-based, unchecked
    assert isinstance(code, CodeType)
    assert code.co_filename == "/var/task/pkg/a.py"


def test_the_same_source_gives_the_same_bytes_with_and_without_company(tmp_path: Path) -> None:
    source = b"import os\nnames = {'a', 'b', 'c'}\ndef f(x):\n    return x in {'one', 'two', 3}\n"
    alone = find_compiler(running_python(), Cache(tmp_path / "one")).compile({"m.py": source})
    others = {f"n{number}.py": f"names = 'a', 'one'\ndef f(): return {number}".encode() for number in range(80)}

    together = find_compiler(running_python(), Cache(tmp_path / "two")).compile({**others, "m.py": source})

    assert alone.code["m.py"] == together.code["m.py"]


def test_what_was_compiled_once_is_kept(compiler: Compiler) -> None:
    first = compiler.compile({"a.py": b"x = 1\n"})

    again = Compiler(compiler.python, Path("/no/such/python"), compiler.cache).compile({"a.py": b"x = 1\n"})

    assert again == first


def test_a_source_that_is_no_python_is_a_fault_with_its_line(compiler: Compiler) -> None:
    compiled = compiler.compile({"bad.py": b"x = 1\nreturn 2\n", "good.py": b"y = 1\n", "null.py": b"\0"})

    assert set(compiled.code) == {"good.py"}
    assert (compiled.faults[0].name, compiled.faults[0].line) == ("bad.py", 2)
    assert {fault.name for fault in compiled.faults} == {"bad.py", "null.py"}


def test_without_the_right_interpreter_nothing_is_compiled(tmp_path: Path) -> None:
    compiler = find_compiler("3.99", Cache(tmp_path))

    assert compiler.interpreter is None
    assert compiler.compile({"a.py": b"x = 1\n"}).code == {}


def test_bytecode_stands_where_python_looks_for_it() -> None:
    expected = importlib.util.cache_from_source("/t/pkg/a.py").removeprefix("/t/")

    assert bytecode_name("pkg/a.py", running_python()) == expected


def test_the_running_interpreter_is_found_for_its_own_version() -> None:
    assert find_interpreter(running_python()) is not None
