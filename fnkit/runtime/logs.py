"""The log of a function: what is printed, and the root logger where the user's code has one.

Lines go to standard output and standard error, from where the environment takes them. `logging` is set up only if somebody has
imported it: its import costs more than many functions do.
"""

from __future__ import annotations

import sys
from time import gmtime

from fnkit.runtime.http_events import Failures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from fnkit.runtime.invocation import Failure

_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
_INDENT = "\N{NO-BREAK SPACE}"  # keeps the lines of a traceback together in CloudWatch


class Log(Failures):
    """Writes to the function's log. *request_id* is that of the invocation in progress, the latest where there are several."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._level = environ.get("AWS_LAMBDA_LOG_LEVEL", "")
        self._has_logger = False
        self.request_id = ""

    def begin(self, request_id: str) -> None:
        """Note that an invocation begins; sets the root logger up if `logging` has been imported since."""
        self.request_id = request_id
        if not self._has_logger and (logging := sys.modules.get("logging")) is not None:
            self._has_logger = True
            self._set_up(logging)

    def report(self, failure: Failure) -> None:
        """Write a failure with its traceback, as the managed runtime does."""
        lines = [f"[ERROR] {failure.kind}: {failure.message}"]
        if failure.stack:
            lines.append("Traceback (most recent call last):")
            lines += [_indented(line) for entry in failure.stack for line in entry.splitlines()]
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()

    def warn(self, text: str) -> None:
        """Write a line about something that was done in another way than asked for."""
        sys.stderr.write(f"[WARNING] fnkit: {text}\n")

    def _set_up(self, logging: ModuleType) -> None:
        root = logging.getLogger()
        if root.handlers:
            return
        handler = logging.StreamHandler(sys.stdout)
        formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S")
        formatter.converter = staticmethod(gmtime)
        handler.setFormatter(formatter)
        handler.addFilter(self._name_request)
        root.addHandler(handler)
        if self._level in logging.getLevelNamesMapping():
            root.setLevel(self._level)

    def _name_request(self, record: object) -> bool:
        record.aws_request_id = self.request_id  # type: ignore[attr-defined]  # a log record takes attributes
        return True


def _indented(line: str) -> str:
    text = line.lstrip(" ")
    return _INDENT * (len(line) - len(text)) + text
