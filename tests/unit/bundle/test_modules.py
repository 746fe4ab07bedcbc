from pathlib import Path

import pytest

from fnkit.bundle.modules import collect_modules, is_project_module
from fnkit.errors import BundleError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "app.py": "import os\nimport numpy as np\nfrom lib.text import clean\n",
        "lib/__init__.py": "from . import shared\n",
        "lib/text.py": "from .deep import more\nfrom lib import *\n",
        "lib/shared.py": "",
        "lib/deep/more.py": "import app\n",
        "lib/unused.py": "",
        "other.py": "import torch\n",
        "space/part/leaf.py": "import yaml.nodes\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_module_brings_what_it_imports_and_nothing_else(project: Path) -> None:
    found = collect_modules(project, ["app"])

    expected = ["app.py", "lib/__init__.py", "lib/deep/more.py", "lib/shared.py", "lib/text.py", "lib/unused.py"]
    assert list(found.files) == expected  # lib/unused.py by the star
    assert [(item.module, item.where) for item in found.foreign if not item.optional] == [("numpy", "app.py:2")]


def test_packages_without_an_init_file_are_found(project: Path) -> None:
    found = collect_modules(project, ["space.part.leaf"])

    assert found.files == ("space/part/leaf.py",)
    assert found.foreign[0].top == "yaml"


def test_a_module_that_is_not_there_brings_nothing(project: Path) -> None:
    assert collect_modules(project, ["absent", "lib/unused"]).files == ()
    assert not is_project_module(project, "absent")


def test_compiled_modules_come_along(project: Path) -> None:
    (project / "fast.cpython-311-x86_64-linux-gnu.so").write_bytes(b"\x7fELF")
    (project / "uses.py").write_text("import fast\n")

    assert collect_modules(project, ["uses"]).files == ("fast.cpython-311-x86_64-linux-gnu.so", "uses.py")


def test_a_fault_in_an_imported_file_names_that_file(project: Path) -> None:
    (project / "lib" / "shared.py").write_text("def (:\n")

    with pytest.raises(BundleError) as caught:
        collect_modules(project, ["app"])

    assert caught.value.where == "lib/shared.py:1"
