"""The emulator's end of a zygote: start environments, signal them, hear of their ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ZYGOTE = Path(__file__).with_name("zygote.py")


class Process(Protocol):
    """What hears about a started environment."""

    @property
    def id(self) -> str: ...

    def process_started(self, pid: int) -> None: ...

    def process_ended(self, status: int) -> None:
        """*status* is the exit code, or minus the number of the signal that killed it."""
        ...


class Launcher(Protocol):
    """Starts environments of one function."""

    def start(self, process: Process, environ: Mapping[str, str], log_fd: int) -> None: ...

    def signal(self, process: Process, number: int) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ZygoteCommand:
    """How a zygote is started: *python* runs it, *bundle* is the unpacked bundle, *modules* are imported before any fork."""

    python: str
    bundle: Path
    runtime: str
    handler: str
    fork: bool
    modules: tuple[str, ...]
    environ: Mapping[str, str]

    def arguments(self, control_fd: int) -> list[str]:
        """Return the command line; *control_fd* is the zygote's end of the socket."""
        flags = ["-I", "-S", "-u"]
        fork = "1" if self.fork and self.runtime == "own" else "0"
        return [
            *(self.python, *flags, str(ZYGOTE), "zygote", str(control_fd), str(self.bundle)),
            *(self.runtime, self.handler, fork, ",".join(self.modules)),
        ]


class ZygoteLauncher:
    """A Launcher over one zygote, which is started again should it die."""

    def __init__(self, command: ZygoteCommand, on_output: Callable[[str], None]) -> None:
        self._command = command
        self._on_output = on_output
        self._processes: dict[str, Process] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._received = b""
        self.ready = asyncio.Event()

    def prepare(self) -> None:
        """Start the zygote, which then imports what its forks will need."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            self._child = subprocess.Popen(
                self._command.arguments(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(self._command.environ),
                start_new_session=True,
            )
        self._control = ours
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, self._read_messages)
        assert self._child.stdout is not None
        os.set_blocking(self._child.stdout.fileno(), False)
        loop.add_reader(self._child.stdout, self._read_output)

    def start(self, process: Process, environ: Mapping[str, str], log_fd: int) -> None:
        if self._control is None:
            self.prepare()
        assert self._control is not None
        self._processes[process.id] = process
        message = json.dumps({"start": process.id, "environ": dict(environ)}).encode() + b"\n"
        socket.send_fds(self._control, [message], [log_fd])

    def signal(self, process: Process, number: int) -> None:
        if self._control is not None and process.id in self._processes:
            self._control.send(json.dumps({"signal": process.id, "number": number}).encode() + b"\n")

    async def close(self) -> None:
        """End the zygote and with it every environment; returns when it has gone."""
        self._hang_up()
        if self._child is None:
            return
        child, self._child = self._child, None
        try:
            await asyncio.to_thread(child.wait, 5)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()

    def _hang_up(self) -> None:
        loop = asyncio.get_running_loop()
        if self._control is not None:
            loop.remove_reader(self._control)
            self._control.close()
            self._control = None
        if self._child is not None and self._child.stdout is not None and not self._child.stdout.closed:
            loop.remove_reader(self._child.stdout)
            self._child.stdout.close()

    def _read_messages(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._lost()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._heed(json.loads(line))

    def _heed(self, message: Mapping[str, object]) -> None:
        if "ready" in message:
            self.ready.set()
        elif "started" in message:
            if (process := self._processes.get(str(message["started"]))) is not None:
                process.process_started(int(str(message["pid"])))
        elif (process := self._processes.pop(str(message["exited"]), None)) is not None:
            process.process_ended(int(str(message["status"])))

    def _lost(self) -> None:
        """The zygote has died: its environments died with it, and the next start begins another."""
        self._read_output()
        self._hang_up()
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
        self.ready.set()
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.process_ended(-signal.SIGKILL)

    def _read_output(self) -> None:
        if self._child is None or self._child.stdout is None or self._child.stdout.closed:
            return
        try:
            data = os.read(self._child.stdout.fileno(), 65536)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(self._child.stdout)
        for line in data.decode("utf-8", "replace").splitlines():
            self._on_output(line)
