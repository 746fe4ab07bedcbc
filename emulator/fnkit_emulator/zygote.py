"""The prepared process of one function: it has imported what environments need, and forks one whenever it is told to.

Run as a script, by its path, with `python -I -S` of the Python that the bundle is built for; so it imports the standard library only,
and nothing of the emulator. The emulator speaks to it over the socket whose number is its first argument. Each message is a JSON object
on a line of its own.

    emulator -> zygote   {"start": ID, "environ": {...}} with a file descriptor for stdout and stderr
                         {"signal": ID, "number": N}       to the environment's whole process group
    zygote -> emulator   {"ready": true, "fork": bool}     once, after the imports
                         {"started": ID, "pid": PID}
                         {"exited": ID, "status": STATUS}  as os.waitstatus_to_exitcode has it

One fork is made ahead of need and waits for its orders, so that a cold start does not pay for it. The user's own code is never imported
here: only in the environments, so that each of them runs it afresh, as a cold start does. When the socket ends, for whatever reason, the
zygote kills every process group that it has started, removes the function's folder, and leaves. On Linux the kernel kills the
environments too, should the zygote itself be killed.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import select
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1
_CALM_MS = 20  # without a command for so long, a spare process is forked
# For prctl, and for the first name that a socket connects to.
_OWN_NEEDS = ("ctypes", "encodings.idna")


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when *parent* ends; only Linux can."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # only where there is a prctl to call

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def preload(modules: list[str]) -> None:
    """Import *modules*; one that fails is left to the environments, where the failure is the user's to see."""
    for name in modules:
        try:
            __import__(name)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise


def may_fork() -> bool:
    """Tell whether this process has one thread only, so that a fork of it is whole."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        threading = sys.modules.get("threading")
        return threading is None or threading.active_count() == 1


def reseed() -> None:
    """Give the random generators that were seeded before the fork a state of their own."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def enter(log_fd: int, environ: dict[str, str]) -> None:
    """Make this process an environment: own output, own variables, unbuffered lines."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    for spare in {null, log_fd} - {0, 1, 2}:
        os.close(spare)
    os.environ.update(environ)
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def run_own(bundle: str) -> int:
    """Run the bundle's own loop until it ends; return the exit code."""
    if bundle not in sys.path:
        sys.path.insert(0, bundle)
    os.chdir(bundle)
    from fnkit.runtime.loop import main  # type: ignore[import-not-found,unused-ignore]  # the bundle's fnkit

    return main(bundle, os.environ) or 0


def environment(bundle: str, runtime: str, handler: str) -> int:
    """Run one environment in this process, started afresh rather than forked."""
    die_with_parent(int(os.environ.pop("FNKIT_ZYGOTE")))
    if runtime == "own":
        return run_own(bundle)
    os.chdir(bundle)
    return os.execv(sys.executable, [sys.executable, "-u", "-m", "awslambdaric", handler])  # noqa: S606 - no shell is meant


