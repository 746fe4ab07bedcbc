"""Function URLs over real worker processes with the stand-in loop."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from fnkit_emulator import limits
from tests.fakes.emulated import Caller, emulated, entry, fake_build, in_step


async def test_a_streamed_answer_is_passed_on_piece_by_piece(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        caller = Caller(emulator.app)
        head = {"statusCode": 201, "headers": {"content-type": "text/plain", "x-own": "1"}}
        gate = tmp_path / "gate"
        gate.mkdir()
        answer = await in_step(caller, "/", {"do": "stream", "count": 3, "head": head}, gate)

    assert (answer.status, answer.complete) == (201, True)
    assert list(answer.parts) == [b"piece 0\n", b"piece 1\n", b"piece 2\n"]
    assert answer.header("x-own") == "1"
    assert answer.header("content-length") == ""
    assert emulator.journal.invoked[0].chunks == 3


async def test_a_fault_in_mid_stream_leaves_the_answer_without_an_end(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        fault = {"errorType": "ValueError", "errorMessage": "no good"}
        answer = await emulator.post({"do": "stream", "count": 2, "fault": fault})

    assert (answer.status, answer.body, answer.complete) == (200, b"piece 0\npiece 1\n", False)
    assert emulator.journal.invoked[0].error == "ValueError: no good"


@pytest.mark.parametrize("head", [{"statusCode": 1}, {"statusCode": 200, "headers": {"a": "b\nc"}}, ["no object"]])
async def test_a_broken_head_is_a_bad_gateway(tmp_path: Path, head: object) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.post({"do": "stream", "count": 1, "head": head})

    assert (answer.status, answer.body) == (502, b"Internal Server Error")
    assert len(emulator.journal.notices) == 1


async def test_in_stream_mode_a_buffered_answer_is_passed_on_raw(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.post({"do": "reply", "value": {"statusCode": 418, "body": "tea"}})

    assert (answer.status, answer.json()) == (200, {"statusCode": 418, "body": "tea"})


async def test_in_buffered_mode_the_answer_is_interpreted(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path, streaming=False)) as emulator:
        answer = await emulator.post({"do": "reply", "value": {"statusCode": 418, "body": "tea", "headers": {"x-own": "1"}}})

    assert (answer.status, answer.body, answer.header("x-own")) == (418, b"tea", "1")
    assert answer.header("content-length") == "3"


async def test_in_buffered_mode_a_stream_is_joined(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path, streaming=False)) as emulator:
        answer = await emulator.post({"do": "stream", "count": 2, "head": {"statusCode": 203}})

    assert (answer.status, answer.body, answer.header("content-length")) == (203, b"piece 0\npiece 1\n", "16")


async def test_a_raised_error_is_a_bad_gateway_and_shown_with_its_place(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.post({"do": "fail"})

    assert (answer.status, answer.body) == (502, b"Internal Server Error")
    assert emulator.journal.invoked[0].error == "ValueError: no good\n  steps.py:7"


async def test_a_large_body_is_refused_with_413(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await Caller(emulator.app).request("POST", "/", b"x" * 10_000_000)
        just_too_large_as_base64 = await Caller(emulator.app).request("POST", "/", b"\xff" * (limits.PAYLOAD - 10))

    assert (answer.status, just_too_large_as_base64.status) == (413, 413)
    assert "larger than" in emulator.journal.notices[0]
    assert "an event of 8" in emulator.journal.notices[1]
    assert "all else is base64" in emulator.journal.notices[1]


async def test_a_body_just_below_the_limit_is_taken(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        body = json.dumps({"do": "reply", "value": 1, "pad": "x" * (6_000_000)}).encode()
        answer = await Caller(emulator.app).request("POST", "/", body)

    assert answer.status == 200


async def test_too_large_an_answer_is_a_bad_gateway(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.post({"do": "large", "size": limits.PAYLOAD})
        again = await emulator.post({"do": "reply", "value": 1})

    assert answer.status == 502
    assert "Function.ResponseSizeTooLarge" in emulator.journal.invoked[0].error
    assert (again.status, emulator.journal.invoked[1].cold) == (200, False)


async def test_a_client_that_leaves_closes_the_generator_and_the_environment_stays(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    async with emulated(fake_build(tmp_path)) as emulator:
        caller = Caller(emulator.app)
        work = json.dumps({"do": "stream", "count": 1000, "pause": 0.02, "trace": str(trace)}).encode()
        request = asyncio.create_task(caller.request("POST", "/", work))
        await caller.parts.get()
        caller.left.set()
        answer = await asyncio.wait_for(request, 60)
        again = await emulator.post({"do": "reply", "value": 1})

    assert not answer.complete
    assert (again.status, emulator.journal.invoked[1].cold) == (200, False)
    assert emulator.journal.invoked[0].status == 499
    assert trace.read_text() == "closed\n"


async def test_the_path_below_functions_calls_that_function_without_the_prefix(tmp_path: Path) -> None:
    build = fake_build(tmp_path, entry("graph"), entry("other", kind="step"), streaming=False)
    async with emulated(build) as emulator:
        answer = await emulator.post({"do": "echo"}, "/_functions/other/a/b%20c")
        root = await emulator.post({"do": "echo"}, "/_functions/other")
        unknown = await emulator.post({"do": "echo"}, "/_functions/nobody/")

    event, at_root = answer.json(), root.json()
    assert isinstance(event, dict)
    assert isinstance(at_root, dict)
    assert (event["rawPath"], event["requestContext"]["apiId"], at_root["rawPath"]) == ("/a/b%20c", "other", "/")
    assert (unknown.status, unknown.json(), unknown.header("x-amzn-errortype")) == (
        403,
        {"Message": None},
        "AccessDeniedException",
    )


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8080", "", "10.0.0.1"])
async def test_a_foreign_host_header_is_refused(tmp_path: Path, host: str) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.get("/", {"host": host})

    assert answer.status == 403


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:80", "graph.localhost:8080", "LOCALHOST"])
async def test_names_of_this_machine_are_answered(tmp_path: Path, host: str) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.get("/_fnkit/health", {"host": host})

    assert (answer.status, answer.json()) == (200, {"status": "ok"})


async def test_a_foreign_web_page_may_not_use_the_lambda_api(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        refused = await emulator.invoke({"do": "echo"}, headers={"origin": "https://evil.example"})
        own = await emulator.invoke({"do": "echo"}, headers={"origin": "http://localhost:8080"})

    assert (refused.status, own.status) == (403, 200)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body_get_none(tmp_path: Path, streaming: bool, status: int) -> None:
    async with emulated(fake_build(tmp_path, streaming=streaming)) as emulator:
        answer = await emulator.post({"do": "stream", "count": 2, "head": {"statusCode": status}})

    assert (answer.status, answer.body, answer.complete) == (status, b"", True)
