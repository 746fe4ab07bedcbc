"""`fnkit queues` shows what waits and what is dead, and puts dead letters back."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from fnkit.cli.queues import command
from fnkit.functions.queues.local import LocalQueue
from fnkit.functions.queues.message import Message, Retention
from fnkit.functions.queues.readers import find_mappings
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit_emulator.sources.registry import write_registry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    jobs = Step("jobs", "queue", args={"path": ""}, function="main")
    work = Step("work", target="m:C", after=("jobs",), function="worker")
    manifest = Manifest("main", Flow((jobs, work)), functions=(Function("main", "entry"), Function("worker", "child")))
    write_registry(tmp_path / "main", find_mappings(manifest), {"jobs": {"path": ""}})
    with closing(LocalQueue(tmp_path / "main", "jobs", retention=Retention(max_receives=1))) as queue:
        queue.send([Message(b"bad"), Message(b"good")])
        (poison,) = queue.receive(1)
        queue.give_back([poison.receipt], reason="ValueError: no")
    return tmp_path


def test_the_queues_are_listed_with_their_depth(folder: Path) -> None:
    result = CliRunner().invoke(command, ["--dir", str(folder)])

    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split()[:7] == ["main", "jobs", "local", "worker", "1", "0", "1"]


def test_the_list_is_one_json_object_a_queue(folder: Path) -> None:
    result = CliRunner().invoke(command, ["--dir", str(folder), "--json"])

    (line,) = result.stdout.splitlines()
    assert json.loads(line)["dead"] == 1
    assert json.loads(line)["waiting"] == 1


def test_dead_letters_are_shown_with_the_reason_of_their_death(folder: Path) -> None:
    text = CliRunner().invoke(command, ["dead", "jobs", "--dir", str(folder)])
    as_json = CliRunner().invoke(command, ["dead", "jobs", "--dir", str(folder), "--json"])

    (line,) = as_json.stdout.splitlines()
    letter = json.loads(line)
    assert (letter["body"], letter["receives"], letter["reason"]) == ("bad", 1, "ValueError: no")
    assert "ValueError: no" in text.stdout
    assert text.stdout.splitlines()[1].endswith("bad")


def test_no_more_dead_letters_are_shown_than_asked_for(folder: Path) -> None:
    with closing(LocalQueue(folder / "main", "jobs")) as queue:
        queue.bury(Message(b"x" * 100), "again")

    one = CliRunner().invoke(command, ["dead", "jobs", "--dir", str(folder), "--limit", "1"])
    both = CliRunner().invoke(command, ["dead", "jobs", "--dir", str(folder)])

    assert len(one.stdout.splitlines()) == 2
    assert both.stdout.splitlines()[2].endswith(f"{'x' * 57}...")


def test_dead_letters_of_sqs_are_not_looked_for_here(tmp_path: Path) -> None:
    args = {"path": "sqs://jobs"}
    jobs = Step("jobs", "queue", args=args, function="main")
    work = Step("work", target="m:C", after=("jobs",), function="worker")
    manifest = Manifest("main", Flow((jobs, work)), functions=(Function("main", "entry"), Function("worker", "child")))
    write_registry(tmp_path / "main", find_mappings(manifest), {"jobs": args})

    result = CliRunner().invoke(command, ["dead", "jobs", "--dir", str(tmp_path)])

    assert result.exit_code == 2
    assert "lie on SQS" in result.stderr


def test_dead_letters_go_back_into_their_queue(folder: Path) -> None:
    result = CliRunner().invoke(command, ["redrive", "jobs", "--dir", str(folder)])

    with closing(LocalQueue(folder / "main", "jobs")) as queue:
        depth = queue.depth()
    assert result.stdout == "1 message back in queue 'jobs'\n"
    assert (depth.waiting, depth.dead) == (2, 0)


def test_a_queue_that_does_not_exist_is_refused_with_those_that_do(folder: Path) -> None:
    result = CliRunner().invoke(command, ["redrive", "job", "--dir", str(folder)])

    assert result.exit_code == 2
    assert "there is no queue 'job'" in result.stderr
    assert "the queues are jobs" in result.stderr


def test_a_folder_without_queues_says_how_to_get_some(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--dir", str(tmp_path)])

    assert result.exit_code == 2
    assert "run fnkit emulate" in result.stderr
