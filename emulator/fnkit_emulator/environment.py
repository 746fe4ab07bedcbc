"""One execution environment: a worker process, the port it polls, its output, and the events it has.

It is born `starting`, becomes `ready` with its first poll, and `ended` when its process has gone. In between it is told events through
its waiting polls: one at a time, or as many as it polls for. What goes wrong is turned into faults of exactly the events it had: the
process ends (`Runtime.ExitError`), an event takes too long (`Sandbox.Timeout`; the process is killed), memory runs out, the start fails.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from fnkit_emulator import limits
from fnkit_emulator.deployed import Deployed
from fnkit_emulator.invocation import Fault, Invocation
from fnkit_emulator.launcher import Launcher
from fnkit_emulator.listening import stop_listening
from fnkit_emulator.options import Options
from fnkit_emulator.runtime_api import RuntimeConnection
from fnkit_emulator.zygote import remove

_REMEMBERED = 256
_LOG_READS = 16  # of 64 KB, so that a worker that prints without end does not hold up the others
_LONGEST_LINE = 256 * 1024
_TERM_GRACE_S = 0.3
_DEATH_NOTICE_S = 0.05
_SAMPLE_S = 0.02
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Owner(Protocol):
    """The pool that an environment belongs to."""

    def can_take_more(self, environment: Environment) -> None: ...

    def has_started(self, environment: Environment) -> None: ...

    def has_ended(self, environment: Environment, fault: Fault | None) -> None:
        """*fault* is given where the environment ended before its first poll."""
        ...

    def wrote(self, line: str) -> None: ...


class Environment:
    """See the module's text. All methods run in the event loop."""

    def __init__(self, name: str, deployed: Deployed, options: Options, launcher: Launcher, owner: Owner) -> None:
        self.id = name
        self.state: Literal["starting", "ready", "ended"] = "starting"
        self.running: dict[str, Invocation] = {}
        self.idle_since = time.monotonic()
        self.init_ms = 0.0
        self.used = False  # whether it has had an event
        self.retiring = False  # takes no more events
        self.returning = 0  # workers that have not polled yet: their event has ended, or they are new beside the first of them
        self.max_rss_mb = 0
        self._sampled_at = 0.0
        self.pid = 0
        self._deployed, self._options, self._launcher, self._owner = deployed, options, launcher, owner
        self._polls: deque[RuntimeConnection] = deque()
        self._finished: deque[str] = deque(maxlen=_REMEMBERED)
        self._server: asyncio.Server | None = None
        self._connections: set[RuntimeConnection] = set()
        self._log_fd = -1
        self._log_rest = b""
        self._log_tail = b""
        self._statm_fd = -1
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._init_fault: Fault | None = None
        self._end_fault: Fault | None = None
        self._folder = Path()
        self._born = time.perf_counter()

    @property
    def function_arn(self) -> str:
        return self._deployed.arn

    @property
    def free(self) -> bool:
        """Whether an event can be handed over now."""
        return bool(self._polls) and not self.retiring and self.state == "ready"

    # ---- beginning and end

    async def start(self) -> None:
        """Listen on a port of its own and have the process started."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connect, "127.0.0.1", 0, backlog=max(16, self._deployed.function.concurrency)
        )
        port = self._server.sockets[0].getsockname()[1]
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self.id}-", dir=self._deployed.root.parent))
        self._log_fd, write_fd = os.pipe()
        os.set_blocking(self._log_fd, False)
        loop.add_reader(self._log_fd, self.read_log)
        environ = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{self.id}",
            "TMPDIR": str(self._folder),
        }
        self._born = time.perf_counter()
        try:
            self._launcher.start(self, environ, write_fd)
        finally:
            os.close(write_fd)
        # On AWS a start of more than 10 s is broken off and made again under the function's timeout; here it goes on instead.
        limit = max(self._options.init_limit_s, float(self._deployed.function.timeout_s))
        self._timers["init"] = loop.call_later(limit, self._init_timed_out, limit)

    def stop(self) -> None:
        """Ask the process to end, and kill it soon after."""
        self.retiring = True
        self._launcher.signal(self, signal.SIGTERM)
        self._timers["stop"] = asyncio.get_running_loop().call_later(_TERM_GRACE_S, self.kill, None)

    def kill(self, fault: Fault | None) -> None:
        """Kill the process group; *fault* is then what its events fail with."""
        if self.state == "ended":
            return
        self.retiring = True
        self._end_fault = self._end_fault or fault
        self._launcher.signal(self, signal.SIGKILL)

    def process_started(self, pid: int) -> None:
        self.pid = pid
        try:
            self._statm_fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY)
        except OSError:
            self._statm_fd = -1  # no Linux, or already gone

    def process_ended(self, status: int) -> None:
        if self.state == "ended":
            return
        was_starting, self.state = self.state == "starting", "ended"
        if was_starting:
            self.init_ms = (time.perf_counter() - self._born) * 1000
        while self._log_fd >= 0 and self.read_log():
            pass
        fault = self._end_fault or self._init_fault or exit_fault(status)
        for invocation in list(self.running.values()):
            invocation.finish(fault)
        self._release()
        self._owner.has_ended(self, fault if was_starting else None)

    def _release(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for connection in list(self._connections):
            connection.close()
        if self._server is not None:
            stop_listening(self._server)
            self._server = None
        if self._log_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._log_fd)
            os.close(self._log_fd)
            self._log_fd = -1
        if self._statm_fd >= 0:
            os.close(self._statm_fd)
            self._statm_fd = -1
        if self._folder != Path() and self._folder.exists():
            remove(str(self._folder))

    # ---- the Runtime API's side

    def _connect(self) -> RuntimeConnection:
        connection = RuntimeConnection(self)
        self._connections.add(connection)
        if self.state == "ended":  # accepted before the port was closed
            connection.close()
        return connection

    def poll(self, connection: RuntimeConnection) -> bool:
        most = self._deployed.function.concurrency
        if self.state == "ended" or len(self.running) + len(self._polls) >= most:
            return False
        self._polls.append(connection)
        self.returning = max(0, self.returning - 1)
        if self.state == "starting":
            self.state = "ready"
            self.returning = most - 1
            self.init_ms = (time.perf_counter() - self._born) * 1000
            self._timers.pop("init").cancel()
            self._owner.has_started(self)
        self._stop_timer("stall")
        self._owner.can_take_more(self)
        return True

    def unpoll(self, connection: RuntimeConnection) -> None:
        self._connections.discard(connection)
        if connection in self._polls:
            self._polls.remove(connection)

    def lost(self, connection: RuntimeConnection) -> None:
        self._connections.discard(connection)

    def find(self, request_id: str) -> Invocation | None:
        return self.running.get(request_id) or (_DONE if request_id in self._finished else None)

    def broke_off(self, invocation: Invocation) -> None:
        # A process that dies loses its connections first; its end says more than they do.
        fault = Fault("Runtime.TruncatedResponse", "the runtime closed its connection in mid-answer")
        asyncio.get_running_loop().call_later(_DEATH_NOTICE_S, invocation.finish, fault)

    def failed_to_start(self, fault: Fault) -> None:
        self._init_fault = fault
        self.kill(fault)

    def _init_timed_out(self, limit: float) -> None:
        self.kill(timeout_fault("init", limit))

    # ---- events

    def hand_over(self, invocation: Invocation) -> None:
        """Give *invocation* to the worker; only while `free`."""
        timeout_s = self._deployed.function.timeout_s
        invocation.cold, self.used = not self.used, True
        if invocation.cold:
            invocation.init_ms = self.init_ms
        self.running[invocation.request_id] = invocation
        if self._deployed.function.concurrency == 1:
            self._log_tail = b""
        invocation.hand_over(timeout_s=timeout_s, on_finish=self._event_ended)
        self._timers[invocation.request_id] = asyncio.get_running_loop().call_later(timeout_s, self._event_timed_out, invocation)
        self._polls.popleft().hand_out(invocation)

    def _event_timed_out(self, invocation: Invocation) -> None:
        fault = timeout_fault(invocation.request_id, self._deployed.function.timeout_s)
        if self._deployed.function.concurrency == 1:
            self.kill(fault)
        else:
            # The others of a shared environment go on; it is replaced when they are done.
            self.retiring = True
        invocation.finish(fault)

    def _event_ended(self, invocation: Invocation) -> None:
        request_id = invocation.request_id
        self.running.pop(request_id, None)
        self._stop_timer(request_id)
        self._finished.append(request_id)
        self.read_log()
        invocation.log_tail = self._log_tail
        self.idle_since = time.monotonic()
        self._sample_memory(self.idle_since)
        invocation.memory_mb = self.max_rss_mb
        if self.state != "ready":
            return
        if self.retiring and not self.running:
            self.kill(None)
        elif not self.retiring:
            self.returning += 1
            if invocation.abandoned and self._deployed.function.concurrency == 1:
                loop = asyncio.get_running_loop()
                self._timers["stall"] = loop.call_later(self._options.stall_s, self._stalled)

    def _stalled(self) -> None:
        self._owner.wrote(
            f"did not stop within {self._options.stall_s:g} s after its client had left; the environment is replaced"
        )
        self.kill(None)

    def _stop_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    # ---- memory and output

    def rss_mb(self) -> int:
        """Return the process's resident memory in MB now; 0 where the system does not tell."""
        if self._statm_fd < 0:
            return 0
        try:
            return int(os.pread(self._statm_fd, 128, 0).split()[1]) * _PAGE // limits.MIB
        except (OSError, IndexError):
            return 0

    def _sample_memory(self, now: float) -> None:
        # Between samples the watch of busy environments sees what matters; a look at /proc for every event would cost it a tenth.
        if now - self._sampled_at > _SAMPLE_S:
            self._sampled_at = now
            self.max_rss_mb = max(self.max_rss_mb, self.rss_mb())

    def check_memory(self) -> None:
        """Kill the process if it has more memory than the function may have."""
        used, allowed = self.rss_mb(), self._deployed.function.memory_mb
        self.max_rss_mb = max(self.max_rss_mb, used)
        if used > allowed:
            self.kill(
                Fault("Runtime.ExitError", f"Runtime exited with error: signal: killed (out of memory: {used} of {allowed} MB)")
            )

    def read_log(self) -> bool:
        """Take what the process has written so far, and tell the lines; True if there is more."""
        for _ in range(_LOG_READS):
            if self._log_fd < 0:
                return False
            try:
                data = os.read(self._log_fd, 65536)
            except BlockingIOError:
                return False
            if not data:
                self._end_of_log()
                return False
            self._log_tail = (self._log_tail + data)[-limits.LOG_TAIL :]
            *lines, self._log_rest = (self._log_rest + data).split(b"\n")
            if len(self._log_rest) > _LONGEST_LINE:
                lines, self._log_rest = [*lines, self._log_rest], b""
            for line in lines:
                self._owner.wrote(line.decode("utf-8", "replace"))
        return True

    def _end_of_log(self) -> None:
        asyncio.get_running_loop().remove_reader(self._log_fd)
        os.close(self._log_fd)
        self._log_fd = -1
        if self._log_rest:
            self._owner.wrote(self._log_rest.decode("utf-8", "replace"))
            self._log_rest = b""


_DONE = Invocation(b"")
_DONE.finish()


def timeout_fault(request_id: str, seconds: float) -> Fault:
    """Return the fault of an event that took longer than *seconds*."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return Fault("Sandbox.Timeout", f"{now} {request_id} Task timed out after {seconds:.2f} seconds")


def exit_fault(status: int) -> Fault:
    """Return the fault of the events of a process that ended with *status* (minus the signal's number)."""
    how = f"exit status {status}" if status >= 0 else f"signal: {_SIGNAL_NAMES.get(-status, -status)}"
    return Fault("Runtime.ExitError", f"Runtime exited with error: {how}")


_SIGNAL_NAMES = {
    int(signal.SIGKILL): "killed",
    int(signal.SIGSEGV): "segmentation fault",
    int(signal.SIGABRT): "aborted",
    int(signal.SIGTERM): "terminated",
}
