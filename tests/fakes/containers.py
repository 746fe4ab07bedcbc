"""The container of a function without a container: what its Dockerfile starts, run in the folder that its Dockerfile copies.

There need be no Docker. The `FROM`, `RUN` and `USER` lines are thus not tried; `ENV`, `WORKDIR`, `COPY` and `CMD` are.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.net import blocking
from fnkit.net.client import Client
from tests.fakes.ports import free_port

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Image:
    """What a Dockerfile says, as far as it can be run here."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    lines: tuple[str, ...] = field(repr=False)


def read_dockerfile(context: Path) -> Image:
    """Read the Dockerfile of the build context *context*."""
    lines = [line for line in (context / "Dockerfile").read_text("utf-8").splitlines() if line and not line.startswith("#")]
    words = {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}
    source, target = words["COPY"].split()
    assert target == "./", target
    assert words["WORKDIR"] == "/app"
    variables = dict(pair.split("=", 1) for pair in shlex.split(words["ENV"]))
    return Image(tuple(json.loads(words["CMD"])), variables, context / source, tuple(lines))


@dataclass(slots=True)
class RunningContainer:
    """The process of a container, its URL (with no slash at its end), and the file that it writes to."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def wait_for_line(self, text: str) -> None:
        """Wait until the container has written *text*."""
        wait_until(lambda: text in self.log.read_text("utf-8", "replace"), f"{text!r} in the log", self.log)


def wait_until(condition: object, what: str, log: Path) -> None:
    """Wait until *condition* holds; fail after a while with the *log*."""
    until = time.monotonic() + PATIENCE_S
    while not condition():  # type: ignore[operator]  # a callable
        assert time.monotonic() < until, f"not within {PATIENCE_S} s: {what}\n{log.read_text('utf-8', 'replace')}"
        time.sleep(0.02)


def start(image: Image, port: int, log: Path, environ: Mapping[str, str]) -> RunningContainer:
    """Start what *image* starts, on loopback and *port*; do not wait for it."""
    program = shutil.which(image.command[0], path=str(Path(sys.executable).parent))
    assert program is not None, "gunicorn is installed with the tests"
    variables = {
        "PATH": os.environ["PATH"],
        **image.environment,
        "PORT": str(port),
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}",  # the image listens on all addresses, a test does not
        **environ,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *image.command[1:]], cwd=image.folder, env=variables, stdout=output, stderr=subprocess.STDOUT
        )
    return RunningContainer(process, f"http://127.0.0.1:{port}", log)


@contextmanager
def container(context: Path, log: Path, environ: Mapping[str, str] | None = None, *, port: int = 0) -> Iterator[RunningContainer]:
    """Run the container of the build context *context* until it is ready; it gets SIGTERM in the end and has to leave with 0."""
    running = start(read_dockerfile(context), port or free_port(), log, environ or {})
    try:
        wait_until(lambda: running.process.poll() is not None or is_ready(running.url), "ready", log)
        assert running.process.poll() is None, log.read_text("utf-8", "replace")
        yield running
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(PATIENCE_S) == 0, log.read_text("utf-8", "replace")
    finally:
        running.process.kill()
        running.process.wait()


@contextmanager
def containers(
    contexts: Mapping[str, Path], entry: str, logs: Path, environ: Mapping[str, str] | None = None
) -> Iterator[dict[str, RunningContainer]]:
    """Run the containers of a graph, by function; *entry* is told where the others are."""
    with ExitStack() as stack:
        running: dict[str, RunningContainer] = {}
        for name in sorted(contexts, key=lambda name: name == entry):
            urls = {other: found.url for other, found in running.items()}
            more = {"FNKIT_SERVICE_URLS": json.dumps(urls)} if name == entry and urls else {}
            running[name] = stack.enter_context(container(contexts[name], logs / f"{name}.log", {**more, **(environ or {})}))
        yield running


def is_ready(url: str) -> bool:
    """Tell whether the container at *url* says that it is ready."""

    async def ask() -> bool:
        async with Client(blocking.connector()) as client:
            async with await client.request("GET", f"{url}/_fnkit/ready", timeout_s=10) as reply:
                return reply.status == 200

    try:
        ready: bool = blocking.run(ask())
    except Exception:  # nobody listens yet
        return False
    return ready
