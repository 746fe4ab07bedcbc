from pathlib import Path

import pytest

from fnkit.bundle.requirements import Requirement, is_reproducible, merge_requirements


def test_lines_are_merged_sorted_and_without_comments_and_fnkit() -> None:
    merged = merge_requirements((["requests>=2  # http", "fnkit[aws]==1", "# nothing", ""], "a"), (["numpy", "requests>=2"], "b"))

    assert merged == (Requirement("numpy", "b"), Requirement("requests>=2", "a"))


@pytest.mark.parametrize(
    ("line", "name"), [("My.Pkg_x>=1", "my-pkg-x"), ("./here", ""), ("git+https://x/y", ""), ("-r more.txt", "")]
)
def test_a_requirement_knows_the_name_it_asks_for(line: str, name: str) -> None:
    assert Requirement(line, "").name == name


def test_only_names_and_versions_say_what_will_be_installed(tmp_path: Path) -> None:
    (tmp_path / "localpkg").mkdir()

    assert is_reproducible([Requirement("requests==2.0", "")], tmp_path)
    for line in ("./x", "localpkg", "-r r.txt", "pkg @ https://host/x.whl", "x.whl"):
        assert not is_reproducible([Requirement(line, "")], tmp_path)
