from __future__ import annotations

from pathlib import Path

import pytest

import fnkit
from fnkit.errors import LoadError, MLRunInvalidArgumentError
from fnkit.project.files import read_requirements, read_secrets
from fnkit.project.script import is_safe_to_import


def test_requirement_lines_are_carried_and_fnkit_itself_is_not(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("numpy>=2\n")
    path = tmp_path / "requirements.txt"
    path.write_text(
        "# all\nrequests == 2.0  # http\n\nfnkit[aws]>=0.1\nfnkit-extra\nFnkit\n-r more.txt\npandas ; python_version < '4'\n"
        "tiny==1.0 \\\n    --hash=sha256:00\n"
    )

    lines = [" ".join(line.split()) for line in read_requirements(path)]

    assert lines == [
        "requests == 2.0",
        "fnkit-extra",
        "numpy>=2",
        "pandas ; python_version < '4'",
        "tiny==1.0 --hash=sha256:00",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-e .\n", "the option '-e' of pip cannot be carried"),
        ("a\n--index-url http://x\n", "the option '--index-url' of pip"),
        ("-r missing.txt\n", "includes 'missing.txt', which does not exist"),
        ("-r requirements.txt\n", "include each other"),
    ],
)
def test_what_a_bundle_cannot_carry_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(text)

    with pytest.raises(LoadError, match=says) as caught:
        read_requirements(path)
    assert str(path) in caught.value.where


def test_requirements_can_be_a_list_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.txt").write_text("b\n")

    function = fnkit.new_function("f", requirements=["a"], requirements_file="r.txt").with_requirements(["c"], "r.txt")

    assert function.requirements == ["a", "b", "c", "b"]
    assert fnkit.new_function("f", requirements="r.txt").requirements == ["b"]
    with pytest.raises(LoadError, match=r"there is no file 'rr\.txt'") as caught:
        fnkit.new_function("f", requirements="rr.txt")
    assert "did you mean 'r.txt'?" in caught.value.hint


def test_one_requirement_needs_no_list_and_a_child_takes_what_its_parent_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.txt").write_text("b\n")
    (tmp_path / "requirements-gpu").write_text("c\n")
    parent = fnkit.new_function("f", requirements="numpy>=2")

    alone = parent.add_child_function("alone", requirements="tiny @ https://host/tiny-1.0-py3-none-any.whl")
    listed = parent.add_child_function("listed", requirements="r.txt").with_requirements("requirements-gpu")

    assert parent.requirements == ["numpy>=2"]
    assert alone.requirements == ["tiny @ https://host/tiny-1.0-py3-none-any.whl"]
    assert listed.requirements == ["b", "c"]
    with pytest.raises(LoadError, match="there is no file 'deps/r'"):
        parent.add_child_function("lost", requirements="deps/r")
    with pytest.raises(MLRunInvalidArgumentError, match="a requirement is a text, not 5"):
        parent.with_requirements([5])  # type: ignore[list-item]  # what a slip of the pen would pass


def test_a_child_function_serves_or_is_refused() -> None:
    parent = fnkit.new_function("f")

    assert parent.add_child_function("one", kind="serving").kind == "serving"
    with pytest.raises(MLRunInvalidArgumentError, match="unsupported kind of function 'job'"):
        parent.add_child_function("two", kind="job")


def test_a_missing_step_file_is_told_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.py").touch()

    with pytest.raises(LoadError) as caught:
        fnkit.code_to_function("f", filename="step.py")

    assert caught.value.hint.startswith("did you mean 'steps.py'? looked in ")
    assert str(tmp_path) in caught.value.hint


def test_a_notebook_is_no_step_file(tmp_path: Path) -> None:
    path = tmp_path / "steps.ipynb"
    path.touch()

    with pytest.raises(MLRunInvalidArgumentError, match=r"steps\.ipynb is not a Python file"):
        fnkit.code_to_function("f", filename=str(path))


def test_secrets_come_from_a_mapping_a_file_or_the_environment(tmp_path: Path) -> None:
    lines, document = tmp_path / "a.env", tmp_path / "a.json"
    lines.write_text("# mine\nA = 1\nB=x=y\n")
    document.write_text('{"A": 2}')
    folders = (tmp_path,)

    assert read_secrets("inline", {"A": 1}, folders, {}) == {"A": "1"}
    assert read_secrets("file", "a.env", folders, {}) == {"A": "1", "B": "x=y"}
    assert read_secrets("file", str(document), folders, {}) == {"A": "2"}
    assert read_secrets("env", "A,C", folders, {"A": "3"}) == {"A": "3"}


@pytest.mark.parametrize(("kind", "source"), [("inlin", {}), ("inline", "x"), ("env", {}), ("file", 1)])
def test_secrets_of_another_kind_are_refused(kind: str, source: object) -> None:
    with pytest.raises(MLRunInvalidArgumentError):
        read_secrets(kind, source, (), {})


def test_secrets_are_neither_in_the_manifest_nor_in_a_file() -> None:
    function = fnkit.new_function("f")
    function.with_secrets("inline", {"TOKEN": "very-secret"})
    function.set_topology("flow").to(name="a", handler="(event)")

    assert "very-secret" not in function.load().to_json()


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (
            "import fnkit\nfn = fnkit.new_function('a')\ngraph = fn.set_topology('flow')\ngraph.to('A').respond()\nfn.deploy()\n",
            True,
        ),
        ("from fnkit import new_function as make\nmake('a').set_topology('flow')\n", True),
        ("'''doc'''\nLIMIT = 3\nNAMES = ['a', 'b']\nclass A:\n    x = print()\ndef f(): print(1)\n", True),
        ("if __name__ == '__main__':\n    print(1)\n", True),
        ("import requests\nrequests.post('http://x')\n", False),
        ("import fnkit\nurl = fnkit.new_function('a').get_url()\nprint(url)\n", False),
        ("model = load()\n", False),
        ("for x in range(3): pass\n", False),
        ("if True:\n    print(1)\n", False),
        ("x = (", False),
    ],
)
def test_a_script_is_imported_by_functions_only_if_that_does_nothing(tmp_path: Path, text: str, safe: bool) -> None:
    path = tmp_path / "script.py"
    path.write_text(text)

    assert is_safe_to_import(path) is safe


def test_a_script_that_is_gone_is_not_safe(tmp_path: Path) -> None:
    assert not is_safe_to_import(tmp_path / "gone.py")
