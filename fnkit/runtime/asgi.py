"""A bundle as an ASGI application: the host inside a container, and on any machine with an ASGI server.

Started in the folder of an unpacked bundle::

    gunicorn -k uvicorn_worker.UvicornWorker fnkit.runtime.asgi:application

`PORT` is gunicorn's own variable. `FNKIT_BUNDLE` names another folder; `FNKIT_CONCURRENCY` says how many requests each worker process
handles at a time, the others wait; `FNKIT_MAX_BODY_MB` how large the body of one may be; `FNKIT_TIMEOUT_S` how long an answer may take.

Every path belongs to the graph but those below `/_fnkit/`: `live` and `ready` for probes, `steps`, by which the functions of a graph
call each other, and `events`, to which a KafkaSource posts messages; the last two are not the entry function's. `/healthz`, `/livez` and
`/readyz` are answered here only to a kubelet, which says who it is.

A function whose steps need an event loop runs on that of the server; any other one in threads beside it, so that probes are answered
and a client's leaving is noticed while a step computes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from json import dumps
from os.path import abspath, dirname

from fnkit.engine.response import WireResponse
from fnkit.errors import UsageError
from fnkit.functions.http_invoker import FAILURE_HEADER
from fnkit.functions.marks import MARK
from fnkit.runtime.application import SINGLE_STEPS
from fnkit.runtime.asgi_messages import (
    ClientGone,
    TooLarge,
    Watch,
    deliver,
    header,
    new_invocation,
    raw_path,
    read_body,
    read_event,
    respond,
)
from fnkit.runtime.asgi_paths import EVENTS_PATH, KUBELET_PATHS, LIVE_PATH, OWN_PATHS, READY_PATH, STEPS_PATH
from fnkit.runtime.asgi_threads import Threads
from fnkit.runtime.cloud_events import is_cloud_event, kafka_batch
from fnkit.runtime.invocation import JSON, Failure, Whole
from fnkit.runtime.loading import Bundle, failure_at_start, load_application
from fnkit.runtime.logs import Log
from fnkit.runtime.loop import read_concurrency
from fnkit.runtime.paths import arrange_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from fnkit.manifest.model import Function
    from fnkit.runtime.application import Application
    from fnkit.runtime.asgi_messages import Message, Receive, Scope, Send
    from fnkit.runtime.invocation import Streamed

    Work = Callable[[], Awaitable[WireResponse]]

_BOOT_ERROR = 3  # gunicorn and uvicorn: do not start this again
_STUCK = 64  # threads that wait for something that nobody wants any more: then a new process is better
_WAITING = 1000  # requests that wait for their turn in one worker
_MEGABYTE = 1024 * 1024


class Limits:
    """What one worker process takes: *concurrency* requests at a time, bodies of *body* bytes, *timeout_s* for an answer.

    *waiting* more requests may wait for their turn. With *stuck* threads that cannot be interrupted it is no longer alive.
    """

    __slots__ = ("body", "concurrency", "stuck", "timeout_s", "waiting")

    def __init__(
        self,
        *,
        concurrency: int = 1,
        body: int = 100 * _MEGABYTE,
        timeout_s: float = 60,
        waiting: int = _WAITING,
        stuck: int = _STUCK,
    ) -> None:
        self.stuck = stuck
        self.concurrency = concurrency
        self.body = body
        self.timeout_s = timeout_s
        self.waiting = waiting

    @classmethod
    def of(cls, function: Function, environ: Mapping[str, str]) -> Limits:
        """Return what *environ* says, or else *function*. Raises `UsageError` and `Failure` for what is no number."""
        concurrency = read_concurrency(environ) if environ.get("FNKIT_CONCURRENCY") else function.concurrency
        body = _number(environ, "FNKIT_MAX_BODY_MB", 100)
        return cls(
            concurrency=concurrency,
            body=int(body * _MEGABYTE),
            timeout_s=_number(environ, "FNKIT_TIMEOUT_S", function.timeout_s),
        )


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "")
    try:
        number = float(text) if text else float(default)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise UsageError(f"{text!r} is no positive number", where=name, hint="leave it out for the function's own limit")
    return number


class Host:
    """The ASGI application around one loaded function. *internal*: functions of its graph, and queues, may call it."""

    def __init__(self, application: Application, limits: Limits, *, internal: bool) -> None:
        self._application = application
        self._limits = limits
        self._internal = internal
        self._threads = None if application.needs_loop else Threads()
        self._places = asyncio.Semaphore(limits.concurrency)
        self._waiting = 0
        self._ready = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server through its life."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
        elif kind == "http":
            await self._request(scope, receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1003})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self._ready = False
                if self._application.needs_loop:
                    await self._application.settle()
                await self._application.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = raw_path(scope)
        if path.startswith(OWN_PATHS) or (path in KUBELET_PATHS and _from_kubelet(scope)):
            await self._own(path, scope, receive, send)
        elif not self._application.runs_graph:
            await respond(send, 404, SINGLE_STEPS)
        else:
            await self._run(scope, receive, send, self._of_graph)

    async def _own(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        called = scope["method"] == "POST" and self._internal
        if called and path == STEPS_PATH:
            await self._run(scope, receive, send, self._of_step)
        elif called and path == EVENTS_PATH and self._application.runs_graph:
            await self._run(scope, receive, send, self._of_event)
        elif path in (LIVE_PATH, READY_PATH, *KUBELET_PATHS):
            complaint = self._complaint(alive=path in (LIVE_PATH, "/livez"))
            await respond(send, 503 if complaint else 200, complaint or "ok")
        else:
            await respond(send, 404, "the paths below /_fnkit/ are not the graph's")

    def _complaint(self, *, alive: bool) -> str:
        """Return why the process is not ready, or not *alive*; "" when all is well."""
        if self._threads is not None and len(self._threads.stuck) >= self._limits.stuck:
            return f"{len(self._threads.stuck)} steps wait for what nobody wants any more"
        return "" if alive or self._ready else "the server is about to end"

    def _of_graph(self, scope: Scope, body: bytes) -> Work:
        invocation = new_invocation(scope, b"", self._limits.timeout_s)
        event = read_event(scope, body, invocation)
        return lambda: self._application.respond(event, invocation)

    def _of_step(self, scope: Scope, body: bytes) -> Work:
        invocation = new_invocation(scope, body, self._limits.timeout_s)

        async def work() -> WireResponse:
            if not body.startswith(_CALL):
                return WireResponse(400, _PLAIN, b"not a call of a step")
            return _wire(await self._application.answer(invocation))

        return work

    def _of_event(self, scope: Scope, body: bytes) -> Work:
        headers = scope["headers"]
        invocation = new_invocation(scope, kafka_batch(headers, body), self._limits.timeout_s)

        async def work() -> WireResponse:
            if not is_cloud_event(headers):
                return WireResponse(400, _PLAIN, b"not a CloudEvent in binary mode")
            await self._application.answer(invocation)  # a message that fails is a `Failure`: it comes again
            return WireResponse(200, (), b"")

        return work

    async def _run(self, scope: Scope, receive: Receive, send: Send, make: Callable[[Scope, bytes], Work]) -> None:
        try:
            body = await read_body(receive, self._limits.body)
        except ClientGone:
            return
        except TooLarge:
            await respond(send, 413, f"the body of a request may have {self._limits.body} bytes")
            return
        if self._waiting >= self._limits.waiting:
            await respond(send, 503, "too many requests wait already")
            return
        sent = _Sent(send)
        with Watch(receive, self._limits.timeout_s) as watch:
            await self._attend(make(scope, body), scope["method"], sent)
        if watch.late and not sent.begun:
            await respond(send, 504, f"the answer took longer than {self._limits.timeout_s:g} s")

    async def _attend(self, work: Work, method: str, send: _Sent) -> None:
        """Answer when it is this request's turn."""
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            response = await self._answer(work)
            try:
                await deliver(send, response, method, self._application.log)
            finally:
                await _close(response)
        finally:
            self._places.release()

    async def _answer(self, work: Work) -> WireResponse:
        try:
            return await (work() if self._threads is None else self._threads.run(work))
        except Failure as failure:
            return _failed(failure)
        except SystemExit as leaving:  # a step that ends the process fails its own request only
            left = Failure.of(leaving)
            self._application.log.report(left)
            return _failed(left)


