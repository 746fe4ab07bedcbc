import json
import os
import random
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.bundle import Build, Options, build, is_build_folder, read_bundles, read_head, verify_bundle
from fnkit.bundle.interpreter import running_python
from fnkit.bundle.platforms import choose_platform
from fnkit.errors import BundleError, UsageError
from fnkit.manifest import Document, Flow, Function, Manifest, Route, Router, Step, loads
from fnkit.project.loaded import Loaded
from fnkit.project.settings import Settings
from tests.fakes.wheels import make_wheel

FILES = {
    "steps/__init__.py": "",
    "steps/greet.py": "from steps.words import HELLO\nclass Greet:\n    def do(self, x):\n        return HELLO + x\n",
    "steps/words.py": "HELLO = 'hello '\n",
    "steps/shout.py": "import json\nclass Shout:\n    def do(self, x):\n        return x.upper()\n",
    "unused.py": "import torch\n",
    "data/words.txt": "a\nb\n",
}
FLOW = Flow(
    (
        Step("greet", target="steps.greet:Greet"),
        Step("shout", target="steps.shout:Shout", after=("greet",), responder=True),
    )
)
MANIFEST = Manifest("chat", FLOW, functions=(Function("chat", "entry"),))


def _write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("FNKIT_CACHE_DIR", str(base / "fnkit-cache"))


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    return Loaded(MANIFEST, _write(tmp_path / "project", FILES))


def _names(built: Build, function: str) -> set[str]:
    with zipfile.ZipFile(built.bundle(function).path) as archive:
        return set(archive.namelist())


def _user_files(built: Build, function: str) -> set[str]:
    ours = ("fnkit/", "__pycache__/", "graph.json", "bundle.json", "fnkit-bootstrap")
    return {name for name in _names(built, function) if not name.startswith(ours) and "__pycache__" not in name}


def test_each_function_gets_the_code_that_its_steps_need(loaded: Loaded, tmp_path: Path) -> None:
    built = build(loaded, tmp_path / "out")

    assert [bundle.function.name for bundle in built.bundles] == ["chat", "greet", "shout"]
    assert _user_files(built, "chat") == set()
    assert _user_files(built, "greet") == {"steps/__init__.py", "steps/greet.py", "steps/words.py"}
    assert _user_files(built, "shout") == {"steps/__init__.py", "steps/shout.py"}


@pytest.mark.parametrize(
    ("placement", "functions"), [("fused", ["chat"]), ("declared", ["chat"]), ("step", ["chat", "greet", "shout"])]
)
def test_the_placement_says_how_many_bundles_there_are(
    loaded: Loaded, tmp_path: Path, placement: str, functions: list[str]
) -> None:
    by_argument = build(loaded, tmp_path / "one", placement=placement)
    by_setting = build(replace(loaded, settings=Settings(placement=placement)), tmp_path / "two")

    assert [bundle.function.name for bundle in by_argument.bundles] == functions
    assert [bundle.sha256 for bundle in by_argument.bundles] == [bundle.sha256 for bundle in by_setting.bundles]


def test_an_unknown_placement_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown placement 'all'"):
        build(loaded, tmp_path / "out", placement="all")


def test_every_bundle_holds_the_same_graph_and_says_which_function_it_is(loaded: Loaded, tmp_path: Path) -> None:
    built = build(loaded, tmp_path / "out")

    graphs = set()
    for bundle in built.bundles:
        with zipfile.ZipFile(bundle.path) as archive:
            graphs.add(archive.read("graph.json"))
            head = json.loads(archive.read("bundle.json"))
            assert archive.getinfo("fnkit-bootstrap").external_attr >> 16 == 0o100755
        expected = {"format": "fnkit.bundle/1", "function": bundle.function.name, "python": running_python(), "pickled": False}
        assert head == expected
        assert read_head(bundle.path).function == bundle.function.name
    assert len(graphs) == 1
    assert loads(graphs.pop().decode()) == built.manifest
    assert (tmp_path / "out" / "graph.json").read_text() == json.dumps(
        json.loads((tmp_path / "out" / "graph.json").read_text()), indent=2, ensure_ascii=False
    ) + "\n"