class Zygote:
    """The loop of the prepared process."""

    def __init__(self, control: socket.socket, bundle: str, runtime: str, handler: str, fork: bool) -> None:
        self.control = control
        self.bundle, self.runtime, self.handler, self.fork = bundle, runtime, handler, fork
        self.pids: dict[int, str] = {}  # environments that have not been waited for
        self.buffer = b""
        self.fds: list[int] = []
        self.spare: tuple[int, socket.socket] | None = None  # a fork that waits for its orders
        self.wake_read, self.wake_write = os.pipe()
        for fd in (self.wake_read, self.wake_write):
            os.set_blocking(fd, False)

    def run(self) -> None:
        """Serve commands until the emulator goes away."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        self.say({"ready": True, "fork": self.fork})
        poller = select.poll()
        poller.register(self.control, select.POLLIN)
        poller.register(self.wake_read, select.POLLIN)
        while True:
            ready = poller.poll(_CALM_MS if self.fork and self.spare is None else None)
            if not ready:
                self.fork_a_spare()
            for fd, _ in ready:
                if fd == self.wake_read:
                    self.drain_wakeups()
                elif not self.read_commands():
                    return
            self.reap()

    def drain_wakeups(self) -> None:
        try:
            while os.read(self.wake_read, 512):
                pass
        except BlockingIOError:
            pass

    def read_commands(self) -> bool:
        try:
            data, fds, _, _ = socket.recv_fds(self.control, 65536, 16)
        except (ConnectionError, InterruptedError):
            return False
        if not data:
            return False
        self.fds += fds
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            self.obey(json.loads(line))
        return True

    def obey(self, command: dict) -> None:  # type: ignore[type-arg]  # JSON
        if "start" in command:
            log_fd = self.fds.pop(0)
            try:
                pid = self.start(log_fd, command["environ"])
            except OSError as error:  # no more processes, no more memory
                os.write(log_fd, f"no process can be started: {error}\n".encode())
                self.say({"exited": command["start"], "status": 1})
                return
            finally:
                os.close(log_fd)
            self.pids[pid] = command["start"]
            self.say({"started": command["start"], "pid": pid})
            return
        for pid, name in self.pids.items():
            if name == command["signal"]:
                self.signal_group(pid, command["number"])

    def start(self, log_fd: int, environ: dict[str, str]) -> int:
        """Start an environment; return its process id."""
        if not self.fork:
            return self.spawn(log_fd, {**environ, "FNKIT_ZYGOTE": str(os.getpid())})
        orders = json.dumps(environ).encode() + b"\n"
        while True:
            pid, channel = self.spare or self.fork_waiting()
            self.spare = None
            with channel, contextlib.suppress(BrokenPipeError):  # a spare may have been killed
                socket.send_fds(channel, [orders], [log_fd])
                return pid

    def fork_a_spare(self) -> None:
        """Fork ahead of need, while nothing else is to be done: the next start then costs no fork."""
        with contextlib.suppress(OSError):
            self.spare = self.fork_waiting()

    def fork_waiting(self) -> tuple[int, socket.socket]:
        """Fork a process that waits for its orders; return its id and the socket to give them by."""
        parent = os.getpid()
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid:
            theirs.close()
            self.own_group(pid)
            return pid, ours
        code = 1
        try:
            ours.close()
            self.leave_zygote(parent)
            code = self.follow(theirs)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):
                    stream.flush()
            os._exit(code & 0xFF)

    def leave_zygote(self, parent: int) -> None:
        """Give back what is the zygote's, in a fork of it."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)
        die_with_parent(parent)
        for fd in (self.wake_read, self.wake_write, *self.fds):
            os.close(fd)
        self.control.close()

    def follow(self, channel: socket.socket) -> int:
        """Wait for the orders, and be the environment that they describe; return the exit code."""
        with channel:
            orders, fds, _, _ = socket.recv_fds(channel, 65536, 1)
            while orders and not orders.endswith(b"\n"):
                orders += channel.recv(65536)
        if not orders:
            return 0
        enter(fds[0], json.loads(orders))
        reseed()
        return run_own(self.bundle)

    def spawn(self, log_fd: int, environ: dict[str, str]) -> int:
        import subprocess  # only where a fresh interpreter is asked for

        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-u", __file__, "environment", self.bundle, self.runtime, self.handler],
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            env={**os.environ, **environ},
            process_group=0,
        )
        child.returncode = 0  # reaped here, not by the module
        return child.pid

    def own_group(self, pid: int) -> None:
        # The child does the same; whoever is first, no signal to the group can come too early.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)

    def reap(self) -> None:
        while self.pids or self.spare:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if self.spare is not None and self.spare[0] == pid:
                self.spare[1].close()
                self.spare = None
            name = self.pids.pop(pid, None)
            if name is not None:
                # What the environment started and left behind goes with it.
                self.signal_group(pid, signal.SIGKILL)
                self.say({"exited": name, "status": os.waitstatus_to_exitcode(status)})

    def signal_group(self, pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)

    def say(self, message: dict) -> None:  # type: ignore[type-arg]  # JSON
        with contextlib.suppress(OSError):  # the emulator has gone; the next read says so
            self.control.sendall(json.dumps(message).encode() + b"\n")

    def end(self) -> None:
        """Kill what was started, wait for it, and remove the function's folder: the unpacked bundle and the environments' own."""
        pids = [*self.pids, *([self.spare[0]] if self.spare else [])]
        for pid in pids:
            self.signal_group(pid, signal.SIGKILL)
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        remove(os.path.dirname(self.bundle))


def remove(root: str) -> None:
    """Remove the folder *root*, its read-only folders included, and its parent when that is empty then. Another may do so too."""
    for folder, _, _ in os.walk(root):
        with contextlib.suppress(FileNotFoundError):
            os.chmod(folder, 0o700)
    for folder, folders, files in os.walk(root, topdown=False):
        for name in [*files, *folders]:
            path = os.path.join(folder, name)
            with contextlib.suppress(FileNotFoundError):
                if name in files or os.path.islink(path):
                    os.unlink(path)
                else:
                    os.rmdir(path)
    with contextlib.suppress(OSError):
        os.rmdir(root)
        os.rmdir(os.path.dirname(root))


def main(arguments: list[str]) -> None:
    """Run as a zygote ("zygote FD BUNDLE RUNTIME HANDLER FORK MODULES") or as one environment of it."""
    if arguments[0] == "environment":
        sys.exit(environment(*arguments[1:4]))
    fd, bundle, runtime, handler, fork, modules = arguments[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=int(fd))
    control.set_inheritable(False)
    try:
        if fork == "1":
            sys.path.insert(0, bundle)
            preload([*_OWN_NEEDS, *(name for name in modules.split(",") if name)])
            gc.collect()
            gc.freeze()  # what is here already is no business of the environments' garbage collectors
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        zygote = Zygote(control, bundle, runtime, handler, fork == "1" and may_fork())
        try:
            zygote.run()
        finally:
            zygote.end()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
