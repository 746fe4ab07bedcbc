"""What is shown reaches the reader, whatever takes it."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fnkit.cli import LazyGroup
from fnkit.cli.console import Console, OutputLostError
from fnkit.cli.options import common
from fnkit.errors import FnkitError
from tests.fakes.patience import PATIENCE_S


class FullDisk(io.StringIO):
    """A file on a disk without room."""

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_characters_that_the_output_cannot_have_are_escaped() -> None:
    shown = io.BytesIO()
    console = Console(out=io.TextIOWrapper(shown, encoding="latin-1"))

    console.result("grün → \ud800")

    assert shown.getvalue() == b"gr\xfcn \\u2192 \\ud800\n"


def test_a_full_disk_is_an_error_with_the_remedy() -> None:
    with pytest.raises(OutputLostError) as caught:
        Console(out=FullDisk()).result("text")

    assert caught.value.explain() == (
        "the output cannot be written: No space left on device\n  hint: make room on the disk, or send the output elsewhere"
    )


def test_an_error_is_shown_to_people_where_machines_cannot_be_told() -> None:
    shown = io.StringIO()

    Console(as_json=True, out=FullDisk(), err=shown).error(FnkitError("went wrong"))

    assert shown.getvalue() == "error: went wrong\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the full device of Linux")
def test_a_command_whose_output_is_lost_ends_with_exit_code_1_and_no_traceback(tmp_path: Path) -> None:
    graph = tmp_path / "graph.py"
    graph.write_text("import fnkit\nfnkit.new_function(name='g').set_topology('flow').to('Echo', handler=str).respond()\n")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "fnkit", "check", str(graph)],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    assert ended.stderr.splitlines()[0] == "error: the output cannot be written: No space left on device"
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 1


def test_nothing_is_said_where_the_output_was_closed_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    console = Console()

    console.result("text")
    console.table(("A",), (("b",),))
    console.error(FnkitError("went wrong"))

    assert console.paint("text", "red") == "text"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "No space left on device\n  hint: make room on the disk; TMPDIR says where temporary files go",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/srv/x"),
            "/srv/x: Permission denied\n  hint: allow it to this user, or name another place",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file"),
            "the working directory is gone\n  hint: change to a folder that is there",
        ),
        (OSError("odd"), "odd\n  hint: run it again with -vv to see where it happens"),
    ],
)
def test_what_the_system_refuses_is_an_error_with_the_remedy_and_exit_code_1(error: OSError, shown: str) -> None:
    @click.command()
    @common
    def refused(console: Console) -> None:
        raise error

    ended = CliRunner().invoke(refused)
    traced = CliRunner().invoke(refused, ["-vv"])

    assert (ended.exit_code, ended.output) == (1, f"error: {shown}\n")
    assert traced.exception is error


def test_ctrl_c_while_a_file_is_loaded_ends_quietly_with_130(tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text("import time\nprint('begun')\ntime.sleep(600)\n")
    # whoever runs the tests may ignore the signal, and its children inherit that
    heard = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.executable, sys.argv[1:])"
    command = [sys.executable, "-c", heard, sys.executable, "-m", "fnkit", "check", str(script)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        begun = process.stderr.readline()

        os.killpg(process.pid, signal.SIGINT)

        assert begun == "begun\n"
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE_S) == 130


class Interrupted(LazyGroup):
    """A group that is interrupted while it imports a command."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        raise KeyboardInterrupt


def test_ctrl_c_while_a_command_is_imported_ends_quietly_with_130() -> None:
    ended = CliRunner().invoke(Interrupted("fnkit"), ["check"])

    assert (ended.exit_code, ended.output) == (130, "")
