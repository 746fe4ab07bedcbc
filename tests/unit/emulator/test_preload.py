"""What a zygote imports."""

from __future__ import annotations

from pathlib import Path

from fnkit_emulator.preload import modules_to_preload


def bundle(root: Path, step: str) -> Path:
    files = {
        "steps.py": step,
        "helpers.py": "import statistics\n",
        "wheels/__init__.py": "import shelve\n",
        "wheels-1.0.dist-info/RECORD": "wheels/__init__.py,sha256=x,1\nwheels-1.0.dist-info/RECORD,,\n_private.py,,\n../x,,\n",
        "fnkit/__init__.py": "",
        "fnkit/runtime/__init__.py": "",
        "fnkit/runtime/loop.py": "",
        "fnkit/runtime/handler.py": "",
        "fnkit/runtime/__main__.py": "",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_it_is_what_the_users_files_import_of_others(tmp_path: Path) -> None:
    root = bundle(tmp_path, "import wheels.round, asyncio, helpers, unknown\nfrom json import loads\n")

    modules = modules_to_preload(root)

    own = ("fnkit", "fnkit.runtime", "fnkit.runtime.loop")
    assert modules == tuple(sorted([*own, "asyncio", "json", "statistics", "wheels.round"]))


def test_modules_that_do_something_when_imported_are_left_out(tmp_path: Path) -> None:
    assert {"antigravity", "this"}.isdisjoint(modules_to_preload(bundle(tmp_path, "import antigravity, this\n")))


def test_a_file_that_is_no_python_is_left_to_the_environment(tmp_path: Path) -> None:
    assert "statistics" in modules_to_preload(bundle(tmp_path, "def broken(:\n"))
