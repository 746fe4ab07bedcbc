"""What `fnkit emulate` decides before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.bundle.platforms import NAMES, Platform
from fnkit.cli.emulate import read_variables, remove_leftovers, warnings_of_platform, with_settings
from fnkit.errors import UsageError
from fnkit.project import Settings
from fnkit_emulator.options import Options


def test_variables_have_their_value_from_the_option_or_from_the_shell() -> None:
    shell = {"TOKEN": "secret", "OTHER": "x"}

    assert read_variables(("A=1", "B=", "C=x=y", "TOKEN"), shell) == {"A": "1", "B": "", "C": "x=y", "TOKEN": "secret"}


def test_all_variables_without_a_value_are_named_at_once() -> None:
    with pytest.raises(UsageError, match="no value for ONE, TWO") as caught:
        read_variables(("ONE", "A=1", "TWO"), {})

    assert caught.value.where == "--env"


def test_the_settings_say_how_asynchronous_events_are_treated() -> None:
    said = with_settings(Options(), Settings(async_retries=0, async_max_age_s=90))

    assert (said.async_retries, said.async_max_age_s) == (0, 90)
    assert with_settings(Options(), Settings()) == Options()


def test_what_a_killed_emulator_left_is_removed_after_a_day(tmp_path: Path) -> None:
    left, other = tmp_path / "fnkit-emulate-build-1", tmp_path / "other"
    for folder in (left, other):
        folder.mkdir()
        (folder / "graph.zip").write_text("x")
    written = left.stat().st_mtime

    remove_leftovers(tmp_path, written + 3600)
    soon = left.exists()
    remove_leftovers(tmp_path, written + 25 * 3600)

    assert soon
    assert not left.exists()
    assert other.exists()


def test_bundles_for_another_processor_are_warned_of() -> None:
    foreign = [name for name in NAMES if Platform(name).is_foreign]

    assert len(foreign) == 1
    assert warnings_of_platform(foreign[0])[0].startswith(f"these bundles are for {foreign[0]}: compiled packages")
    assert warnings_of_platform("host") == warnings_of_platform("") == ()
