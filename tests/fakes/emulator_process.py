"""`python -m fnkit emulate` as a process of its own, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fakes.patience import PATIENCE_S, wait_until

REPOSITORY = Path(__file__).parents[2]


class EmulatorProcess:
    """A running emulator: its URLs, and what it has said since."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ready = self.wait_for(lambda event: event["event"] == "ready")
        self.url: str = self.ready["url"]
        self.functions: dict[str, str] = self.ready["functions"]

    @property
    def pids(self) -> list[int]:
        """The ids of all processes below the emulator's, and its own."""
        found, parents = [self.process.pid], _parents()
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def wait_for(
        self, condition: Callable[[dict[str, Any]], bool], *, patience_s: float = PATIENCE_S, after: int = 0
    ) -> dict[str, Any]:
        """Return the first event, told before or yet to be told, for which *condition* holds; not one of the first *after* events."""
        for event in self.events[after:]:
            if condition(event):
                return event
        until = time.monotonic() + patience_s
        while (left := until - time.monotonic()) > 0:
            try:
                told = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if told is None:
                raise AssertionError(f"the emulator ended with {self.process.wait()}; it said {self.events}")
            self.events.append(told)
            if condition(told):
                return told
        raise AssertionError(f"not told within {patience_s} s; told: {self.events}")

    def told(self) -> list[dict[str, Any]]:
        """Return everything that it has told by now."""
        with contextlib.suppress(queue.Empty):
            while (event := self._lines.get_nowait()) is not None:
                self.events.append(event)
            self._lines.put(None)  # it has ended, which others want to know too
        return self.events

    def invocation(self, **fields: object) -> dict[str, Any]:
        """Return the first invocation whose *fields* are these."""
        return self.wait_for(
            lambda event: event["event"] == "invocation" and all(event.get(name) == value for name, value in fields.items())
        )

    def close(self) -> None:
        """Wait for an ended emulator and for all who write where it did: its environments end with it. Then close the pipes."""
        self.process.wait()
        self._reader.join(PATIENCE_S)
        assert not self._reader.is_alive(), "a process of an ended emulator is still there"
        _close_pipes(self.process)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):  # not the beginning of a line that a killed process had no time to end
                self._lines.put(json.loads(line))
        self._lines.put(None)


@contextmanager
def emulator(target: str | Path, *options: str, environ: Mapping[str, str] | None = None) -> Iterator[EmulatorProcess]:
    """Run the emulator over *target* on a free port; it is ended with SIGTERM, and its exit code must be 0 then."""
    with watched(start(target, *options, environ=environ)) as running:
        yield running
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(PATIENCE_S) == 0


@contextmanager
def watched(process: subprocess.Popen[str]) -> Iterator[EmulatorProcess]:
    """Wait until the started *process* is ready; it may end by itself, and is killed in the end if it has not."""
    running: EmulatorProcess | None = None
    try:
        running = EmulatorProcess(process)
        yield running
    finally:
        process.kill()
        process.wait()
        if running is None:
            _close_pipes(process)
        else:
            running.close()


def start(target: str | Path, *options: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the emulator, and do not wait for it. It works in the folder of *target*, where it keeps its queues."""
    folder = Path(target).absolute()
    return subprocess.Popen(
        [sys.executable, "-m", "fnkit", "emulate", str(folder), "--port", "0", "--json", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder if folder.is_dir() else folder.parent,
        env={**os.environ, **(environ or {})},
        start_new_session=True,
    )


def _close_pipes(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def wait_until_gone(pids: list[int]) -> None:
    """Wait until none of *pids* is a living process; fail after a while."""
    wait_until(lambda: not any(map(_alive, pids)), f"the end of {pids}")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _parents() -> dict[int, int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return parents
