"""The context that steps are given: parameters, secrets, a logger, and the class of responses."""

from __future__ import annotations

import os
import sys

from fnkit.engine.response import Response, stack_of
from fnkit.lean import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fnkit.engine.event import Event

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Logger:
    """Log lines as `level message {fields}`; `write` gets each line without its newline.

    Keyword arguments become fields, as in `context.logger.info("scored", model="m1")`; positional arguments fill `%`-placeholders.
    """

    __slots__ = ("level", "write")

    def __init__(self, write: Callable[[str], object] | None = None, level: str = "info") -> None:
        self.write = write if write is not None else _to_stderr
        self.level = level

    def log(self, level: str, message: object, *args: object, **fields: object) -> None:
        """Write one line at *level* (debug, info, warning or error)."""
        if LEVELS[level] < LEVELS.get(self.level, 20):
            return
        text = str(message) % args if args else str(message)
        self.write(f"{level} {text} {dumps(fields, default=str)}" if fields else f"{level} {text}")

    def debug(self, message: object, *args: object, **fields: object) -> None:
        """Write a line for those who look for a fault."""
        self.log("debug", message, *args, **fields)

    def info(self, message: object, *args: object, **fields: object) -> None:
        """Write a line of news."""
        self.log("info", message, *args, **fields)

    def warning(self, message: object, *args: object, **fields: object) -> None:
        """Write a line about something that may become a fault."""
        self.log("warning", message, *args, **fields)

    warn = warning

    def error(self, message: object, *args: object, **fields: object) -> None:
        """Write a line about a fault."""
        self.log("error", message, *args, **fields)

    def exception(self, message: object, *args: object, **fields: object) -> None:
        """Write a line about a fault, and the traceback of the exception that is being handled."""
        self.log("error", f"{message}\n{stack_of(error) if (error := sys.exception()) else ''}", *args, **fields)


class Context:
    """What `context` is inside a step.

    *parameters* answer `get_param`, *secrets* (a mapping, or a function of the key) answer `get_secret`, after them the environment.
    *errors* receives the records of `push_error`. *current_function* is `"*"` where the whole graph runs in one place.
    Anything else that a host wants to offer is given as a keyword argument and becomes an attribute.
    """

    Response = Response

    def __init__(
        self,
        *,
        parameters: Mapping[str, object] | None = None,
        secrets: Mapping[str, str] | Callable[[str], str | None] | None = None,
        is_mock: bool = False,
        current_function: str = "*",
        project: str = "",
        function_uri: str = "",
        verbose: bool = False,
        worker_id: int = 0,
        logger: Logger | None = None,
        errors: Callable[[dict[str, object]], object] | None = None,
        **more: object,
    ) -> None:
        self.parameters: Mapping[str, object] = parameters if parameters is not None else {}
        self.is_mock = is_mock
        self.monitoring_mock = False
        self.current_function = current_function
        self.project = project
        self.project_obj: object = None
        self.function_uri = function_uri
        self.verbose = verbose
        self.worker_id = worker_id
        self.logger = logger if logger is not None else Logger(level="debug" if verbose else "info")
        self.server: object = None
        self.root: object = None
        self.stream: object = None
        self.executor: object = None
        self.state: object = None
        self.trigger: object = None
        self.platform: object = None
        self._secrets = secrets
        self._errors = errors
        for name, value in more.items():
            setattr(self, name, value)

    def get_param(self, key: str, default: object = None) -> object:
        """Return the graph's parameter *key*, or *default*."""
        return self.parameters.get(key, default)

    def get_secret(self, key: str) -> str | None:
        """Return the secret *key* from what the host was given, otherwise from the environment; None if it is nowhere."""
        secrets = self._secrets
        value = secrets(key) if callable(secrets) else secrets.get(key) if secrets is not None else None
        return value if value is not None else os.environ.get(key)

    def get_remote_endpoint(self, name: str, external: bool = True) -> str:
        """Return the address of the function *name*: the host may know it, otherwise the name is the address."""
        resolve = getattr(self, "resolve_endpoint", None)
        return str(resolve(name)) if resolve is not None else name

    def push_error(self, event: Event, message: object, source: str | None = None, **kwargs: object) -> None:
        """Report an error of *event* to the log and to the host's error stream. An exception as *message* brings its traceback."""
        text = f"{message}\n{stack_of(message)}" if isinstance(message, BaseException) else str(message)
        self.logger.error(f"{source or 'graph'}: {message}", event_id=event.id)
        if self._errors is not None:
            self._errors(
                {
                    "function_uri": self.function_uri,
                    "worker": self.worker_id,
                    "source": source or "_handler",
                    "event": {"id": event.id, "body": event.body},
                    "message": text,
                    "args": kwargs,
                }
            )


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
