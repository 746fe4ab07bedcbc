"""The environments of one function: who gets the next event, when another is started, when one is ended.

An event goes to the environment that was free last, so that the others grow old and are ended. Where none is free it waits, and another
environment is started unless enough are on their way: starting ones, and for a moment those whose worker has answered and has not asked
again yet, or is new beside the first worker of its environment. Where the function may have no more environments the event is refused
(`Throttled`), as Lambda does.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque

from fnkit.errors import FnkitError
from fnkit_emulator.deployed import Deployed
from fnkit_emulator.environment import Environment
from fnkit_emulator.invocation import Fault, Invocation
from fnkit_emulator.journal import Journal, LogLine, Notice
from fnkit_emulator.launcher import Launcher
from fnkit_emulator.options import Options


class Throttled(FnkitError):
    """The function has as many events in flight as it may have."""


class Pool:
    """The environments of *deployed*. `submit` hands an event over, now or as soon as an environment is free."""

    def __init__(self, deployed: Deployed, options: Options, launcher: Launcher, journal: Journal) -> None:
        self.deployed = deployed
        self._unpacked = f'File "{deployed.root}/'
        self.environments: dict[str, Environment] = {}
        self._options, self._launcher, self._journal = options, launcher, journal
        self._free: dict[str, Environment] = {}
        self._waiting: deque[Invocation] = deque()
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._recheck: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def in_flight(self) -> int:
        """How many events the function has, waiting ones included."""
        return len(self._waiting) + sum(len(environment.running) for environment in self.environments.values())

    def submit(self, invocation: Invocation) -> None:
        """Have *invocation* handled; Throttled if the function may have no more events."""
        if self._free and not self._waiting:
            self._give(invocation)
            return
        if self._closed or self.in_flight >= self.deployed.limit * self.deployed.function.concurrency:
            raise Throttled(f"function {self.deployed.name!r} has all the events it may have at a time")
        self._waiting.append(invocation)
        self._scale_out()

    async def close(self) -> None:
        """End every environment, and return when all have gone."""
        self._closed = True
        for timer in (self._recheck, self._watch):
            if timer is not None:
                timer.cancel()
        self._fail_waiting(Fault("Sandbox.Failure", "the emulator ends"))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._launcher.close()
        for environment in list(self.environments.values()):
            environment.process_ended(-9)
        await asyncio.sleep(0)  # connections that are just being accepted begin, and are closed

    def reap_idle(self) -> None:
        """End environments that have had nothing to do for longer than the option says."""
        oldest = time.monotonic() - self._options.idle_s
        for environment in list(self._free.values()):
            if not environment.running and environment.idle_since < oldest:
                del self._free[environment.id]
                environment.stop()

    # ---- what environments tell

    def can_take_more(self, environment: Environment) -> None:
        self._free[environment.id] = environment
        while self._waiting and self._free:
            self._give(self._waiting.popleft())

    def has_started(self, environment: Environment) -> None:
        self._watch_memory()

    def has_ended(self, environment: Environment, fault: Fault | None) -> None:
        self.environments.pop(environment.id, None)
        self._free.pop(environment.id, None)
        if self._closed:
            return
        if fault is not None:
            self._failed_start(fault, environment.init_ms)
        self._scale_out()

    def wrote(self, line: str) -> None:
        """Tell a *line* of the log; in a traceback the user's files have their paths in the project."""
        self._journal(LogLine(self.deployed.name, line.replace(self._unpacked, 'File "')))

    # ---- decisions

    def _give(self, invocation: Invocation) -> None:
        while self._free:
            name, environment = self._free.popitem()
            if not environment.free:
                continue
            environment.hand_over(invocation)
            if environment.free:
                self._free[name] = environment
            self._watch_memory()
            return
        self._waiting.appendleft(invocation)
        self._scale_out()

    def _scale_out(self) -> None:
        """Start as many environments as the waiting events need beyond those that are on their way."""
        each = self.deployed.function.concurrency
        live = [environment for environment in self.environments.values() if not environment.retiring]
        coming = sum(each for environment in live if environment.state == "starting")
        returning = sum(min(environment.returning, each) for environment in live)
        missing = len(self._waiting) - coming - returning
        room = self.deployed.limit - len(self.environments)
        for _ in range(min(-(-missing // each), room)):
            self._start_environment()
        if self._waiting and returning and self._recheck is None:
            self._recheck = asyncio.get_running_loop().call_later(self._options.return_s, self._stop_hoping)

    def _stop_hoping(self) -> None:
        self._recheck = None
        for environment in self.environments.values():
            environment.returning = 0
        self._scale_out()

    def _start_environment(self) -> None:
        name = f"{self.deployed.name}-{next(self._numbers)}"
        environment = Environment(name, self.deployed, self._options, self._launcher, self)
        self.environments[name] = environment
        task = asyncio.get_running_loop().create_task(self._start(environment))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._watch_memory()

    async def _start(self, environment: Environment) -> None:
        try:
            await environment.start()
        except OSError as error:
            self._journal(Notice(f"no environment can be started: {error}", self.deployed.name, "failure"))
            environment.process_ended(-9)

    def _failed_start(self, fault: Fault, init_ms: float) -> None:
        self._journal(Notice(describe(fault, self.deployed), self.deployed.name, "failure"))
        for _ in range(min(self.deployed.function.concurrency, len(self._waiting))):
            invocation = self._waiting.popleft()
            invocation.cold, invocation.init_ms = True, init_ms
            invocation.finish(fault)

    def _fail_waiting(self, fault: Fault) -> None:
        while self._waiting:
            self._waiting.popleft().finish(fault)

    def _watch_memory(self) -> None:
        if self._watch is None and not self._closed:
            self._watch = asyncio.get_running_loop().call_later(self._options.memory_watch_s, self._check_memory)

    def _check_memory(self) -> None:
        self._watch = None
        busy = [
            environment for environment in self.environments.values() if environment.running or environment.state == "starting"
        ]
        for environment in busy:
            environment.check_memory()
        if busy:
            self._watch_memory()


def describe(fault: Fault, deployed: Deployed) -> str:
    """Return *fault* for people: what happened, and where in the user's files, by their paths in the project."""
    lines = [f"{fault.type}: {fault.message}"]
    root = f"{deployed.root}/"
    for entry in fault.stack:
        lines += [line.replace(root, "") for line in entry.rstrip("\n").split("\n")]
    return "\n  ".join(lines)
