"""Our loop against a Runtime API: on plain sockets and on asyncio."""

from __future__ import annotations

import asyncio
import base64
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from fnkit.engine.drive import drive
from fnkit.runtime import looped, plain
from fnkit.runtime.attention import Attention
from fnkit.runtime.client import RuntimeClient
from fnkit.runtime.invocation import HTTP_INTEGRATION, Failure, Invocation, PeerGone, Streamed, Whole
from fnkit.runtime.protocol import error_trailers
from fnkit.runtime.work import work
from tests.fakes.patience import quickest
from tests.fakes.runtime_api import FakeRuntimeApi

Answer = Callable[[Invocation], "Whole | Streamed"]
Start = Callable[[Answer], FakeRuntimeApi]


class FakeApplication:
    """Answers with a function."""

    needs_loop = False

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def answer(self, invocation: Invocation) -> Whole | Streamed:
        return self._answer(invocation)

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(params=["plain", "asyncio"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start a loop of either kind in a thread; the fixture's function returns the Runtime API that it serves."""
    api = FakeRuntimeApi()
    threads: list[threading.Thread] = []

    def run_plain(application: FakeApplication) -> None:
        client = RuntimeClient(plain.connector(api.address), api.address)
        drive(work(client, application, lambda _transport: nullcontext(), lambda _invocation: None))  # type: ignore[arg-type]  # a fake

    def run_looped(application: FakeApplication) -> None:
        client = RuntimeClient(looped.connector(api.address), api.address)
        asyncio.run(_work(client, application))

    def begin(answer: Answer) -> FakeRuntimeApi:
        run = run_plain if request.param == "plain" else run_looped
        thread = threading.Thread(target=run, args=(FakeApplication(answer),), daemon=True)
        threads.append(thread)
        thread.start()
        return api

    yield begin
    api.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "the loop goes on although the Runtime API is gone"


async def _work(client: RuntimeClient, application: FakeApplication) -> int:
    try:
        return await work(client, application, looped.LoopWatch, lambda _invocation: None)  # type: ignore[arg-type]  # a fake
    finally:
        client.drop()
        await asyncio.sleep(0)  # lets the connections close


def stream(*pieces: bytes | Failure, content_type: str = HTTP_INTEGRATION) -> Streamed:
    async def generate() -> AsyncIterator[bytes]:
        for piece in pieces:
            if isinstance(piece, Failure):
                raise piece
            yield piece

    return Streamed(content_type, b'{"statusCode": 200}' + b"\0" * 8, generate())


def test_a_whole_answer_is_posted_and_the_next_invocation_follows(start: Start) -> None:
    api = start(lambda invocation: Whole(invocation.payload[::-1]))

    first, second = api.call(b"abc"), api.call(b"def")

    assert (first.kind, first.body, first.headers["content-type"]) == ("response", b"cba", "application/json")
    assert second.body == b"fed"
    assert api.connections == 1


def test_an_invocation_brings_what_its_headers_say(start: Start) -> None:
    seen: list[Invocation] = []

    def answer(invocation: Invocation) -> Whole:
        seen.append(invocation)
        return Whole(b"1")

    start(answer).call(b"x" * 300_000, **{"Lambda-Runtime-Client-Context": '{"a": 1}', "Lambda-Runtime-Invocation-Id": "seven"})

    (invocation,) = seen
    assert (invocation.request_id, invocation.client_context, invocation.receipt) == ("request-1", '{"a": 1}', "seven")
    assert invocation.deadline_ms > time.time() * 1000
    assert invocation.trace_id.startswith("Root=")
    assert len(invocation.payload) == 300_000


def test_the_receipt_of_an_invocation_goes_back_with_its_answer(start: Start) -> None:
    posted = start(lambda _: Whole(b"1")).call(b"", **{"Lambda-Runtime-Invocation-Id": "seven"})

    assert posted.headers["lambda-runtime-invocation-id"] == "seven"


def test_a_failure_is_posted_as_an_error(start: Start) -> None:
    def answer(_: Invocation) -> Whole:
        raise Failure("ValueError", "bad: é\n2", ("  File x\n",))

    posted = start(answer).call(b"{}")

    assert posted.kind == "error"
    assert posted.headers["lambda-runtime-function-error-type"] == "ValueError"
    assert posted.json == {
        "errorMessage": "bad: é\n2", "errorType": "ValueError", "requestId": "request-1", "stackTrace": ["  File x\n"],
    }  # fmt: skip


def test_a_stream_is_posted_in_chunks_with_a_prelude(start: Start) -> None:
    posted = start(lambda _: stream(b"one", b"two", b"three")).call(b"{}")

    assert posted.streaming
    assert posted.headers["content-type"] == HTTP_INTEGRATION
    assert posted.headers["trailer"] == "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
    assert posted.prelude == {"statusCode": 200}
    assert posted.content == b"onetwothree"
    assert [data for _, data in posted.chunks[1:]] == [b"two", b"three"]
    assert posted.trailers == {}


def test_a_failure_before_the_first_piece_is_an_error_like_any_other(start: Start) -> None:
    posted = start(lambda _: stream(Failure("ValueError", "early"))).call(b"{}")

    assert (posted.kind, posted.streaming) == ("error", False)


def test_a_failure_in_the_middle_is_told_by_the_trailers(start: Start) -> None:
    api = start(lambda _: stream(b"one", Failure("ValueError", "half way", ("line",))))

    posted = api.call(b"{}")

    assert posted.complete
    assert posted.content == b"one"
    assert posted.trailers["lambda-runtime-function-error-type"] == "ValueError"
    assert posted.error == {"errorMessage": "half way", "errorType": "ValueError", "stackTrace": ["line"]}
    assert api.call(b"{}").content == b"one"


def test_a_stream_without_a_piece_has_one_byte_behind_its_prelude(start: Start) -> None:
    posted = start(lambda _: stream()).call(b"{}")

    assert posted.content == b"\n"


def test_a_streamed_whole_answer_is_one_chunk_on_the_same_connection(start: Start) -> None:
    api = start(lambda _: Whole(b"{}\0\0\0\0\0\0\0\0body", HTTP_INTEGRATION, streamed=True))

    first, second = api.call(b"{}"), api.call(b"{}")

    assert (first.streaming, first.content, len(first.chunks)) == (True, b"body", 1)
    assert second.content == b"body"
    assert api.connections == 1


def test_the_connection_of_a_stream_is_closed_unless_the_server_keeps_it(start: Start) -> None:
    api = start(lambda _: stream(b"x"))

    api.call(b"{}")
    api.call(b"{}")
    api._keeps = True
    api.call(b"{}")
    api.call(b"{}")

    assert api.connections == 3


def test_a_whole_answer_that_is_too_large_is_an_error_that_says_so(start: Start) -> None:
    posted = start(lambda _: Whole(b" " * 6_300_000)).call(b"{}")

    assert posted.kind == "error"
    assert posted.headers["lambda-runtime-function-error-type"] == "Function.ResponseSizeTooLarge"
    assert "stream it" in str(posted.json)


@pytest.mark.parametrize(
    ("status", "said"), [(413, "the Runtime API refused the answer: status 413"), (403, "nobody waits for the answer any more")]
)
def test_a_refused_answer_concerns_its_own_invocation_only(
    status: int, said: str, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    api = start(lambda _: Whole(b"1"))
    api.statuses["request-1"] = status

    api.call(b"{}")

    assert api.call(b"{}").body == b"1"
    assert said in capfd.readouterr().err


def test_a_peer_that_goes_away_closes_the_generator_within_a_second() -> None:
    async def scenario(api: FakeRuntimeApi) -> float:
        closed = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"tick"
                    await asyncio.sleep(3600)
            finally:
                closed.set()

        client = RuntimeClient(looped.connector(api.address), api.address)
        task = asyncio.create_task(_work(client, FakeApplication(lambda _: Streamed(HTTP_INTEGRATION, b"", endless()))))
        exchange = api.invoke(b"{}")
        await asyncio.to_thread(exchange.started.wait, 60)
        before = time.monotonic()
        exchange.hang_up()
        await asyncio.wait_for(closed.wait(), 60)
        after = time.monotonic()
        again = api.invoke(b"{}")
        assert await asyncio.to_thread(again.started.wait, 60), "the loop goes on with the next invocation"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return after - before

    def close_s() -> float:
        with FakeRuntimeApi() as api:
            return asyncio.run(scenario(api))

    assert quickest(close_s, 1) < 1


def test_where_the_server_cancels_by_closing_a_task_is_cancelled_before_its_first_piece() -> None:
    cancelled = asyncio.Event()

    class Slow(FakeApplication):
        async def answer(self, invocation: Invocation) -> Whole | Streamed:
            if invocation.payload == b"quick":
                return Whole(b"1")
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled.set()
                raise
            raise AssertionError

    async def scenario(api: FakeRuntimeApi) -> None:
        client = RuntimeClient(looped.connector(api.address), api.address)
        task = asyncio.create_task(_work(client, Slow(lambda _: Whole(b""))))
        exchange = api.invoke(b"slow")
        await asyncio.to_thread(exchange.given.wait, 60)
        exchange.hang_up()
        await asyncio.wait_for(cancelled.wait(), 60)
        posted = await asyncio.to_thread(api.call, b"quick")
        assert posted.body == b"1"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with FakeRuntimeApi(cancels=True) as api:
        asyncio.run(scenario(api))


SLEEPER = """
import sys, time
from fnkit.engine.drive import drive
from fnkit.runtime import plain
from fnkit.runtime.attention import Attention
from fnkit.runtime.client import RuntimeClient
from fnkit.runtime.invocation import Streamed, Whole
from fnkit.runtime.work import work

def ticks(first):
    try:
        if first:
            yield b"tick"
        while True:
            {wait}
            yield b"tick"
    except GeneratorExit:
        print("closed", flush=True)
        raise

class Application:
    needs_loop = False
    async def answer(self, invocation):
        if invocation.payload == b"quick":
            return Whole(b"1")
        generator = ticks(invocation.payload == b"first")
        async def pieces():
            try:
                for item in generator:
                    yield item
            finally:
                generator.close()
        return Streamed("application/octet-stream", b"", pieces())

attention = Attention()
attention.install()
client = RuntimeClient(plain.connector(sys.argv[1]), sys.argv[1])
sys.exit(drive(work(client, Application(), attention.watch, lambda invocation: None)))
"""


@pytest.mark.parametrize("wait", ["time.sleep(3600)", "sum(range(1000))", "__import__('threading').Event().wait(3600)"])
def test_a_generator_that_blocks_is_closed_within_a_second_when_the_peer_goes_away(wait: str, tmp_path: Path) -> None:
    program = tmp_path / "sleeper.py"
    program.write_text(textwrap.dedent(SLEEPER).replace("{wait}", wait))
    with FakeRuntimeApi() as api:
        process = subprocess.Popen([sys.executable, str(program), api.address], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process, process.stdout:

            def close_s() -> float:
                exchange = api.invoke(b"first")
                assert exchange.started.wait(60)
                before = time.monotonic()
                exchange.hang_up()
                assert process.stdout is not None
                assert process.stdout.readline() == "closed\n"
                return time.monotonic() - before

            for _ in range(3):
                assert quickest(close_s, 1) < 1
            assert api.call(b"quick").body == b"1"
            api.close()
            assert process.wait(60) == 0


def test_a_generator_is_closed_before_its_first_piece_where_the_server_cancels_by_closing(tmp_path: Path) -> None:
    program = tmp_path / "sleeper.py"
    program.write_text(textwrap.dedent(SLEEPER).replace("{wait}", "time.sleep(3600)"))
    with FakeRuntimeApi(cancels=True) as api:
        process = subprocess.Popen([sys.executable, str(program), api.address], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process, process.stdout:
            exchange = api.invoke(b"later")
            assert exchange.given.wait(60)
            exchange.hang_up()
            # The event may have been noticed before the generator began: then there is nothing to close.
            assert api.call(b"quick").body == b"1"
            api.close()
            assert process.wait(60) == 0


def test_the_watch_raises_only_within_its_context() -> None:
    left, right = socket.socketpair()
    attention = Attention()
    previous = signal.getsignal(signal.SIGIO)
    attention.install()
    try:
        with attention.watch(plain.PlainTransport(left)):
            pass
        right.close()
        with pytest.raises(PeerGone), attention.watch(plain.PlainTransport(left)):
            raise AssertionError("the peer has gone before")
    finally:
        signal.signal(signal.SIGIO, previous)
        left.close()


def test_base64_of_the_error_trailer_is_one_line() -> None:
    wire = error_trailers(Failure("E" * 5, "m" * 500))

    value = wire.split(b"Error-Body: ")[1].split(b"\r\n")[0]
    assert b"m" * 500 in base64.b64decode(value)
