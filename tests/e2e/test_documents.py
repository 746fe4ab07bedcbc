"""The README and the pages of docs/: what they show runs, and what they name is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest

from fnkit.cli import COMMANDS, main
from fnkit.functions.queues.access import ARGUMENTS
from fnkit.functions.queues.spec import read_spec
from fnkit.manifest import CallOptions
from fnkit.project.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/graphs.md", "docs/queues.md", "docs/deploying.md", "examples/kserve/README.md")

MISTAKES = """
import fnkit

class A:
    def __init__(self, x):
        self.x = x

    def do(self, body):
        return body

class NoDo:
    pass

fn = fnkit.new_function("bad")
fn.set_topology("flow").to("AA", "a").to("NoDo", "b").to("A", "c", y=1).respond()
"""


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", read(page), re.DOTALL)


def run(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_first_example_of_the_readme_is_a_graph_without_problems(tmp_path: Path) -> None:
    for block in blocks("README.md", "python")[:2]:
        name = block.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(block, encoding="utf-8")

    done = run("-m", "fnkit", "check", "serve.py", folder=tmp_path)

    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert done.stdout == "streaming-fn: no problems, 1 step\n"


def test_mistakes_are_told_as_the_readme_shows_them(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(MISTAKES, encoding="utf-8")
    shown = next(block for block in blocks("README.md", "console") if "fnkit check" in block)

    done = run("-m", "fnkit", "check", "bad.py", folder=tmp_path)

    assert f"$ fnkit check bad.py\n{done.stdout}{done.stderr}" == shown


def test_the_examples_of_the_page_about_graphs_print_what_it_says(tmp_path: Path) -> None:
    program = "\n\n".join(blocks("docs/graphs.md", "python"))
    (tmp_path / "page.py").write_text(program, encoding="utf-8")

    done = run("page.py", folder=tmp_path)

    assert done.stderr == ""
    assert done.stdout.splitlines() == re.findall("# prints (.*)", program)


def test_the_graph_of_the_page_about_queues_has_no_problems(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(blocks("docs/queues.md", "python")[0], encoding="utf-8")

    done = run("-m", "fnkit", "check", "orders.py", folder=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("seed", ["0", "2"])  # sets of names are in another order under each
def test_the_picture_of_the_readme_is_what_fnkit_plot_draws(seed: str) -> None:
    done = run("-m", "fnkit", "plot", "examples/cyclic/serve.py", "--placement", "step", folder=ROOT, PYTHONHASHSEED=seed)

    assert done.stderr == ""
    assert done.stdout == read("docs/images/cyclic-graph.svg")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(r"(?:`|^ *\$ )fnkit ([a-z]+)([^`\n]*)", read(page), re.MULTILINE)

    assert named
    for name, rest in named:
        assert name in COMMANDS, f"fnkit {name}"
        command = main.get_command(click.Context(main), name)
        assert command is not None
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        asked = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", re.sub("'[^']*'", "", rest)))
        assert asked <= known, f"fnkit {name}: {sorted(asked - known)}"


def test_the_readme_names_every_command() -> None:
    rows = set(re.findall(r"^\| `fnkit ([a-z]+)", read("README.md"), re.MULTILINE))

    assert rows == set(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", read(page)):
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.is_file(), link
        headings = re.findall("^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], link


def test_the_pages_list_every_setting_and_call_option() -> None:
    settings = set(re.findall("`([a-z_]+)`", read("docs/deploying.md")))
    options = set(re.findall("`([a-z_]+)`", read("docs/graphs.md")))

    assert {field.name for field in fields(Settings)} <= settings
    assert set(CallOptions.__annotations__) <= options


def test_the_page_about_queues_lists_arguments_that_queues_have() -> None:
    listed = re.findall("`([a-z_]+)`", "".join(re.findall(r"^\| (`[a-z_`, ]+`) \|", read("docs/queues.md"), re.MULTILINE)))

    assert {*ARGUMENTS, "sharding_func", "full_event", "max_receives", "batch_window", "pollers"} <= set(listed)
    for name in listed:
        assert "unknown argument" not in str(read_spec("queue", {name: 1})[1])
