import sys
from pathlib import Path

import pytest

from fnkit.bundle.archive import Packed, unpack
from fnkit.bundle.bytecode import find_compiler
from fnkit.bundle.cache import Cache
from fnkit.bundle.installer import CachingInstaller, Pip, Target, Tool, Uv, explain_output, find_tool
from fnkit.bundle.interpreter import find_uv, running_python
from fnkit.bundle.platforms import Platform
from fnkit.bundle.requirements import Requirement
from fnkit.errors import BundleError
from tests.fakes.wheels import make_wheel, offline


class Bench:
    """A folder of wheels and an installer that knows only them."""

    def __init__(self, folder: Path, tool: Tool) -> None:
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        self.root = folder / "project"
        self.root.mkdir()
        self.said: list[str] = []
        self.folder = folder
        self.tool = tool

    def installer(self, *, refresh: bool = False) -> CachingInstaller:
        compiler = find_compiler(running_python(), Cache(self.folder / "cache"))
        return CachingInstaller(self.tool, compiler, self.said.append, refresh, offline(self.wheels))

    def install(self, *lines: str, platform: str = "linux-x86_64", refresh: bool = False) -> tuple[Packed, ...]:
        requirements = [Requirement(line, f"function 'f{number}'") for number, line in enumerate(lines)]
        target = Target(running_python(), Platform(platform), self.root)
        return self.installer(refresh=refresh).install(requirements, target)


TOOLS = [pytest.param(Pip(), id="pip")]
if find_uv():
    TOOLS.append(pytest.param(Uv(find_uv()), id="uv"))


