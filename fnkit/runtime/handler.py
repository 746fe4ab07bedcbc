"""The handler of the managed Python runtime: `fnkit.runtime.handler.handler`.

Importing this module loads the function: what is wrong with it is raised here, so that the managed runtime reports it as an error of the
start. `FNKIT_STREAM_RUNTIME=off` leaves the managed client as it is; then, and where it is not as expected, answers are buffered.
"""

from __future__ import annotations

import os
import sys

from fnkit.lean import dumps, loads
from fnkit.runtime.invocation import Whole
from fnkit.runtime.loading import Bundle, load_application
from fnkit.runtime.logs import Log
from fnkit.runtime.managed import ManagedHost, Raw, enable_streaming


def handler(event: object, context: object) -> object:
    """Answer one event of the managed runtime."""
    if isinstance(event, Raw):
        return _host.handle(event.payload, context, event.receipt)
    answer = _host.handle(dumps(event).encode(), context, "")
    assert isinstance(answer, Whole), "nothing is streamed where the managed client is left as it is"
    return loads(answer.body)


def _start() -> ManagedHost:
    log = Log(os.environ)
    bootstrap = sys.modules.get("awslambdaric.bootstrap")
    if os.environ.get("FNKIT_STREAM_RUNTIME", "patch") == "off":
        complaint = "it is switched off by FNKIT_STREAM_RUNTIME"
    elif bootstrap is None:
        complaint = "this is not the managed Python runtime"
    else:
        complaint = enable_streaming(bootstrap, handler)
    if complaint and os.environ.get("FNKIT_RESPONSE_MODE") == "streaming":
        log.warn(f"answers are buffered, not streamed: {complaint}")
    root = os.environ.get("LAMBDA_TASK_ROOT") or os.getcwd()
    if root not in sys.path:
        sys.path.insert(0, root)
    application = load_application(Bundle(root), os.environ, log, streams=not complaint)
    return ManagedHost(application, os.environ.get("AWS_LAMBDA_RUNTIME_API", ""))


_host = _start()
