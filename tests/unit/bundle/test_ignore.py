from pathlib import Path, PurePosixPath

import pytest

from fnkit.bundle.ignore import is_ignored, is_leftover, is_secret, parse_rules, read_rules


@pytest.mark.parametrize(
    ("lines", "path", "expected"),
    [
        (["*.log"], "a/b.log", True),
        (["*.log", "!keep.log"], "a/keep.log", False),
        (["!keep.log", "*.log"], "keep.log", True),
        (["/data"], "data/x.csv", True),
        (["/data"], "a/data/x.csv", False),
        (["data/"], "a/data/x.csv", True),
        (["data/"], "data", False),
        (["a/*.py"], "a/b.py", True),
        (["a/*.py"], "a/b/c.py", False),
        (["a/**/c.py"], "a/c.py", True),
        (["a/**/c.py"], "a/b/d/c.py", True),
        (["a/**"], "a/b/c", True),
        (["x[0-9].py"], "x1.py", True),
        (["x[!0-9].py"], "x1.py", False),
        (["# a comment", "", "b?c"], "bxc", True),
        (["\\#name"], "#name", True),
        (["[unclosed"], "[unclosed", True),
        (["[z-a].py"], "[z-a].py", True),
        ([], "anything", False),
    ],
)
def test_the_last_rule_that_matches_decides(lines: list[str], path: str, expected: bool) -> None:
    assert is_ignored(PurePosixPath(path), parse_rules(lines)) is expected


@pytest.mark.parametrize("path", [".env", "a/.env.local", "key.pem", "A.PEM", ".aws/credentials", "deploy/id_rsa", "x/.netrc"])
def test_credentials_and_keys_are_secrets(path: str) -> None:
    assert is_secret(PurePosixPath(path))


@pytest.mark.parametrize("path", [".env.example", "app.py", "environment.yaml", "keys.py"])
def test_ordinary_files_are_no_secrets(path: str) -> None:
    assert not is_secret(PurePosixPath(path))


@pytest.mark.parametrize(
    "path", [".git/config", "a/__pycache__/b.pyc", ".venv/lib/x.py", "x.egg-info/PKG-INFO", "node_modules/a.js"]
)
def test_what_tools_leave_is_left_out(path: str) -> None:
    assert is_leftover(PurePosixPath(path))


def test_a_project_without_an_ignore_file_ignores_nothing(tmp_path: Path) -> None:
    assert read_rules(tmp_path) == ()


def test_the_ignore_file_stands_in_the_root(tmp_path: Path) -> None:
    (tmp_path / ".fnkitignore").write_text("*.csv\n")

    assert is_ignored(PurePosixPath("a/b.csv"), read_rules(tmp_path))
