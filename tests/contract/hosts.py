"""The hosts of the contract: each takes the folder of an unpacked bundle and answers requests."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl

import requests

from fnkit.engine import Chunk, Context, Event, Fault, Head, compile_flow
from fnkit.manifest import loads
from fnkit.runtime.http_events import checked
from tests.contract.bundles import Built
from tests.contract.cases import Outcome, Request
from tests.fakes.containers import containers
from tests.fakes.emulator_process import emulator
from tests.fakes.runtime_api import FakeRuntimeApi, Posted


class Host(Protocol):
    """Answers requests to one graph."""

    def ask(self, request: Request) -> Outcome:
        """Send *request*; return what came back."""
        ...


def url_event(request: Request) -> dict[str, object]:
    """Return *request* as the event of a function URL."""
    text = request.content_type.startswith(("text/", "application/json")) and request.body.isascii()
    query: dict[str, str] = {}
    for name, value in parse_qsl(request.query):
        query[name] = f"{query[name]},{value}" if name in query else value
    event: dict[str, object] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": {"content-type": request.content_type} | {name.lower(): value for name, value in request.headers.items()},
        "requestContext": {"http": {"method": request.method, "path": request.path}, "requestId": "the-request"},
        "body": request.body.decode() if text else b64encode(request.body).decode(),
        "isBase64Encoded": not text,
    }
    if query:
        event["queryStringParameters"] = query
    if request.cookies:
        event["cookies"] = list(request.cookies)
    return event


def outcome_of_stream(body: bytes, fault: str = "") -> Outcome:
    """Return the outcome that a prelude and what follows it say."""
    head, separator, content = body.partition(b"\0" * 8)
    assert separator, body
    fields = json.loads(head)
    return Outcome(
        fields["statusCode"],
        content,
        fields["headers"].get("content-type", ""),
        fields["headers"],
        tuple(fields.get("cookies", ())),
        fault,
    )


def outcome_of_document(fields: dict[str, object]) -> Outcome:
    """Return the outcome that the object of a buffered function URL says."""
    headers, body, status, cookies = fields["headers"], fields["body"], fields["statusCode"], fields.get("cookies", ())
    assert isinstance(headers, dict)
    assert isinstance(body, str)
    assert isinstance(status, int)
    assert isinstance(cookies, list | tuple)
    data = b64decode(body) if fields["isBase64Encoded"] else body.encode()
    return Outcome(status, data, headers.get("content-type", ""), headers, tuple(cookies))


class InProcess:
    """The engine itself, the whole graph in one place."""

    def __init__(self, bundle: Path) -> None:
        manifest = loads((bundle / "graph.json").read_text())
        self._topology = compile_flow(manifest, context=Context(parameters=manifest.parameters))

    def ask(self, request: Request) -> Outcome:
        return asyncio.run(self._ask(request))

    async def _ask(self, request: Request) -> Outcome:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if request.cookies:
            headers["cookie"] = "; ".join(request.cookies)
        event = Event(request.body, headers=headers, method=request.method, path=request.path, content_type=request.content_type)
        query: dict[str, str] = {}
        for name, value in parse_qsl(request.query):
            query[name] = f"{query[name]},{value}" if name in query else value
        event.__dict__["query"] = query
        head, body, fault = Head(0), b"", ""
        async for frame in checked(await self._topology(event)).frames():
            match frame:
                case Head():
                    head = frame
                case Chunk():
                    body += frame.data
                case Fault():
                    fault = frame.error_type
        headers = {name.lower(): value for name, value in head.headers}
        return Outcome(head.status, body, headers.get("content-type", ""), headers, head.cookies, fault)


class Worker:
    """A process that serves a Runtime API of ours: our own loop, or the managed client."""

    def __init__(self, api: FakeRuntimeApi, *, streaming: bool) -> None:
        self._api = api
        self._streaming = streaming

    def ask(self, request: Request) -> Outcome:
        posted = self._api.call(url_event(request))
        return self._outcome(posted)

    def _outcome(self, posted: Posted) -> Outcome:
        if posted.kind == "error":
            found = posted.json
            assert isinstance(found, dict)
            return Outcome(0, str(found["errorMessage"]).encode(), fault=str(found["errorType"]))
        if not posted.streaming:
            found = posted.json
            assert isinstance(found, dict)
            return outcome_of_document(found)
        return outcome_of_stream(posted.body, posted.trailers.get("lambda-runtime-function-error-type", ""))


def environment(bundle: Path, address: str, **more: str) -> dict[str, str]:
    """Return the environment variables of a worker, and nothing else of ours but the path."""
    return {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": address,
        "LAMBDA_TASK_ROOT": str(bundle),
        "AWS_LAMBDA_FUNCTION_NAME": "graph",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_REGION": "eu-west-1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


def own_command(bundle: Path) -> list[str]:
    """Return what starts our own loop, as the exec wrapper does."""
    return [str(bundle / "fnkit-bootstrap"), sys.executable, "/var/runtime/bootstrap.py"]


def managed_command() -> list[str]:
    """Return what starts the managed client."""
    return [sys.executable, "-m", "awslambdaric", "fnkit.runtime.handler.handler"]


@contextmanager
def running(command: list[str], bundle: Path, environ: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker; it ends with the context. What it writes goes to *log*."""
    if "awslambdaric" in command:
        environ = environ | {"PYTHONPATH": str(bundle)}  # as the managed runtime, which has the bundle first on its path
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environ, cwd=bundle, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def worker(built: Built, log: Path, *, managed: bool, streaming: bool, **more: str) -> Iterator[Worker]:
    """Run the entry function of *built* in our own loop or in the managed client."""
    bundle = built.entry
    with FakeRuntimeApi() as api:
        environ = environment(bundle, api.address, FNKIT_RESPONSE_MODE="streaming" if streaming else "buffered", **more)
        command = managed_command() if managed else own_command(bundle)
        with running(command, bundle, environ, log):
            yield Worker(api, streaming=streaming)


