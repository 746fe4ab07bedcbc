import pytest

from fnkit.bundle.imports import Import, read_imports
from fnkit.errors import BundleError


def _modules(text: str, package: str = "") -> list[str]:
    return [item.module for item in read_imports(text.encode(), where="a.py", package=package)]


def test_every_kind_of_import_statement_is_seen_with_its_line() -> None:
    text = "import a.b\nfrom c import d, e\ndef f():\n    import g\n"

    found = read_imports(text.encode(), where="a.py", package="")

    assert found == (Import("a.b", (), 1, False), Import("c", ("d", "e"), 2, False), Import("g", (), 4, False))


def test_relative_imports_start_from_the_package() -> None:
    assert _modules("from . import x\nfrom .y import z\nfrom ..w import v\n", package="p.q") == ["p.q", "p.q.y", "p.w"]


def test_what_only_a_type_checker_or_a_script_runs_is_left_out() -> None:
    text = """
import typing
if typing.TYPE_CHECKING:
    import never
else:
    import used
if __name__ == "__main__":
    import requests
"""

    assert _modules(text) == ["typing", "used"]


def test_an_import_that_may_fail_is_optional() -> None:
    text = "try:\n    import fast\nexcept ImportError:\n    import slow\ntry:\n    import needed\nexcept ValueError:\n    pass\n"

    found = read_imports(text.encode(), where="a.py", package="")

    assert [(item.module, item.optional) for item in found] == [("fast", True), ("slow", True), ("needed", False)]


def test_a_module_imported_by_its_written_name_is_seen() -> None:
    text = "import importlib\nx = [importlib.import_module('plugins.one'), __import__('two'), import_module(name)]\n"

    assert _modules(text) == ["importlib", "plugins.one", "two"]


def test_imports_in_every_block_are_seen() -> None:
    text = """
with x:
    import a
match y:
    case 1:
        import b
while z:
    import c
else:
    import d
class E:
    async def f(self):
        async for g in h:
            import e
try:
    pass
finally:
    import i
"""

    assert _modules(text) == ["a", "b", "c", "d", "e", "i"]


def test_a_syntax_error_is_reported_with_its_line() -> None:
    with pytest.raises(BundleError) as caught:
        read_imports(b"x = 1\ndef f(:\n", where="steps/bad.py", package="")

    assert caught.value.where == "steps/bad.py:2"


def test_null_bytes_are_no_python() -> None:
    with pytest.raises(BundleError):
        read_imports(b"x = 1\0", where="bad.py", package="")