class _Sent:
    """What sends messages, and knows whether the answer has begun."""

    __slots__ = ("_send", "begun")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        await self._send(message)


_PLAIN = (("content-type", "text/plain"),)
_CALL = f'{{"{MARK}":'.encode()


def _from_kubelet(scope: Scope) -> bool:
    return header(scope, b"user-agent").startswith("kube-probe/") or bool(header(scope, b"k-kubelet-probe"))


def _failed(failure: Failure) -> WireResponse:
    """Return what a client sees of a failure outside of the graph: for another function its name and text, as Lambda tells them."""
    body = dumps({"errorType": failure.kind, "errorMessage": failure.message}).encode()
    return WireResponse(500, (("content-type", JSON), (FAILURE_HEADER, "1")), body)


def _wire(answer: Whole | Streamed) -> WireResponse:
    headers = (("content-type", answer.content_type),)
    if isinstance(answer, Whole):
        return WireResponse(200, headers, answer.body)
    return WireResponse(200, headers, _started(answer))


async def _started(answer: Streamed) -> AsyncIterator[bytes]:
    try:
        yield answer.start
        async for piece in answer.pieces:
            yield piece
    finally:
        await answer.pieces.aclose()  # type: ignore[attr-defined]  # the frames of a step come from a generator


async def _close(response: WireResponse) -> None:
    """Close what makes the answer. What the user's code raises about it is its own affair: the answer is over."""
    try:
        await response.aclose()
    except Exception as error:
        sys.stderr.write(f"[fnkit] closing the stream raised {type(error).__name__}: {error}\n")


def load(environ: Mapping[str, str]) -> Host:
    """Return the application of the bundle that *environ* names, or that this module is part of. Raises whatever is wrong with it."""
    root = environ.get("FNKIT_BUNDLE") or environ.get("LAMBDA_TASK_ROOT") or dirname(dirname(dirname(abspath(__file__))))
    bundle = Bundle(root)
    arrange_paths(root, environ)
    function = bundle.function
    known = {"AWS_LAMBDA_FUNCTION_NAME": function.name, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb)}
    limits = Limits.of(function, environ)
    application = load_application(bundle, {**known, **environ}, Log(environ))
    return Host(application, limits, internal=function.kind != "entry")


def _load_or_leave() -> Host:
    try:
        return load(os.environ)
    except (Exception, SystemExit) as error:
        Log(os.environ).report(failure_at_start(error))
        raise SystemExit(_BOOT_ERROR) from None


def __getattr__(name: str) -> object:
    """Load the bundle when the server asks for the application: before it has an event loop, as in every other host."""
    if name == "application":
        globals()[name] = _load_or_leave()
        return globals()[name]
    raise AttributeError(f"module 'fnkit.runtime.asgi' has no attribute {name!r}")