def test_the_shipped_part_holds_no_tool_and_no_topology_that_is_not_used(loaded: Loaded, tmp_path: Path) -> None:
    names = _names(build(loaded, tmp_path / "out"), "chat")

    packages = {
        name.split("/")[1]
        for name in names
        if name.startswith("fnkit/") and name.count("/") > 1 and "__pycache__" not in name.split("/")[1]
    }
    assert packages == {"engine", "functions", "manifest", "net", "runtime", "steps"}
    assert not [name for name in names if name.endswith((".md", ".pyi", ".schema.json"))]


@pytest.mark.parametrize(
    ("manifest", "package"),
    [
        (Manifest("r", Router(Step("router", kind="router", target="fnkit.serving:ModelRouter")), topology="router"), "serving"),
        (Manifest("g", Document({"apiVersion": "v1"}), topology="inference_graph"), "inference_graph"),
        (Manifest("f", Flow((Step("m", target="fnkit.serving:ModelRunnerStep", responder=True),))), "serving"),
    ],
)
def test_the_topology_that_a_manifest_uses_is_shipped(manifest: Manifest, package: str, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()

    built = build(Loaded(manifest, tmp_path / "project"), tmp_path / "out")

    assert f"fnkit/{package}/__init__.py" in _names(built, built.manifest.entry.name)


def test_user_code_that_imports_a_topology_gets_it(tmp_path: Path) -> None:
    root = _write(tmp_path / "project", {"m.py": "from fnkit.serving import V2ModelServer\nclass M:\n    pass\n"})
    manifest = Manifest("g", Flow((Step("m", target="m:M", responder=True),)))

    built = build(Loaded(manifest, root), tmp_path / "out", placement="fused")

    assert "fnkit/serving/__init__.py" in _names(built, "g")


def test_classes_and_functions_in_arguments_bring_their_code(tmp_path: Path) -> None:
    files = {
        "models.py": "class A:\n    pass\n",
        "shared.py": "class B:\n    pass\n",
        "filters.py": "def keep(x):\n    return x\n",
        "routes.py": "",
    }
    root = _write(tmp_path / "project", files)
    steps = (
        Step("run", target="fnkit.serving:ModelRunnerStep", args={"models": [{"class": "models:A"}]}),
        Step("keep", target="fnkit.steps:Filter", args={"_fn": "filters:keep"}, after=("run",), responder=True),
    )
    manifest = Manifest("g", Flow(steps, options={"shared": {"class": "shared:B"}}))

    assert _user_files(build(Loaded(manifest, root), tmp_path / "out"), "g") == {"models.py", "shared.py", "filters.py"}


def test_a_name_alone_means_a_class_of_the_functions_own_file(tmp_path: Path) -> None:
    root = _write(tmp_path / "project", {"app.py": "class Model:\n    pass\n"})
    flow = Flow((Step("run", target="fnkit.serving:ModelRunnerStep", args={"model_class": "Model"}, responder=True),))
    manifest = Manifest("g", flow, functions=(Function("g", "entry", module="app"),))
    unnamed = replace(manifest, spec=Flow((replace(flow.steps[0], args={}),)))

    assert _user_files(build(Loaded(manifest, root), tmp_path / "one"), "g") == {"app.py"}
    assert _user_files(build(Loaded(unnamed, root), tmp_path / "two"), "g") == set()


def test_a_routers_own_function_brings_the_code_of_its_models(tmp_path: Path) -> None:
    root = _write(tmp_path / "project", {"near.py": "class N:\n    pass\n", "far.py": "class F:\n    pass\n"})
    routes = (Route("n", target="near:N"), Route("f", target="far:F", function="far"))
    step = Step("router", kind="router", target="fnkit.serving:ModelRouter", routes=routes)
    manifest = Manifest("r", Router(step), topology="router", functions=(Function("r", "entry"), Function("far", "child")))

    built = build(Loaded(manifest, root), tmp_path / "out")

    assert _user_files(built, "r") == {"near.py"}
    assert _user_files(built, "far") == {"far.py"}


# -- determinism


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), mtime=st.integers(0, 2_000_000_000), mode=st.sampled_from([0o600, 0o644, 0o664]))
def test_the_same_input_gives_the_same_bytes_wherever_and_whenever_it_is(
    seed: int, mtime: int, mode: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plain = tmp_path_factory.mktemp("plain")
    other = tmp_path_factory.mktemp(f"a much longer path {seed}")
    _write(plain / "project", FILES)
    names = list(FILES)
    random.Random(seed).shuffle(names)
    _write(other / "project", {name: FILES[name] for name in names})
    for path in (other / "project").rglob("*.*"):
        path.chmod(mode)
        os.utime(path, (mtime, mtime))

    first = build(Loaded(MANIFEST, plain / "project", includes=("data/*",)), plain / "out")
    second = build(Loaded(MANIFEST, other / "project", includes=("data/*",)), other / "out")

    assert [bundle.sha256 for bundle in first.bundles] == [bundle.sha256 for bundle in second.bundles]
    assert (plain / "out" / "bundles.json").read_bytes() == (other / "out" / "bundles.json").read_bytes()


def test_bundles_are_the_same_with_an_empty_cache(loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(loaded, tmp_path / "one")
    monkeypatch.setenv("FNKIT_CACHE_DIR", str(tmp_path / "fresh"))

    second = build(loaded, tmp_path / "two")

    assert [bundle.sha256 for bundle in first.bundles] == [bundle.sha256 for bundle in second.bundles]


def test_a_cache_that_cannot_be_written_to_is_no_error(loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FNKIT_CACHE_DIR", str(tmp_path / "file" / "cache"))

    assert build(loaded, tmp_path / "out").bundles


@pytest.mark.skipif(choose_platform().is_host, reason="elsewhere the wheels of this machine are others than Lambda's")
def test_on_linux_what_is_emulated_is_what_is_deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offline(monkeypatch, tmp_path)
    make_wheel(tmp_path, "alpha", {"alpha/__init__.py": "x = 1\n"})
    loaded = Loaded(MANIFEST, _write(tmp_path / "project", FILES), settings=Settings(requirements=("alpha",)))

    here = build(loaded, tmp_path / "here")
    there = build(loaded, tmp_path / "there", options=Options(for_cloud=True))

    assert [bundle.sha256 for bundle in here.bundles] == [bundle.sha256 for bundle in there.bundles]


def test_a_build_remembers_the_platform_that_it_is_for(loaded: Loaded, tmp_path: Path) -> None:
    built = build(loaded, tmp_path / "out", options=Options(platform="linux-arm64"))
    index = tmp_path / "out" / "bundles.json"
    written = index.read_text()

    again = read_bundles(tmp_path / "out")
    index.write_text(written.replace("linux-arm64", "mars"))

    assert (built.platform, again.platform) == ("linux-arm64", "linux-arm64")
    with pytest.raises(BundleError, match="unknown platform 'mars'"):
        read_bundles(tmp_path / "out")


def test_an_index_without_a_platform_is_read(loaded: Loaded, tmp_path: Path) -> None:
    build(loaded, tmp_path / "out")
    index = tmp_path / "out" / "bundles.json"
    document = json.loads(index.read_text())
    del document["platform"]
    index.write_text(json.dumps(document))

    assert read_bundles(tmp_path / "out").platform == ""


def test_a_changed_step_changes_only_its_own_bundle(loaded: Loaded, tmp_path: Path) -> None:
    before = build(loaded, tmp_path / "one")
    (loaded.root / "steps" / "shout.py").write_text("class Shout:\n    pass\n")

    after = build(loaded, tmp_path / "two")

    changed = {b.function.name for b, a in zip(before.bundles, after.bundles, strict=True) if a.sha256 != b.sha256}
    assert changed == {"shout"}


# -- includes, secrets, pickles, requirements


def test_declared_files_are_included_without_secrets_and_ignored_ones(tmp_path: Path) -> None:
    files = {
        **FILES,
        "data/key.pem": "s",
        "data/skip.csv": "",
        "data/.git/x": "",
        ".fnkitignore": "*.csv\n",
        "run.sh": "#!/bin/sh\n",
    }
    root = _write(tmp_path / "project", files)
    (root / "run.sh").chmod(0o755)
    loaded = Loaded(MANIFEST, root, includes=("data", "run.sh"))

    built = build(loaded, tmp_path / "out", placement="fused")

    assert {name for name in _user_files(built, "chat") if not name.startswith("steps")} == {"data/words.txt", "run.sh"}
    assert [warning for warning in built.warnings if "data/key.pem looks like a secret" in warning]
    with zipfile.ZipFile(built.bundle("chat").path) as archive:
        assert archive.getinfo("run.sh").external_attr >> 16 == 0o100755


def test_every_pattern_that_matches_nothing_or_leads_out_is_named(loaded: Loaded, tmp_path: Path) -> None:
    (loaded.root / "link.txt").symlink_to("/etc/hostname")

    with pytest.raises(BundleError) as caught:
        build(replace(loaded, includes=("nothing/*", "../up", "/etc/passwd", "link.txt")), tmp_path / "out")

    for pattern in ("nothing/*", "../up", "/etc/passwd", "link.txt"):
        assert f"include {pattern!r}" in caught.value.message


def test_a_module_that_the_ignore_file_leaves_out_is_warned_of(loaded: Loaded, tmp_path: Path) -> None:
    (loaded.root / ".fnkitignore").write_text("words.py\n")

    built = build(loaded, tmp_path / "out")

    assert "steps/words.py is imported, but .fnkitignore leaves it out" in built.warnings
    assert "steps/words.py" not in _user_files(built, "greet")


def test_a_pickled_class_travels_with_the_library_that_reads_it_and_the_modules_it_names(tmp_path: Path) -> None:
    root = _write(tmp_path / "project", {"helper.py": "x = 1\n", "other.py": ""})
    pickle = b"\x80\x04\x8c\x06helper\x94\x8c\x01x\x94\x93\x94."
    manifest = Manifest("nb", Flow((Step("s", target="pickle:Step1", responder=True),)))

    built = build(Loaded(manifest, root, pickles={"Step1": pickle, "Unused": b"N."}), tmp_path / "out", placement="fused")

    names = _user_files(built, "nb")
    assert {"pickles/Step1.pkl", "helper.py", "cloudpickle/__init__.py"} <= names
    assert "pickles/Unused.pkl" not in names
    assert read_head(built.bundle("nb").path).pickled
    assert cloudpickle.__version__


def test_a_pickle_is_refused_for_another_python(tmp_path: Path) -> None:
    manifest = Manifest("nb", Flow((Step("s", target="pickle:S", responder=True),)))
    other = "3.13" if running_python() != "3.13" else "3.12"

    with pytest.raises(BundleError, match="travels as a pickle"):
        build(Loaded(manifest, tmp_path, pickles={"S": b"N."}), tmp_path / "out", options=Options(python=other))


def test_a_missing_pickle_is_named(tmp_path: Path) -> None:
    manifest = Manifest("nb", Flow((Step("s", target="pickle:S", responder=True),)))

    with pytest.raises(BundleError, match="no pickle of that name: S"):
        build(Loaded(manifest, tmp_path), tmp_path / "out")


def test_requirements_are_at_the_root_of_the_bundle_and_answer_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offline(monkeypatch, tmp_path)
    make_wheel(tmp_path, "alpha", {"alpha/__init__.py": "x = 1\n"})
    root = _write(
        tmp_path / "project",
        {"s.py": "import alpha\nimport beta.gamma\ntry:\n    import fast\nexcept ImportError:\n    pass\nclass S:\n    pass\n"},
    )
    manifest = Manifest(
        "g", Flow((Step("s", target="s:S", responder=True),)), functions=(Function("g", "entry", requirements=("alpha",)),)
    )

    built = build(Loaded(manifest, root), tmp_path / "out", placement="fused")

    assert "alpha/__init__.py" in _names(built, "g")
    assert len(built.warnings) == 1
    assert built.warnings[0].startswith("s.py:2: beta is imported, but no requirement brings it")


def test_a_requirement_that_does_not_exist_is_named_with_its_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offline(monkeypatch, tmp_path)
    function = Function("chat", "entry", requirements=("nosuch-dist",))
    loaded = Loaded(replace(MANIFEST, functions=(function,)), _write(tmp_path / "project", FILES))

    with pytest.raises(BundleError, match="'nosuch-dist'") as caught:
        build(loaded, tmp_path / "out", placement="fused")

    assert caught.value.where == "function 'chat'"
    assert not is_build_folder(tmp_path / "out")


def test_a_requirement_that_brings_a_file_of_the_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offline(monkeypatch, tmp_path)
    make_wheel(tmp_path, "alpha", {"steps/__init__.py": ""})
    loaded = Loaded(MANIFEST, _write(tmp_path / "project", FILES), settings=Settings(requirements=("alpha",)))

    with pytest.raises(BundleError, match="files that are there already: steps/__init__"):
        build(loaded, tmp_path / "out")


def test_a_syntax_error_in_a_step_file_is_reported_with_its_line(loaded: Loaded, tmp_path: Path) -> None:
    (loaded.root / "steps" / "words.py").write_text("a = 1\nb = (\n")

    with pytest.raises(BundleError) as caught:
        build(loaded, tmp_path / "out")

    assert caught.value.where == "steps/words.py:2"


def test_what_the_parser_lets_pass_and_the_compiler_refuses_is_reported_too(loaded: Loaded, tmp_path: Path) -> None:
    (loaded.root / "steps" / "words.py").write_text("HELLO = 1\nreturn HELLO\n")

    with pytest.raises(BundleError, match=r"steps/words\.py:2: .*outside function"):
        build(loaded, tmp_path / "out")


def test_other_pythons_without_an_interpreter_get_no_bytecode(loaded: Loaded, tmp_path: Path) -> None:
    built = build(loaded, tmp_path / "out", options=Options(python="3.99"))

    assert not [name for name in _names(built, "greet") if name.endswith(".pyc")]
    assert [warning for warning in built.warnings if "no Python 3.99 is at hand" in warning]


@pytest.mark.parametrize("python", ["3", "3.11.2", "2.7", "3.10", "python3.12"])
def test_a_python_version_that_is_none_of_ours_is_refused(loaded: Loaded, tmp_path: Path, python: str) -> None:
    with pytest.raises(UsageError, match="Python version"):
        build(loaded, tmp_path / "out", options=Options(python=python))


# -- the folder


def test_an_earlier_build_in_the_same_folder_is_replaced_and_nothing_else(loaded: Loaded, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(loaded, out)
    (out / "mine.zip").write_bytes(b"mine")

    build(loaded, out, placement="fused")

    assert sorted(path.name for path in out.iterdir()) == ["bundles.json", "chat.zip", "graph.json", "mine.zip"]


def test_a_build_is_opened_as_it_was_made(loaded: Loaded, tmp_path: Path) -> None:
    built = build(loaded, tmp_path / "out")

    assert read_bundles(tmp_path / "out") == built
    assert build(str(tmp_path / "out"), tmp_path / "ignored") == built


def test_a_bundle_that_was_changed_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    built = build(loaded, tmp_path / "out")
    path = built.bundle("greet").path
    path.write_bytes(path.read_bytes() + b"\0")

    with pytest.raises(BundleError, match="was changed after it was built"):
        verify_bundle(built.bundle("greet"))
    with pytest.raises(BundleError) as caught:
        read_bundles(tmp_path / "out")
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "fnkit.bundles/1", "functions": [{}]}', '{"format": "other", "functions": []}']
)
def test_a_folder_that_is_no_build_is_refused_with_the_remedy(loaded: Loaded, tmp_path: Path, text: str) -> None:
    build(loaded, tmp_path / "out")
    (tmp_path / "out" / "bundles.json").write_text(text)

    with pytest.raises(BundleError) as caught:
        read_bundles(tmp_path / "out")

    assert "fnkit build" in caught.value.hint


def test_a_file_where_the_folder_should_be_is_an_error(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")

    with pytest.raises(BundleError, match="cannot make the folder"):
        build(loaded, tmp_path / "out")


def test_a_zip_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "y")

    with pytest.raises(BundleError, match="not a bundle"):
        read_head(path)


def _offline(monkeypatch: pytest.MonkeyPatch, wheels: Path) -> None:
    for name in ("UV_NO_INDEX", "UV_OFFLINE", "UV_NO_CONFIG", "PIP_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("FNKIT_CACHE_DIR", str(wheels / "cache"))
