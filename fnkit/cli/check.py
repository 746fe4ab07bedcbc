"""`fnkit check`: report every fault of a graph at once."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from fnkit.cli.console import Console
from fnkit.cli.options import common
from fnkit.project import check
from fnkit.project.loading import Checked, targets_of


@click.command("check")
@click.argument("target")
@common
def command(console: Console, target: str) -> None:
    """Report every fault of TARGET's graph at once: each with its step, what is wrong and what to do.

    TARGET is file.py[:name], a project folder, a graph.json or a graph's YAML, all of whose graphs are checked. A Python file is
    imported and its steps are constructed, in a process of their own.

    Exit codes: 0 no problem (warnings may be shown), 2 problems were found, or TARGET cannot be loaded.
    """
    if sum([_report(console, check(one)) for one in targets_of(target)]):
        sys.exit(2)


def _report(console: Console, checked: Checked) -> int:
    """Tell what was found in one graph; return the number of its problems."""
    for warning in checked.warnings:
        console.result(f"warning: {warning}", event="warning", **asdict(warning))
    for problem in checked.problems:
        console.result(f"problem: {problem}", event="problem", **asdict(problem))
    count = len(checked.problems)
    steps = f", {checked.steps} step{'s' if checked.steps != 1 else ''}" if checked.steps else ""
    said = f"{count} problem{'s' if count != 1 else ''}" if count else "no problems"
    console.result(
        f"{checked.subject}: {said}{steps if not count else ''}",
        event="checked",
        subject=checked.subject,
        problems=count,
        warnings=len(checked.warnings),
        functions=list(checked.functions),
    )
    return count