@pytest.fixture(params=TOOLS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench(tmp_path, request.param)


@pytest.fixture
def quick(tmp_path: Path) -> Bench:
    return Bench(tmp_path, find_tool())


def test_a_requirement_and_what_it_needs_are_installed_and_compiled(bench: Bench) -> None:
    make_wheel(bench.wheels, "alpha", {"alpha/__init__.py": "import beta\n", "alpha/stub.pyi": ""}, needs="beta")
    make_wheel(bench.wheels, "beta", {"beta.py": "x = 1\n"})

    names = {entry.name for entry in bench.install("alpha")}

    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    assert {"alpha/__init__.py", "beta.py", f"alpha/__pycache__/__init__.{tag}.pyc", f"__pycache__/beta.{tag}.pyc"} <= names
    assert "alpha-1.0.dist-info/METADATA" in names
    assert not [name for name in names if name.endswith(("RECORD", "INSTALLER", "REQUESTED", ".pyi"))]


def test_every_requirement_that_cannot_be_had_is_named_with_its_place(bench: Bench) -> None:
    make_wheel(bench.wheels, "alpha", {"alpha.py": ""})

    with pytest.raises(BundleError) as caught:
        bench.install("nosuch-one", "alpha", "alpha>=7")

    assert "2 requirements cannot be installed" in caught.value.message
    assert "'nosuch-one' (function 'f0')" in caught.value.message
    assert "'alpha>=7' (function 'f2')" in caught.value.message
    assert caught.value.hint


def test_one_requirement_that_cannot_be_had_is_the_place_of_the_error(quick: Bench) -> None:
    with pytest.raises(BundleError, match="requirement 'nosuch' cannot be installed") as caught:
        quick.install("nosuch")

    assert caught.value.where == "function 'f0'"


def test_requirements_that_exclude_each_other_are_told_apart_from_absent_ones(quick: Bench) -> None:
    make_wheel(quick.wheels, "alpha", {"alpha.py": ""}, needs="beta<1")
    make_wheel(quick.wheels, "beta", {"beta.py": ""}, version="0.5")
    make_wheel(quick.wheels, "beta", {"beta.py": ""}, version="2.0")

    with pytest.raises(BundleError, match="cannot be installed together"):
        quick.install("alpha", "beta>=2")


def test_a_set_is_installed_once_and_again_only_when_asked(quick: Bench) -> None:
    make_wheel(quick.wheels, "alpha", {"alpha.py": "x = 1\n"})
    first = quick.install("alpha")
    make_wheel(quick.wheels, "alpha", {"alpha.py": "x = 2\n"}, version="2.0")

    kept = quick.install("alpha")
    fresh = quick.install("alpha", refresh=True)

    assert sorted(kept, key=lambda entry: entry.name) == sorted(first, key=lambda entry: entry.name)
    assert next(unpack(entry) for entry in fresh if entry.name == "alpha.py") == b"x = 2\n"
    assert quick.said == ["installing alpha", "installing alpha"]


def test_a_damaged_cache_is_no_error(quick: Bench) -> None:
    make_wheel(quick.wheels, "alpha", {"alpha.py": "x = 1\n"})
    first = quick.install("alpha")
    kept = next((quick.folder / "cache" / "requirements").iterdir())
    kept.write_bytes(kept.read_bytes()[:-30])

    again = quick.install("alpha")

    assert {entry.name for entry in again} == {entry.name for entry in first}
    assert len(quick.said) == 2


def test_a_requirement_that_names_a_place_is_never_taken_from_the_cache(quick: Bench) -> None:
    wheel = make_wheel(quick.wheels, "alpha", {"alpha.py": "x = 1\n"})
    quick.install(str(wheel))
    quick.install(str(wheel))

    assert len(quick.said) == 2
    assert not (quick.folder / "cache" / "requirements").exists()


def test_a_wheel_of_another_platform_is_not_taken(quick: Bench) -> None:
    make_wheel(quick.wheels, "alpha", {"alpha.py": ""}, tag="py3-none-macosx_11_0_arm64")

    with pytest.raises(BundleError):
        quick.install("alpha")


def test_a_requirement_built_here_must_run_there(quick: Bench) -> None:
    source = quick.root / "native"
    source.mkdir()
    (source / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    (source / "backend.py").write_text(
        "import zipfile\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        "    name = 'native-1.0-py3-none-linux_x86_64.whl'\n"
        "    info = 'native-1.0.dist-info'\n"
        "    with zipfile.ZipFile(folder + '/' + name, 'w') as z:\n"
        "        z.writestr('native.py', '')\n"
        "        z.writestr(info + '/METADATA', 'Metadata-Version: 2.1\\nName: native\\nVersion: 1.0\\n')\n"
        "        z.writestr(info + '/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: py3-none-linux_x86_64\\n')\n"
        "        z.writestr(info + '/RECORD', 'native.py,,\\n')\n"
        "    return name\n"
    )

    with pytest.raises(BundleError, match=r"does not run there: native-1\.0"):
        quick.install("./native")
    assert "native.py" in {entry.name for entry in quick.install("./native", platform="host")}


def test_an_editable_requirement_is_refused(quick: Bench) -> None:
    with pytest.raises(BundleError, match="installs a link"):
        quick.install("-e .")


def test_no_requirements_need_no_tool(quick: Bench) -> None:
    assert quick.install() == ()


def test_pip_and_uv_give_the_same_files(tmp_path: Path) -> None:
    if not find_uv():
        pytest.skip("uv is not installed")
    results = []
    tools: tuple[Tool, Tool] = (Pip(), Uv(find_uv()))
    for number, tool in enumerate(tools):
        (tmp_path / str(number)).mkdir()
        bench = Bench(tmp_path / str(number), tool)
        make_wheel(bench.wheels, "alpha", {"alpha/__init__.py": "x = 1\n", "alpha/data.txt": "d"})
        results.append(sorted(bench.install("alpha"), key=lambda entry: entry.name))

    assert results[0] == results[1]


def test_the_drawing_of_the_tool_is_taken_off_its_message() -> None:
    text = "Using Python 3.11\n"
    text += "  × No solution found when resolving dependencies:\n  ╰─▶ Because a was not found\n      and you need a.\n"

    assert explain_output(text) == "Because a was not found and you need a."


def test_what_the_tool_says_of_the_interpreter_is_no_part_of_its_message() -> None:
    text = "Using CPython 3.11.7 interpreter at: /usr/bin/python3\nerror: No solution found\n  cause: Because a was not found.\n"

    assert explain_output(text) == "Because a was not found."
