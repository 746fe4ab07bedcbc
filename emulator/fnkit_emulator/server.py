"""The emulator as a process: gunicorn's arbiter over one worker that runs the ASGI application.

The arbiter is this process. It binds nothing and loads nothing: the socket is bound before, so that a port in use is a plain error, and
the bundles are unpacked before, so that a broken one is too. The worker is uvicorn's (httptools), see DESIGN.md for the numbers. Signals:
Ctrl-C or SIGTERM to the arbiter lets requests in flight finish, a second Ctrl-C does not. The worker dies with the arbiter, whatever
kills that, and everything else dies with the worker.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import ClassVar

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from fnkit.errors import EmulatorError
from fnkit_emulator.application import Emulator
from fnkit_emulator.cork import CorkedProtocol
from fnkit_emulator.credentials import with_credentials
from fnkit_emulator.deployed import Build, Deployed, unpack
from fnkit_emulator.journal import Happening, Journal
from fnkit_emulator.options import Options, check_host
from fnkit_emulator.sources.plan import Claim, SourcePlan, claim, places, plan_sources
from fnkit_emulator.zygote import die_with_parent

_BACKLOG = 2048
_MANY_FILES = 10_240


def serve(build: Build, options: Options, on_event: Journal) -> None:
    """Run the emulator over the bundles of *build* until it is told to end; *on_event* hears what happens, in a child process.

    EmulatorError if it cannot start, or ends by itself.
    """
    host = check_host(options.host)
    _raise_file_limit()
    on_event = _while_somebody_listens(on_event)
    sources = plan_sources(build.manifest, Path(options.queue_dir).absolute())
    options = replace(options, environment={**places(sources), **options.environment})
    options, remarks = with_credentials(options, sources.specs)
    sources = replace(sources, remarks=remarks)
    claimed = claim(sources) if sources.has_queues else None  # held by this process and its worker until both have ended
    with _bind(host, options.port) as listener, unpack(build, options) as deployed:
        name = f"[{host}]" if ":" in host else host
        base_url = f"http://{name}:{listener.getsockname()[1]}/"
        application = _Application(deployed, options, on_event, listener, base_url, build.manifest.entry.name, sources, claimed)
        try:
            _Arbiter(application).run()
        except SystemExit as ended:
            if ended.code:
                raise EmulatorError(
                    "the emulator's server process ended unexpectedly", hint="run it with -vv to see the server's own messages"
                ) from None


def _while_somebody_listens(journal: Journal) -> Journal:
    """Return *journal*, which falls silent when its reader has gone: that is no reason for requests to fail."""
    listening = True

    def tell(happening: Happening) -> None:
        nonlocal listening
        if listening:
            try:
                journal(happening)
            except BrokenPipeError:
                listening = False
            except OSError:  # the disk is full, and may have room again
                pass

    return tell


def _raise_file_limit() -> None:
    """Ask for as many open files as allowed: an environment takes five, a client one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Inherited by every connection. asyncio does so only for sockets whose protocol number is known.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
        # Without this two sockets could be bound to one port as long as neither listens.
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise _bind_error(host, port, error) from error
    return listener


def _bind_error(host: str, port: int, error: Exception) -> EmulatorError:
    where = f"{host}:{port}"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return EmulatorError(
            f"port {port} is in use", where=where, hint="stop what listens there, or choose another with --port (0: any free one)"
        )
    if number == errno.EACCES:
        return EmulatorError(f"port {port} needs privileges", where=where, hint="choose one above 1023 with --port")
    return EmulatorError(f"cannot listen: {error}", where=where, hint="choose another --host or --port")


