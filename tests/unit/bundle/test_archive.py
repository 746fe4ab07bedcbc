import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.bundle.archive import hash_file, pack, pack_all, read_archive, unpack, write_archive
from fnkit.errors import BundleError

_names = st.text(alphabet="abcxyzé_-./", min_size=1, max_size=12).filter(lambda name: "//" not in name and name.strip("./"))
_files = st.dictionaries(_names, st.tuples(st.binary(max_size=300), st.booleans()), max_size=8)


@settings(max_examples=40, deadline=None)
@given(files=_files, data=st.data())
def test_the_bytes_do_not_depend_on_the_order_of_the_entries(
    files: dict[str, tuple[bytes, bool]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("order")
    entries = [pack(name, content, executable=executable) for name, (content, executable) in files.items()]
    shuffled = data.draw(st.permutations(entries))

    first = write_archive(folder / "one.zip", entries)
    second = write_archive(folder / "two.zip", shuffled)

    assert first == second
    assert (folder / "one.zip").read_bytes() == (folder / "two.zip").read_bytes()


@settings(max_examples=40, deadline=None)
@given(files=_files)
def test_an_archive_holds_what_went_in_and_zipfile_agrees(
    files: dict[str, tuple[bytes, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("round") / "a.zip"

    written = write_archive(path, pack_all([(name, content, x) for name, (content, x) in files.items()]))

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {info.filename: archive.read(info) for info in archive.infolist()} == {n: c for n, (c, _) in files.items()}
        for info in archive.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.create_system == 3
            assert stat.S_IMODE(info.external_attr >> 16) == (0o755 if files[info.filename][1] else 0o644)
    assert {entry.name: unpack(entry) for entry in read_archive(path)} == {n: c for n, (c, _) in files.items()}
    assert (written.size, written.sha256) == (path.stat().st_size, hash_file(path))
    assert written.unzipped_size == sum(len(content) for content, _ in files.values())


def test_entries_are_copied_from_one_archive_into_another_unchanged(tmp_path: Path) -> None:
    entries = [pack("a.py", b"x" * 1000), pack("b.so", os.urandom(100), executable=True)]
    write_archive(tmp_path / "one.zip", entries)

    write_archive(tmp_path / "two.zip", read_archive(tmp_path / "one.zip"))

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_two_files_of_one_name_are_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"two files want to be 'a\.py'"):
        write_archive(tmp_path / "a.zip", [pack("a.py", b"1"), pack("a.py", b"2")])

    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\x03\x04 not a zip")

    with pytest.raises(BundleError) as caught:
        read_archive(path)

    assert caught.value.where == str(path)
