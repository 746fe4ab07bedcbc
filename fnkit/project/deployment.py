"""What `fn.deploy()` starts: an emulator that lives as long as this process, or functions on AWS."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from fnkit.errors import (
    BundleError,
    CredentialsError,
    DeployError,
    EmulatorError,
    FnkitError,
    InvokeError,
    LoadError,
    ProblemsError,
    UsageError,
)
from fnkit.project.call import call_url, is_listening
from fnkit.project.loaded import Loaded
from fnkit.project.processes import own_environment, own_python

_END_TIMEOUT_S = 10.0
_REFUSALS: Mapping[str, type[FnkitError]] = {
    error.__name__: error for error in (BundleError, CredentialsError, DeployError, EmulatorError, LoadError, UsageError)
}


class Deployment:
    """A function that can be called at *url*; *process* is the emulator that this process started, if it did."""

    def __init__(self, url: str, process: _Emulator | None = None) -> None:
        self.url = url
        self._process = process

    def invoke(self, path: str, body: object, method: str | None, headers: Mapping[str, str] | None, timeout_s: float) -> object:
        """Call the function and return its whole answer: parsed if it is JSON, bytes otherwise."""
        if self._process is not None and self._process.ended:
            raise InvokeError(
                f"the emulator has ended: {self._process.last_words()}", where=self.url, hint="call fn.deploy() again"
            )
        return call_url(self.url, path, body, method=method, headers=headers or {}, timeout_s=timeout_s)

    def stop(self) -> int:
        """End what this process started; return the port that it listened on, 0 if it started nothing."""
        if self._process is None:
            return 0
        self._process.stop()
        return urllib.parse.urlsplit(self.url).port or 0


def deploy(loaded: Loaded, *, target: str, environ: Mapping[str, str], secrets: Mapping[str, str], port: int = 0) -> Deployment:
    """Start *loaded* and return where it listens. EmulatorError or DeployError says why it could not be started."""
    if target == "aws":
        if secrets:
            warnings.warn(
                f"secrets stay on this machine: {', '.join(secrets)} must be given to the functions on AWS", stacklevel=3
            )
        return Deployment(_deploy_to_aws(loaded, environ))
    running = environ.get("FNKIT_EMULATOR_URL", "")
    if running:
        if not is_listening(running):
            raise EmulatorError(
                "no emulator answers there", where=running, hint="start one with `fnkit emulate`, or unset FNKIT_EMULATOR_URL"
            )
        return Deployment(running)
    emulator = _Emulator(loaded, {**environ, **secrets}, tuple(secrets), port)
    return Deployment(emulator.url, emulator)


class _Emulator:
    """A `fnkit emulate` of our own: it ends when this process does, because its standard input ends then."""

    def __init__(self, loaded: Loaded, environ: Mapping[str, str], shared: tuple[str, ...], port: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fnkit-deploy-")
        path = Path(self._folder.name)
        (path / "loaded.json").write_text(loaded.to_json(), encoding="utf-8")
        command = own_python("fnkit", "emulate", str(path / "loaded.json"), "--port", str(port), "--json", "--exit-with-stdin")
        for name in shared:
            command += ["--env", name]
        self._errors = (path / "stderr.txt").open("w+b")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=own_environment(environ)
        )
        atexit.register(self.stop)
        try:
            self.url = self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        self._reader = threading.Thread(target=_show, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether the emulator has ended by itself."""
        return self._process.poll() is not None

    def last_words(self) -> str:
        """Return the last lines that the emulator wrote for people."""
        if self._errors.closed:
            return "it was stopped"
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return "\n".join(lines[-20:]) or f"exit code {self._process.poll()}"

    def stop(self) -> None:
        """End the emulator and wait for it."""
        atexit.unregister(self.stop)
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if hasattr(self, "_reader"):
            self._reader.join(_END_TIMEOUT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
        self._folder.cleanup()

    def _wait_until_ready(self) -> str:
        """Return the URL of the ready line; building may take long, so only the emulator's end ends the waiting."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = _event_of(line)
            if event.get("event") == "ready":
                return str(event["url"])
            if event.get("event") == "error":
                raise _refusal(event)
        self._process.wait()
        raise EmulatorError("the emulator ended before it was ready", hint=self.last_words())


def _deploy_to_aws(loaded: Loaded, environ: Mapping[str, str]) -> str:
    """Deploy with the command, and return the URL that it reports."""
    with tempfile.TemporaryDirectory(prefix="fnkit-deploy-") as folder:
        path = Path(folder) / "loaded.json"
        path.write_text(loaded.to_json(), encoding="utf-8")
        command = own_python("fnkit", "deploy", str(path), "--json")
        done = subprocess.run(command, stdout=subprocess.PIPE, env=own_environment(environ), check=False)
    reported = [_event_of(line) for line in done.stdout.splitlines()]
    for event in reported:
        if event.get("event") == "error":
            raise _refusal(event)
    urls = [str(event["url"]) for event in reported if event.get("url")]
    if done.returncode or not urls:
        raise DeployError(f"fnkit deploy ended with exit code {done.returncode}", hint="what it said stands above")
    return urls[-1]


def _event_of(line: bytes) -> dict[str, object]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _refusal(event: Mapping[str, object]) -> FnkitError:
    """Return the error that the command told, as an error of this process."""
    kind = _REFUSALS.get(str(event.get("type")), FnkitError)
    if event.get("type") == ProblemsError.__name__:
        kind = UsageError
    return kind(str(event.get("message")), where=str(event.get("where", "")), hint=str(event.get("hint", "")))


def _show(lines: IO[bytes]) -> None:
    """Show what the functions print, each line with the function's name, until the emulator ends."""
    for line in lines:
        event = _event_of(line)
        if event.get("event") == "log":
            sys.stderr.write(f"{event.get('function')} | {event.get('line')}\n")
