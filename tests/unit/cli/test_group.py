"""Wrong use of the command as a whole."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from fnkit.cli import main


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("emulat", "No such command 'emulat'. Did you mean 'emulate'?"),
        ("Deploy", "No such command 'Deploy'. Did you mean 'deploy'?"),
        ("frobnicate", "No such command 'frobnicate'.\n"),
    ],
)
def test_a_command_that_does_not_exist_is_told_with_the_one_that_may_be_meant(word: str, said: str) -> None:
    ended = CliRunner().invoke(main, [word, "graph.py"])

    assert ended.exit_code == 2
    assert said in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message", "where"),
    [
        (["emulat"], "No such command 'emulat'. Did you mean 'emulate'?", "fnkit"),
        (["check"], "Missing argument 'TARGET'.", "fnkit check"),
        (["build", "g.py", "--placement", "x"], "Invalid value for '--placement'", "fnkit build"),
    ],
)
def test_machines_are_told_of_wrong_use_too(arguments: list[str], message: str, where: str) -> None:
    ended = CliRunner().invoke(main, [*arguments, "--json"], prog_name="fnkit")

    told = json.loads(ended.stdout)
    assert ended.exit_code == 2
    assert (told["event"], told["type"], told["where"], told["hint"]) == ("error", "UsageError", where, f"see: {where} --help")
    assert told["message"].startswith(message)
    assert message in ended.stderr
