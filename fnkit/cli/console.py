"""What the command line shows: the only module of fnkit that prints."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import IO

from fnkit.errors import FnkitError

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}


class OutputLostError(FnkitError, OSError):
    """What is shown cannot be written: the disk is full, the terminal is gone."""


class Console:
    """Text for people, or one JSON object a line for machines.

    With *as_json* stdout carries JSON objects only and what is said to people goes to stderr.
    *verbosity*: -1 quiet (results and errors only), 0 normal, 1 and more verbose. Colours only on a terminal without NO_COLOR.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        verbosity: int = 0,
        out: IO[str] | None = None,
        err: IO[str] | None = None,
    ) -> None:
        self.as_json = as_json
        self.verbosity = verbosity
        self._out: IO[str] | None = out or sys.stdout
        self._err: IO[str] | None = err or sys.stderr

    def result(self, text: str, **event: object) -> None:
        """Show what the user asked for: *text* for people on stdout, or *event* as a JSON line. Shown even when quiet."""
        if self.as_json:
            self.event(**event)
        else:
            self._write(self._out, text)

    def say(self, text: str) -> None:
        """Tell people what is going on, on stderr; nothing when quiet."""
        if self.verbosity >= 0:
            self._write(self._err, text)

    def detail(self, text: str) -> None:
        """Tell people more, on stderr, when they asked for it with -v."""
        if self.verbosity > 0:
            self._write(self._err, self.paint(text, "dim", self._err))

    def event(self, **fields: object) -> None:
        """Write one JSON object on a line of its own to stdout; nothing unless --json was given."""
        if self.as_json:
            self._write(self._out, json.dumps(fields, default=str))

    def error(self, error: FnkitError) -> None:
        """Show *error* with its place and its hint, and as a JSON line too when --json was given."""
        self._write(self._err, self.paint("error: ", "red", self._err) + error.explain())
        with contextlib.suppress(OutputLostError):
            self.event(
                event="error",
                type=type(error).__name__,
                message=error.message,
                where=error.where,
                hint=error.hint,
            )

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show *rows* under *heads* in aligned columns on stdout; nothing when --json was given."""
        if self.as_json:
            return
        widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
        for row in (heads, *rows):
            self._write(
                self._out,
                "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(),
            )

    def paint(self, text: str, colour: str, stream: IO[str] | None = None) -> str:
        """Return *text* in *colour* where *stream* (default: stdout) shows colours."""
        stream = stream or self._out
        if os.environ.get("NO_COLOR") or stream is None or not stream.isatty():
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"

    @staticmethod
    def _write(stream: IO[str] | None, text: str) -> None:
        if stream is None:  # Python's word for a standard stream that was closed before the start
            return
        try:
            stream.write(_writable(text, stream) + "\n")
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            hint = "make room on the disk, or send the output elsewhere"
            raise OutputLostError(f"the output cannot be written: {error.strerror or error}", hint=hint) from error


def _writable(text: str, stream: IO[str]) -> str:
    """Return *text* with escapes in place of the characters that the encoding of *stream* does not have."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
