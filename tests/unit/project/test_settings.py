from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.errors import UsageError
from fnkit.project import Settings, read_settings


def _project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_without_a_project_the_defaults_hold(tmp_path: Path) -> None:
    assert read_settings(tmp_path, {}) == Settings()


def test_the_nearest_table_holds_also_from_a_folder_below(tmp_path: Path) -> None:
    _project(tmp_path, '[tool.fnkit]\nplacement = "declared"\nmemory-mb = 256\nservices = {a = "http://x"}\n')
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    _project(below, '[project]\nname = "x"\n')

    settings = read_settings(below, {})

    assert (settings.placement, settings.memory_mb, settings.services) == ("declared", 256, {"a": "http://x"})


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    _project(tmp_path, '[tool.fnkit]\nstage = "test"\ntarget = "aws"\n')

    settings = read_settings(tmp_path, {"FNKIT_TARGET": "local", "FNKIT_TIMEOUT_S": "5", "FNKIT_INCLUDE": "a, b/*"})

    assert (settings.stage, settings.target, settings.timeout_s, settings.include) == ("test", "local", 5, ("a", "b/*"))


def test_every_refused_setting_is_told_at_once_with_the_file(tmp_path: Path) -> None:
    _project(tmp_path, '[tool.fnkit]\nplacment = "step"\nmemory_mb = "big"\ntarget = "azure"\n')

    with pytest.raises(UsageError) as caught:
        read_settings(tmp_path, {})

    assert caught.value.where == str(tmp_path / "pyproject.toml")
    assert caught.value.message.splitlines()[1:] == [
        "  - tool.fnkit.placment: unknown key (did you mean 'placement'?)",
        "  - tool.fnkit.target: 'azure' is not one of local, aws",
        "  - tool.fnkit.memory_mb: expected a whole number, found a string",
    ]


@pytest.mark.parametrize(("name", "value"), [("FNKIT_TARGET", "azure"), ("FNKIT_MEMORY_MB", "12x"), ("FNKIT_CONCURRENCY", "0")])
def test_a_refused_variable_is_told_by_its_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: "):
        read_settings(tmp_path, {name: value})


@pytest.mark.parametrize("text", ["[tool.fnkit\n", "\x00"])
def test_a_project_file_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="not valid TOML"):
        read_settings(_project(tmp_path, text), {})