class _Worker(UvicornWorker):  # type: ignore[misc]  # uvicorn_worker has no types
    """uvicorn's worker, which drains when it is told to end and dies with the arbiter."""

    CONFIG_KWARGS: ClassVar[dict[str, object]] = {
        "loop": "asyncio",
        "http": CorkedProtocol,
        "ws": "none",
        "lifespan": "on",
        "proxy_headers": False,
        "server_header": False,
        "date_header": True,
        "access_log": False,
        "timeout_graceful_shutdown": 1,
        "timeout_keep_alive": 75,
    }

    def init_process(self) -> None:
        # This process is a fork of the arbiter's: it must not unwind the arbiter's stack, which would clean up what the arbiter needs.
        status = 1
        try:
            die_with_parent(self.ppid)
            super().init_process()
            status = 0
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = _Server(self.config, self.wsgi)
        self._install_sigquit_handler()
        if self.wsgi.options.exit_with_stdin:
            threading.Thread(target=_end_with_stdin, args=(self.ppid,), daemon=True).start()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGQUIT: the second Ctrl-C. What runs is cut off; the zygotes see that the worker is gone and end everything."""
        os._exit(0)


class _Server(Server):
    """uvicorn's server; SIGTERM first drains the application. Ctrl-C of a terminal reaches the arbiter, which sends SIGTERM."""

    def __init__(self, config: object, app: _Callable) -> None:
        super().__init__(config)  # type: ignore[arg-type]  # the worker's configuration
        self._app = app
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and self._draining is None:
            loop = self._app.loop
            assert loop is not None
            loop.call_soon_threadsafe(self._begin_to_drain)

    def _begin_to_drain(self) -> None:
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        try:
            await self._app.emulator.drain()
        finally:
            self.should_exit = True


def _end_with_stdin(arbiter: int) -> None:
    while os.read(0, 65536):
        pass
    os.kill(arbiter, signal.SIGTERM)


class _Callable:
    """The ASGI callable that the worker runs; the emulator behind it belongs to the worker's event loop."""

    def __init__(self, emulator: Emulator, options: Options) -> None:
        self.emulator, self.options = emulator, options
        self.loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
        await self.emulator(scope, receive, send)  # type: ignore[arg-type]  # ASGI


class _Arbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's arbiter: Ctrl-C drains, and a worker that dies is not started again, for its workers died with it."""

    def handle_int(self) -> None:
        raise StopIteration

    def handle_hup(self) -> None:
        """The terminal has gone."""
        raise StopIteration

    def handle_usr2(self) -> None:
        """A second emulator beside this one has no use."""

    def spawn_workers(self) -> None:
        self.spawn_worker()

    def manage_workers(self) -> None:
        if self.worker_age:
            if not self.WORKERS:
                raise HaltServer("the server process ended", 1)
            return
        self.spawn_worker()


class _Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's view of the emulator: its settings, without a configuration file, and the callable."""

    def __init__(
        self,
        deployed: tuple[Deployed, ...],
        options: Options,
        journal: Journal,
        listener: socket.socket,
        base_url: str,
        entry: str,
        sources: SourcePlan,
        claimed: Claim | None,
    ) -> None:
        self._arguments = deployed, options, journal
        self._listener, self._base_url, self._entry = listener, base_url, entry
        self._sources, self._claimed = sources, claimed
        super().__init__()

    def load_config(self) -> None:
        _, options, _ = self._arguments
        settings = {
            "bind": f"fd://{os.dup(self._listener.fileno())}",  # gunicorn closes it
            "backlog": _BACKLOG,
            "workers": 1,
            "worker_class": _Worker,
            "timeout": 0,
            "graceful_timeout": int(options.drain_s) + 8,
            "loglevel": "debug" if options.verbose else "critical",
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            if name in self.cfg.settings:  # older gunicorns lack some
                self.cfg.set(name, value)

    def load(self) -> _Callable:
        deployed, options, journal = self._arguments
        emulator = Emulator(
            deployed,
            options,
            journal,
            base_url=self._base_url,
            entry=self._entry,
            sources=self._sources,
            claimed=self._claimed,
        )
        return _Callable(emulator, options)
