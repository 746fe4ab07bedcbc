"""fnkit build as people call it, on small projects of their own."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes.wheels import make_wheel, offline

SERVE = """
import fnkit

class Greet:
    def do(self, body):
        import greetings
        return greetings.HELLO + body

class Shout:
    def do(self, body):
        return body.upper()

fn = fnkit.code_to_function(name="chat", kind="serving"{options})
graph = fn.set_topology("flow", engine="async")
graph.to("Greet").to("Shout").respond()
"""


def _project(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {"serve.py": SERVE.replace("{options}", ""), "greetings.py": "HELLO = 'hello '\n", "pyproject.toml": "[tool.fnkit]\n"}
    return _project(tmp_path / "project", files)


def _build(
    target: Path | str, out: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fnkit", "build", str(target), "-o", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=100)


def _events(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_people_see_each_function_with_its_sizes_and_its_hash(project: Path, tmp_path: Path) -> None:
    done = _build(project / "serve.py", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    heads, *rows = done.stdout.splitlines()
    assert heads.split() == ["FUNCTION", "STEPS", "ZIP", "UNZIPPED", "SHA256"]
    assert [row.split()[0] for row in rows] == ["chat", "Greet", "Shout"]
    assert "3 bundles of chat" in done.stderr
    assert "warning" not in done.stderr


def test_machines_get_a_line_for_each_bundle(project: Path, tmp_path: Path) -> None:
    events = _events(_build(project / "serve.py", tmp_path / "out", "--json"))

    index = json.loads((tmp_path / "out" / "bundles.json").read_text())
    bundles = [event for event in events if event["event"] == "bundle"]
    assert index["format"] == "fnkit.bundles/1"
    assert [(item["name"], item["sha256"], item["size"]) for item in index["functions"]] == [
        (event["function"], event["sha256"], event["size"]) for event in bundles
    ]
    assert events[-1] == {"event": "built", "graph": "chat", "folder": str(tmp_path / "out"), "placement": "step"}


def test_a_project_folder_and_its_step_file_give_the_same_bytes_twice(project: Path, tmp_path: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.fnkit]\ngraph = "serve.py"\n')

    first = _events(_build(project / "serve.py", tmp_path / "one", "--json"))
    second = _events(_build(project, tmp_path / "two", "--json"))

    assert [event.get("sha256") for event in first] == [event.get("sha256") for event in second]


def test_the_option_for_the_placement_wins_over_the_setting(project: Path, tmp_path: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.fnkit]\nplacement = "fused"\n')

    by_setting = _events(_build(project / "serve.py", tmp_path / "one", "--json"))
    by_option = _events(_build(project / "serve.py", tmp_path / "two", "--json", "--placement", "step"))

    assert [event["function"] for event in by_setting if event["event"] == "bundle"] == ["chat"]
    assert len(by_option) == 4


def test_a_requirement_that_does_not_exist_is_named_with_its_place(project: Path, tmp_path: Path) -> None:
    (project / "serve.py").write_text(SERVE.replace("{options}", ', requirements=["nosuch-distribution"]'))

    done = _build(project / "serve.py", tmp_path / "out", environ=offline(tmp_path))

    assert done.returncode == 1
    assert "function 'chat': requirement 'nosuch-distribution' cannot be installed" in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_that_nothing_brings_is_a_warning_with_the_remedy(project: Path, tmp_path: Path) -> None:
    (project / "greetings.py").write_text("import yaml\nHELLO = 'hello '\n")

    done = _build(project / "serve.py", tmp_path / "out")

    assert done.returncode == 0
    assert "warning: greetings.py:1: yaml is imported, but no requirement brings it" in done.stderr


def test_a_requirement_of_the_step_file_is_in_the_bundle(project: Path, tmp_path: Path) -> None:
    make_wheel(tmp_path, "alpha", {"alpha.py": "x = 1\n"})
    (project / "serve.py").write_text(SERVE.replace("{options}", ', requirements=["alpha"]'))
    environ = {**offline(tmp_path), "FNKIT_CACHE_DIR": str(tmp_path / "cache")}

    done = _build(project / "serve.py", tmp_path / "out", "--placement", "fused", environ=environ)

    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "out" / "chat.zip") as archive:
        assert {"alpha.py", "serve.py", "greetings.py", "fnkit-bootstrap"} <= set(archive.namelist())


def test_children_bring_versions_of_their_own_that_are_not_installed_here(tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path, "alpha_of_nobody", {"alpha_of_nobody.py": f"VERSION = {version!r}\n"}, version=version)
    step = "import alpha_of_nobody\n\ndef run(body):\n    return alpha_of_nobody.VERSION\n"
    graph = "import fnkit\nfn = fnkit.code_to_function('two', kind='serving')\ngraph = fn.set_topology('flow')\n"
    for name, version in (("old", "1.0"), ("new", "2.0")):
        graph += f"fn.add_child_function({name!r}, '{name}.py', requirements=['alpha_of_nobody=={version}'])\n"
    graph += "graph.to(name='a', handler='run', function='old').to(name='b', handler='run', function='new').respond()\n"
    _project(tmp_path / "project", {"graph.py": graph, "old.py": step, "new.py": step})
    environ = {**offline(tmp_path), "FNKIT_CACHE_DIR": str(tmp_path / "cache")}

    done = _build(tmp_path / "project" / "graph.py", tmp_path / "out", environ=environ)

    assert done.returncode == 0, done.stderr
    brought = {}
    for name in ("old", "new"):
        with zipfile.ZipFile(tmp_path / "out" / f"{name}.zip") as archive:
            brought[name] = archive.read("alpha_of_nobody.py").decode().strip()
    assert brought == {"old": "VERSION = '1.0'", "new": "VERSION = '2.0'"}
    with zipfile.ZipFile(tmp_path / "out" / "two.zip") as archive:
        assert "alpha_of_nobody.py" not in archive.namelist()


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("absent.py", 2, "absent.py"),
        ("broken.py", 2, "broken.py:2"),
        ("empty", 2, "empty"),
        ("notes.txt", 2, "notes.txt"),
    ],
)
def test_a_wrong_target_is_refused_with_its_place(project: Path, tmp_path: Path, target: str, code: int, words: str) -> None:
    (project / "broken.py").write_text("import fnkit\ndef f(:\n")
    (project / "notes.txt").write_text("nothing\n")
    (project / "empty").mkdir()

    done = _build(project / target, tmp_path / "out")

    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "bundles.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--python", "2.7"), "no Python version"), (("--placement", "other"), "other"), (("--platform", "beos"), "beos")],
)
def test_wrong_options_are_refused_with_exit_code_two(
    project: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = _build(project / "serve.py", tmp_path / "out", *arguments)

    assert done.returncode == 2
    assert words in done.stderr


def test_another_python_gets_its_own_bytecode_or_none_and_says_so(project: Path, tmp_path: Path) -> None:
    other = "3.12" if sys.version_info[:2] != (3, 12) else "3.13"

    done = _build(project / "serve.py", tmp_path / "out", "--python", other, "--placement", "fused")

    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "out" / "chat.zip") as archive:
        compiled = [name for name in archive.namelist() if name.endswith(".pyc")]
        assert json.loads(archive.read("bundle.json"))["python"] == other
    tag = f"cpython-{other.replace('.', '')}"
    assert all(tag in name for name in compiled)
    assert bool(compiled) != (f"no Python {other} is at hand" in done.stderr)