@contextmanager
def in_process(built: Built, _log: Path) -> Iterator[Host]:
    """Run the graph here."""
    bundle = built.entry
    sys.path.insert(0, str(bundle))
    try:
        yield InProcess(bundle)
    finally:
        sys.path.remove(str(bundle))
        sys.modules.pop("steps", None)


class Served:
    """The graph behind a URL."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def ask(self, request: Request) -> Outcome:
        headers = {"Content-Type": request.content_type, **request.headers}
        if request.cookies:
            headers["Cookie"] = "; ".join(request.cookies)
        url = self._url + request.path + (f"?{request.query}" if request.query else "")
        body, fault = b"", ""
        with requests.request(request.method, url, data=request.body, headers=headers, stream=True, timeout=60) as answer:
            try:
                for piece in answer.iter_content(None):
                    body += piece
            except requests.exceptions.ChunkedEncodingError:
                fault = "?"
            found = {name.lower(): value for name, value in answer.headers.items()}
            cookies = tuple(value for name, value in answer.raw.headers.items() if name.lower() == "set-cookie")
            return Outcome(answer.status_code, body, found.get("content-type", ""), found, cookies, fault)


@contextmanager
def emulated(built: Built, _log: Path) -> Iterator[Host]:
    """Run the bundles of *built* in the emulator, as a process of its own."""
    with emulator(built.out) as running:
        yield Served(running.url)


@contextmanager
def contained(built: Built, folder: Path) -> Iterator[Host]:
    """Run what the Dockerfiles of *built* start: a server process for each function, which write their logs to *folder*."""
    entry = built.manifest.entry.name
    folder.mkdir(exist_ok=True)
    with containers(built.contexts(), entry, folder) as running:
        yield Served(running[entry].url)
