"""The Runtime API, spoken byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from fnkit_emulator import limits
from fnkit_emulator.invocation import Fault, Invocation
from fnkit_emulator.runtime_api import RuntimeConnection

NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'


@dataclass
class Environment:
    """An environment that notes what its connections tell it."""

    function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:graph"
    invocations: dict[str, Invocation] = field(default_factory=dict)
    polls: list[RuntimeConnection] = field(default_factory=list)
    polled: asyncio.Event = field(default_factory=asyncio.Event)
    start_faults: list[Fault] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    may_poll: bool = True

    def poll(self, connection: RuntimeConnection) -> bool:
        if self.may_poll:
            self.polls.append(connection)
            self.polled.set()
        return self.may_poll

    def unpoll(self, connection: RuntimeConnection) -> None:
        self.polls.remove(connection)

    def lost(self, connection: RuntimeConnection) -> None:
        pass

    def find(self, request_id: str) -> Invocation | None:
        return self.invocations.get(request_id)

    def broke_off(self, invocation: Invocation) -> None:
        self.broken.append(invocation.request_id)
        invocation.finish(Fault("Runtime.TruncatedResponse", ""))

    def failed_to_start(self, fault: Fault) -> None:
        self.start_faults.append(fault)

    def running(self, request_id: str = "id-1", payload: bytes = b"{}") -> Invocation:
        """Return a new event that a worker has."""
        invocation = self.invocations[request_id] = Invocation(payload, request_id=request_id)
        invocation.hand_over(timeout_s=3, on_finish=lambda _: None)
        return invocation


@dataclass
class Wire:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 60)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(length)


@asynccontextmanager
async def connected(environment: Environment) -> AsyncIterator[Wire]:
    connections = []

    def connect() -> RuntimeConnection:
        connections.append(RuntimeConnection(environment))
        return connections[-1]

    server = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    try:
        yield Wire(reader, writer)
    finally:
        for connection in connections:
            connection.close()
        writer.transport.abort()
        server.close()
        await asyncio.sleep(0.01)  # lets the transports close; nothing waits for it


def post(path: str, body: bytes, **headers: str) -> bytes:
    lines = [f"POST /2018-06-01/runtime/{path} HTTP/1.1", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def stream_head(request_id: str = "id-1", mode: str = "streaming") -> bytes:
    lines = [
        f"POST /2018-06-01/runtime/invocation/{request_id}/response HTTP/1.1",
        f"Lambda-Runtime-Function-Response-Mode: {mode}",
        "Transfer-Encoding: chunked",
        "Content-Type: text/x",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_a_connection_that_is_closed_while_it_is_being_accepted_does_not_stay() -> None:
    connection = RuntimeConnection(Environment())
    server = await asyncio.get_running_loop().create_server(lambda: connection, "127.0.0.1", 0)
    connection.close()

    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()
    server.close()


async def test_next_hands_out_the_event_with_its_headers() -> None:
    environment = Environment()
    async with connected(environment) as wire:
        wire.send(NEXT)
        await environment.polled.wait()
        invocation = Invocation(b'{"a":1}', request_id="id-1", trace_id="Root=1", client_context='{"c":1}')
        invocation.hand_over(timeout_s=3, on_finish=lambda _: None)
        environment.polls.pop().hand_out(invocation)
        head = (await wire.reader.readuntil(b"\r\n\r\n")).decode()
        body = await wire.reader.readexactly(7)

    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "Lambda-Runtime-Aws-Request-Id: id-1\r\n" in head
    assert f"Lambda-Runtime-Deadline-Ms: {invocation.deadline_ms}\r\n" in head
    assert f"Lambda-Runtime-Invoked-Function-Arn: {environment.function_arn}\r\n" in head
    assert "Lambda-Runtime-Trace-Id: Root=1\r\n" in head
    assert 'Lambda-Runtime-Client-Context: {"c":1}\r\n' in head
    assert body == b'{"a":1}'


async def test_an_answer_is_accepted_with_exactly_the_bytes_that_aws_sends() -> None:
    environment = Environment()
    invocation = environment.running()
    async with connected(environment) as wire:
        wire.send(post("invocation/id-1/response", b'"done"'))
        answer = await wire.reader.readexactly(len(OK))

    assert answer == OK
    assert await invocation.read_all() == b'"done"'
    assert not invocation.streaming


async def test_an_answer_and_the_next_poll_may_come_in_one_packet() -> None:
    environment = Environment()
    invocation = environment.running()
    async with connected(environment) as wire:
        wire.send(post("invocation/id-1/response", b"1") + NEXT)
        await environment.polled.wait()

        assert invocation.done
        assert len(environment.polls) == 1


async def test_requests_cut_anywhere_are_understood() -> None:
    environment = Environment()
    invocation = environment.running()
    async with connected(environment) as wire:
        for byte in stream_head() + b"3\r\nabc\r\n0\r\n\r\n":
            wire.send(bytes([byte]))
            await wire.writer.drain()
            await asyncio.sleep(0)

        assert await wire.answer() == (202, b'{"status":"OK"}\n')
    assert await invocation.read_all() == b"abc"
    assert invocation.streaming


async def test_the_first_chunk_is_passed_on_before_the_second_is_sent() -> None:
    environment = Environment()
    invocation = environment.running()
    async with connected(environment) as wire:
        wire.send(stream_head() + b"1\r\na\r\n")
        first = await asyncio.wait_for(invocation.read(), 60)
        wire.send(b"1\r\nb\r\n0\r\n\r\n")
        second = await asyncio.wait_for(invocation.read(), 60)

    assert (first, second) == (b"a", b"b")


async def test_a_fault_in_mid_stream_comes_in_the_trailers() -> None:
    environment = Environment()
    invocation = environment.running()
    body = b64encode(json.dumps({"errorType": "ValueError", "errorMessage": "no", "stackTrace": ["a.py:1"]}).encode()).decode()
    async with connected(environment) as wire:
        trailers = f"Lambda-Runtime-Function-Error-Type: Function.ValueError\r\nLambda-Runtime-Function-Error-Body: {body}\r\n"
        wire.send(stream_head() + b"1\r\na\r\n0\r\n" + trailers.encode() + b"\r\n")
        status, _ = await wire.answer()

    assert status == 202
    assert invocation.fault is not None
    assert (invocation.fault.type, invocation.fault.message, invocation.fault.stack) == ("ValueError", "no", ("a.py:1",))


async def test_a_worker_that_hangs_up_in_mid_stream_is_noticed() -> None:
    environment = Environment()
    invocation = environment.running()
    async with connected(environment) as wire:
        wire.send(stream_head() + b"1\r\na\r\n")
        await invocation.read()
        wire.writer.close()
        assert await asyncio.wait_for(invocation.read(), 60) == b""

    assert environment.broken == ["id-1"]


async def test_the_clients_leaving_closes_the_connection_at_once() -> None:
    environment = Environment()
    invocation = environment.running()
    async with connected(environment) as wire:
        wire.send(stream_head() + b"1\r\na\r\n")
        await invocation.read()
        invocation.abandon()

        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(wire.reader.readexactly(1), 60)


async def test_an_answer_that_begins_after_the_client_has_left_is_closed_too() -> None:
    environment = Environment()
    environment.running().abandon()
    async with connected(environment) as wire:
        wire.send(stream_head())

        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(wire.reader.readexactly(1), 60)


async def test_an_error_becomes_the_fault_of_the_event() -> None:
    environment = Environment()
    invocation = environment.running()
    body = json.dumps({"errorType": "KeyError", "errorMessage": "'x'", "stackTrace": []}).encode()
    async with connected(environment) as wire:
        wire.send(post("invocation/id-1/error", body, Lambda_Runtime_Function_Error_Type="Function.KeyError"))
        status, _ = await wire.answer()

    assert status == 202
    assert invocation.fault == Fault("KeyError", "'x'", (), body)


async def test_an_error_without_json_keeps_its_category_if_that_is_one() -> None:
    environment = Environment()
    first, second = environment.running("id-1"), environment.running("id-2")
    async with connected(environment) as wire:
        wire.send(post("invocation/id-1/error", b"oops", Lambda_Runtime_Function_Error_Type="Runtime.Oops"))
        await wire.answer()
        wire.send(post("invocation/id-2/error", b"oops", Lambda_Runtime_Function_Error_Type="weird thing"))
        await wire.answer()

    assert (first.fault, second.fault) == (Fault("Runtime.Oops", "oops"), Fault("Function.Unknown", "oops"))


async def test_a_failed_start_is_told() -> None:
    environment = Environment()
    async with connected(environment) as wire:
        wire.send(post("init/error", b'{"errorType": "Runtime.ImportModuleError", "errorMessage": "no"}'))
        status, _ = await wire.answer()

    assert status == 202
    assert [fault.type for fault in environment.start_faults] == ["Runtime.ImportModuleError"]


@pytest.mark.parametrize(
    ("request_bytes", "status", "error"),
    [
        (post("invocation/nobody/response", b"1"), 400, "InvalidRequestID"),
        (post("invocation/id-1/response", b"1", Lambda_Runtime_Function_Response_Mode="odd"), 400, "InvalidFunctionResponseMode"),
        (post("invocation/done/response", b"1"), 403, "InvalidStateTransition"),
        (post("invocation/begun/error", b"{}"), 403, "InvalidStateTransition"),
        (post("invocation/id-1/other", b"{}"), 404, "NotFound"),
        (post("nothing", b"{}"), 404, "NotFound"),
        (b"GET /2018-06-01/nothing HTTP/1.1\r\n\r\n", 404, "NotFound"),
        (b"PUT / HTTP/1.1\r\n\r\n", 404, "NotFound"),
        (stream_head() + b"zz\r\n", 400, "TruncatedHTTPRequest"),
    ],
)
async def test_refusals_have_the_names_of_aws(request_bytes: bytes, status: int, error: str) -> None:
    environment = Environment()
    environment.running("id-1")
    environment.running("done").finish()
    environment.running("begun").begin(streaming=True, content_type="")
    async with connected(environment) as wire:
        wire.send(request_bytes)
        answer = await wire.answer()

    assert (answer[0], json.loads(answer[1])["errorType"]) == (status, error)


async def test_a_poll_out_of_turn_is_refused() -> None:
    environment = Environment(may_poll=False)
    async with connected(environment) as wire:
        wire.send(NEXT)

        assert (await wire.answer())[0] == 403


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_above_six_megabytes_is_refused_and_fails_the_event(chunked: bool) -> None:
    environment = Environment()
    invocation = environment.running()
    body = b"x" * (limits.PAYLOAD + 1)
    async with connected(environment) as wire:
        if chunked:
            head = b"POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            wire.send(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        else:
            wire.send(post("invocation/id-1/response", body))
        status, answer = await wire.answer()
        wire.send(NEXT)
        await environment.polled.wait()

    assert status == 413
    assert json.loads(answer)["errorMessage"] == "Exceeded maximum allowed payload size (6291556 bytes)."
    assert invocation.fault is not None
    assert invocation.fault.type == "Function.ResponseSizeTooLarge"


async def test_the_runtime_is_asked_to_go_on_where_it_waits_for_that() -> None:
    environment = Environment()
    environment.running()
    async with connected(environment) as wire:
        head = post("invocation/id-1/response", b"1", Expect="100-continue")[:-1]
        wire.send(head)
        interim = await asyncio.wait_for(wire.reader.readuntil(b"\r\n\r\n"), 60)
        wire.send(b"1")
        status, _ = await wire.answer()

    assert (interim, status) == (b"HTTP/1.1 100 Continue\r\n\r\n", 202)


async def test_a_slow_client_stops_the_reading_from_the_worker() -> None:
    environment = Environment()
    invocation = environment.running()
    async with connected(environment) as wire:
        wire.send(stream_head())
        piece = b"x" * 65536
        sent = 0
        while sent < 64 * limits.MIB:
            wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            try:
                await asyncio.wait_for(wire.writer.drain(), 0.5)
            except TimeoutError:
                break
            sent += len(piece)
        received = invocation.answered_bytes

    assert sent < 64 * limits.MIB, "the worker was never held back"
    assert received <= 2 * limits.BUFFER + limits.MIB


async def test_the_acknowledgement_of_a_pipelined_answer_leaves_with_the_next_event() -> None:
    environment = Environment()
    environment.running()
    async with connected(environment) as wire:
        wire.send(post("invocation/id-1/response", b"1") + NEXT)
        await environment.polled.wait()
        environment.polls.pop().hand_out(environment.running("id-2"))
        first_packet = await wire.reader.read(65536)

    assert first_packet.startswith(OK + b"HTTP/1.1 200 OK\r\n")


async def test_the_acknowledgement_of_a_pipelined_answer_does_not_wait_long_for_an_event() -> None:
    environment = Environment()
    environment.running()
    async with connected(environment) as wire:
        wire.send(post("invocation/id-1/response", b"1") + NEXT)

        assert await asyncio.wait_for(wire.reader.readexactly(len(OK)), 60) == OK
