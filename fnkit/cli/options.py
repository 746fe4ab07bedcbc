"""Options that every command has, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import click

from fnkit.cli.console import Console
from fnkit.errors import FnkitError

P = ParamSpec("P")
_REMEDIES = {
    errno.ENOSPC: "make room on the disk; TMPDIR says where temporary files go",
    errno.EDQUOT: "make room in the quota; TMPDIR says where temporary files go",
    errno.EACCES: "allow it to this user, or name another place",
    errno.EPERM: "allow it to this user, or name another place",
    errno.EROFS: "name a place that can be written to; TMPDIR says where temporary files go",
    errno.EMFILE: "allow more open files: ulimit -n",
    errno.ENFILE: "the machine has no open files left: end something",
    errno.ENOMEM: "the machine has no memory left: end something",
}


def common(function: Callable[Concatenate[Console, P], None]) -> Callable[P, None]:
    """Add `--json`, `-q` and `-v` to a command; it receives a `Console` as its first argument.

    A `FnkitError` is shown, not raised: the command leaves with the error's `exit_code`. Ctrl-C leaves with 130. What the system
    refuses (a full disk, a folder that is gone) is shown as well, with -vv as a traceback.
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
        except OSError as error:
            if console.verbosity > 1:
                raise
            console.error(explain_refusal(error))
            sys.exit(1)

    return command


def explain_refusal(error: OSError) -> FnkitError:
    """Return what the system has refused as an error with its place and remedy."""
    where = os.fspath(error.filename) if isinstance(error.filename, (str, os.PathLike)) else ""
    if error.errno == errno.ENOENT and not where:
        return FnkitError("the working directory is gone", hint="change to a folder that is there")
    hint = _REMEDIES.get(error.errno or 0, "run it again with -vv to see where it happens")
    return FnkitError(error.strerror or str(error), where=where, hint=hint)
