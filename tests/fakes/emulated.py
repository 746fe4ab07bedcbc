"""Builds whose bundles hold the stand-in worker, and the emulator's application in the test's own process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fnkit.manifest import Flow, Function, Manifest
from fnkit_emulator.application import Emulator
from fnkit_emulator.deployed import unpack
from fnkit_emulator.journal import Happening, Invoked, LogLine, Notice
from fnkit_emulator.options import Options

WORKER = Path(__file__).with_name("emulated_worker.py")
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True, slots=True)
class FakeBundle:
    """A zip with the stand-in worker."""

    function: Function
    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class FakeBuild:
    """A placed manifest and its bundles."""

    manifest: Manifest
    bundles: tuple[FakeBundle, ...]


def entry(name: str = "graph", **options: Any) -> Function:
    """Return an entry function."""
    return replace(Function(name=name, kind="entry", timeout_s=20), **options)


def fake_build(folder: Path, *functions: Function, streaming: bool = True, extra: Mapping[str, str] | None = None) -> FakeBuild:
    """Write a bundle per function into *folder*; *extra* are more files of each."""
    functions = functions or (entry(),)
    manifest = Manifest(name=functions[0].name, spec=Flow(steps=()), functions=functions, streaming=streaming)
    return FakeBuild(manifest, tuple(_bundle(folder, function, extra or {}) for function in functions))


def _bundle(folder: Path, function: Function, extra: Mapping[str, str]) -> FakeBundle:
    files = {
        "bundle.json": json.dumps({"format": "fnkit.bundle/1", "function": function.name, "python": PYTHON, "pickled": False}),
        "fnkit/__init__.py": "",
        "fnkit/runtime/__init__.py": "",
        "fnkit/runtime/loop.py": WORKER.read_text(),
        **extra,
    }
    path = folder / f"{function.name}.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name, text)
    content = path.read_bytes()
    return FakeBundle(function, path, hashlib.sha256(content).hexdigest(), len(content))


@dataclass(slots=True)
class Recorder:
    """A journal that keeps what it is told, and lets tests wait for it."""

    happenings: list[Happening] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, happening: Happening) -> None:
        self.happenings.append(happening)
        self._changed.set()

    @property
    def invoked(self) -> list[Invoked]:
        return [one for one in self.happenings if isinstance(one, Invoked)]

    @property
    def lines(self) -> list[str]:
        return [one.line for one in self.happenings if isinstance(one, LogLine)]

    @property
    def notices(self) -> list[str]:
        return [one.text for one in self.happenings if isinstance(one, Notice)]

    async def wait_for(self, condition: object) -> None:
        """Wait until *condition()* is true, looking again at each happening."""
        async with asyncio.timeout(60):
            while not condition():  # type: ignore[operator]  # a callable
                self._changed.clear()
                await self._changed.wait()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request through the application was answered with; *parts* are the body's messages."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    parts: Sequence[bytes]
    complete: bool

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    def json(self) -> object:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return next((value.decode() for key, value in self.headers if key == name.lower().encode()), "")


class Caller:
    """A client of the application that speaks ASGI. `leave()` is the client's going away."""

    def __init__(self, app: Emulator) -> None:
        self._app = app
        self.left = asyncio.Event()
        self.parts: asyncio.Queue[bytes] = asyncio.Queue()

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, query: str = ""
    ) -> Answer:
        sent = {"host": "127.0.0.1:8080", "content-type": "application/json", **(headers or {})}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8080),
        }
        request = [{"type": "http.request", "body": body, "more_body": False}]
        started: dict[str, Any] = {}
        parts: list[bytes] = []
        complete = False

        async def receive() -> dict[str, object]:
            if request:
                return request.pop()
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, object]) -> None:
            nonlocal complete
            if message["type"] == "http.response.start":
                started.update(message)
                return
            data = message.get("body", b"")
            assert isinstance(data, bytes)
            if data:
                parts.append(data)
                self.parts.put_nowait(data)
            complete = not message.get("more_body", False)

        await self._app(scope, receive, send)
        return Answer(started.get("status", 0), started.get("headers", ()), parts, complete)


async def in_step(caller: Caller, path: str, work: Mapping[str, Any], gate: Path) -> Answer:
    """Send *work*, a stream; each piece is made when the one before has arrived here. *gate* is an empty folder."""
    request = asyncio.create_task(caller.request("POST", path, json.dumps({**work, "gate": str(gate)}).encode()))
    for number in range(work["count"]):
        await asyncio.wait_for(caller.parts.get(), 60)
        (gate / str(number)).touch()
    return await asyncio.wait_for(request, 60)


class Emulated:
    """A running application and what it told."""

    def __init__(self, app: Emulator, journal: Recorder) -> None:
        self.app, self.journal = app, journal

    async def post(self, work: object, path: str = "/", headers: Mapping[str, str] | None = None) -> Answer:
        """Send *work* to a function URL."""
        return await Caller(self.app).request("POST", path, json.dumps(work).encode(), headers)

    async def invoke(self, work: object, function: str = "graph", headers: Mapping[str, str] | None = None) -> Answer:
        """Send *work* through the Lambda API's Invoke."""
        path = f"/2015-03-31/functions/{function}/invocations"
        return await Caller(self.app).request("POST", path, json.dumps(work).encode(), headers)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await Caller(self.app).request("GET", path, b"", headers)


@asynccontextmanager
async def emulated(build: FakeBuild, options: Options | None = None) -> AsyncIterator[Emulated]:
    """Run the application over *build* in this event loop, with real worker processes.

    Unless *options* say otherwise a worker has all the time it may need to come back for its next event, however slow the machine.
    """
    options = replace(options or Options(return_s=60, stall_s=60), queue_dir=str(build.bundles[0].path.parent / "queues"))
    journal = Recorder()
    with unpack(build, options) as deployed:
        app = Emulator(deployed, options, journal, base_url="http://127.0.0.1:8080/", entry=build.manifest.entry.name)
        await app.start()
        try:
            yield Emulated(app, journal)
        finally:
            await app.close()
