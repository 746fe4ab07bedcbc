"""Unpacking bundles and finding their Python."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from fnkit.errors import EmulatorError, UsageError
from fnkit_emulator.deployed import extract, find_python, unpack, variables
from fnkit_emulator.options import Options, check_host
from fnkit_emulator.zygote import remove
from tests.fakes.emulated import FakeBuild, fake_build


def test_executables_stay_executable_and_nothing_is_writable(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        script = zipfile.ZipInfo("run")
        script.external_attr = 0o100755 << 16
        zipped.writestr(script, "#!/bin/sh\n")
        zipped.writestr("folder/data", "x")

    extract(archive, tmp_path / "out", {})

    assert (tmp_path / "out" / "run").stat().st_mode & 0o777 == 0o555
    assert (tmp_path / "out" / "folder" / "data").stat().st_mode & 0o777 == 0o444


def test_the_files_that_two_bundles_share_are_unpacked_once(tmp_path: Path) -> None:
    for name, step in (("a", b"one"), ("b", b"two")):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as zipped:
            zipped.writestr("fnkit/engine.py", b"the same")
            zipped.writestr("step.py", step)
    written: dict[tuple[bytes, int], Path] = {}

    for name in "ab":
        extract(tmp_path / f"{name}.zip", tmp_path / name, written)

    assert (tmp_path / "a/fnkit/engine.py").samefile(tmp_path / "b/fnkit/engine.py")
    assert [(tmp_path / name / "step.py").read_bytes() for name in "ab"] == [b"one", b"two"]


def test_a_file_that_cannot_be_linked_is_written(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("data", b"x")
    written = {(hashlib.sha256(b"x").digest(), 0o444): tmp_path / "gone"}

    extract(archive, tmp_path / "out", written)

    assert (tmp_path / "out" / "data").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out"])
def test_a_bundle_whose_names_lead_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(name, b"x")

    with pytest.raises(zipfile.BadZipFile, match="leads out"):
        extract(archive, tmp_path / "folder" / "root", {})

    assert not (tmp_path / "out").exists()


def test_what_was_unpacked_is_removed(tmp_path: Path) -> None:
    with unpack(fake_build(tmp_path), Options()) as (deployed,):
        root = deployed.root
        assert (root / "bundle.json").exists()

    assert not root.parent.parent.exists()


def test_a_broken_zip_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    build = fake_build(tmp_path)
    build.bundles[0].path.write_bytes(b"no zip")

    with pytest.raises(EmulatorError, match="cannot be read") as caught, unpack(build, Options()):
        pass

    assert caught.value.where == str(build.bundles[0].path)
    assert "fnkit build" in caught.value.hint


def test_a_python_that_is_not_here_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    build = fake_build(tmp_path, extra={})
    with zipfile.ZipFile(build.bundles[0].path, "w") as zipped:
        zipped.writestr("bundle.json", json.dumps({"python": "3.99"}))

    with (
        pytest.raises(EmulatorError, match=r"for Python 3\.99") as caught,
        unpack(FakeBuild(build.manifest, build.bundles), Options()),
    ):
        pass

    assert "python" in caught.value.hint


def test_a_python_on_the_path_that_does_not_start_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.98"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    with pytest.raises(EmulatorError, match=r"no python3\.98 was found"):
        find_python("3.98")


def test_the_running_python_is_used_where_it_fits() -> None:
    assert find_python(f"{sys.version_info[0]}.{sys.version_info[1]}") == sys.executable


def test_a_proxy_of_this_machine_is_passed_on_but_not_for_the_emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", "example.org")
    with unpack(fake_build(tmp_path), Options()) as (deployed,):
        environ = variables(deployed, Options(), endpoint="http://127.0.0.1:1", access_key="AKIA1")

    assert environ["HTTPS_PROXY"] == "http://proxy:1"
    assert environ["NO_PROXY"] == environ["no_proxy"] == "127.0.0.1,localhost,example.org"


@pytest.mark.parametrize(("given", "host"), [("localhost", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("[::1]", "::1")])
def test_loopback_hosts_are_taken(given: str, host: str) -> None:
    assert check_host(given) == host


@pytest.mark.parametrize("given", ["0.0.0.0", "192.168.1.1", "example.org", "", "::"])
def test_other_hosts_are_refused_with_the_reason(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_host(given)

    assert caught.value.where == "--host"
    assert "loopback" in caught.value.hint


def test_read_only_folders_and_links_are_removed(tmp_path: Path) -> None:
    root = tmp_path / "parent" / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").write_text("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (root / "link").symlink_to(outside)
    (root / "a" / "b").chmod(0o555)
    (root / "a").chmod(0o555)

    remove(str(root))
    remove(str(root))

    assert not root.parent.exists()
    assert (outside / "kept").exists()
