"""Options that every command has, and the one place where errors become exit codes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import click

from fnkit.cli.console import Console
from fnkit.errors import FnkitError

P = ParamSpec("P")


def common(function: Callable[Concatenate[Console, P], None]) -> Callable[P, None]:
    """Add `--json`, `-q` and `-v` to a command; it receives a `Console` as its first argument.

    A `FnkitError` is shown, not raised: the command leaves with the error's `exit_code`. Ctrl-C leaves with 130.
    """

    @click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="One JSON object a line on stdout; text for people goes to stderr.",
    )
    @click.option("-q", "--quiet", is_flag=True, help="Say only results and errors.")
    @click.option("-v", "--verbose", count=True, help="Say more.")
    @functools.wraps(function)
    def command(*args: P.args, **options: P.kwargs) -> None:
        as_json, quiet, verbose = (options.pop(name) for name in ("as_json", "quiet", "verbose"))
        assert isinstance(verbose, int)
        console = Console(as_json=bool(as_json), verbosity=-1 if quiet else verbose)
        try:
            function(console, *args, **options)
        except FnkitError as error:
            console.error(error)
            sys.exit(error.exit_code)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(130)

    return command
