"""Our own loop inside a function: from the start of the process to its last invocation.

It does what the managed runtime does before the first event: the order of `sys.path`, unbuffered lines, errors of the start reported under
AWS's names. Then it serves on plain sockets where no step waits for an event loop, on asyncio where one does.
"""

from __future__ import annotations

import os
import sys

from fnkit.engine.drive import drive
from fnkit.lean import import_module
from fnkit.runtime import plain
from fnkit.runtime.client import RuntimeClient, RuntimeGone
from fnkit.runtime.invocation import Failure
from fnkit.runtime.loading import Bundle, failure_at_start, load_application
from fnkit.runtime.logs import Log
from fnkit.runtime.paths import arrange_paths
from fnkit.runtime.protocol import ProtocolError
from fnkit.runtime.work import work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from fnkit.runtime.application import Application
    from fnkit.runtime.attention import Attention
    from fnkit.runtime.client import Transport
    from fnkit.runtime.invocation import Invocation


def main(bundle_dir: str, environ: Mapping[str, str]) -> int:
    """Run the function whose bundle is unpacked in *bundle_dir*; return the exit status of the process.

    *environ* becomes the environment of the process, if it is not that already. Belongs in the main thread.
    """
    if environ is not os.environ:
        os.environ.clear()
        os.environ.update(environ)
    host = environ.get("AWS_LAMBDA_RUNTIME_API", "")
    if not host:
        sys.stderr.write("[fnkit] AWS_LAMBDA_RUNTIME_API is not set: this program runs inside a function\n")
        return 2
    _write_lines_at_once()
    log = Log(environ)
    client = RuntimeClient(plain.connector(host), host)
    try:
        arrange_paths(bundle_dir, environ)
        application = load_application(Bundle(bundle_dir), environ, log)
        concurrency = read_concurrency(environ)
        if environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            drive(client.restore())
    except (Exception, SystemExit) as error:
        return _give_up(client, failure_at_start(error), log)
    return serve(application, client, host, concurrency)


def serve(application: Application, client: RuntimeClient, host: str, concurrency: int) -> int:
    """Serve *application* on *concurrency* connections until the Runtime API is gone."""
    if application.needs_loop:
        client.drop()
        run: Callable[[Application, str, int], int] = import_module("fnkit.runtime.loop_async").run
        return run(application, host, concurrency)
    if concurrency > 1:
        run_threads: Callable[[Application, str, int], int] = import_module("fnkit.runtime.loop_threads").run
        return run_threads(application, host, concurrency)
    status = drive(work(client, application, Watcher().watch, enter))
    drive(application.close())
    return status if isinstance(status, int) else 1


class Watcher:
    """Watches connections from the first one on that is to be watched: a function that never streams pays nothing for it."""

    __slots__ = ("_attention",)

    def __init__(self) -> None:
        self._attention: Attention | None = None

    def watch(self, transport: Transport) -> AbstractContextManager[None]:
        """Return the context during which `PeerGone` is raised when the peer of *transport* goes away."""
        if self._attention is None:
            make: Callable[[], Attention] = import_module("fnkit.runtime.attention").Attention
            self._attention = make()
            self._attention.install()
        return self._attention.watch(transport)


def enter(invocation: Invocation) -> None:
    """Let the process know which trace it works for; for one invocation at a time."""
    if invocation.trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = invocation.trace_id
    elif "_X_AMZN_TRACE_ID" in os.environ:
        del os.environ["_X_AMZN_TRACE_ID"]


def read_concurrency(environ: Mapping[str, str]) -> int:
    """Return how many events this environment handles at a time. Raises `Failure` for what is no number from 1 on."""
    text = environ.get("FNKIT_CONCURRENCY", "") or "1"
    if not text.isdecimal() or int(text) < 1:
        raise Failure("Runtime.InvalidConfiguration", f"FNKIT_CONCURRENCY is {text!r}, it must be a number from 1 on")
    return int(text)


def _give_up(client: RuntimeClient, failure: Failure, log: Log) -> int:
    log.report(failure)
    try:
        drive(client.report_init_error(failure))
    except (OSError, ProtocolError, RuntimeGone) as error:
        sys.stderr.write(f"[fnkit] the Runtime API does not take the error: {error}\n")
    client.drop()
    return 1


def _write_lines_at_once() -> None:
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True, errors="backslashreplace")
