"""The Lambda API, over real worker processes with the stand-in loop."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from fnkit_emulator import limits
from fnkit_emulator.options import Options
from tests.fakes.emulated import Answer, Caller, Emulated, emulated, entry, fake_build, in_step

STREAM_PATH = "/2021-11-15/functions/graph/response-streaming-invocations"


def frames(answer: Answer) -> list[tuple[str, bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(answer.body)
    return [(event.headers[":event-type"], event.payload) for event in buffer]


async def invoke_streaming(emulator: Emulated, work: object) -> Answer:
    return await Caller(emulator.app).request("POST", STREAM_PATH, json.dumps(work).encode())


async def test_invoke_passes_the_event_in_and_the_answer_out(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.invoke({"do": "reply", "value": {"a": [1, "ä"]}})

    assert (answer.status, answer.json()) == (200, {"a": [1, "ä"]})
    assert answer.header("x-amz-executed-version") == "$LATEST"
    assert answer.header("x-amz-function-error") == ""


async def test_a_raised_error_comes_back_as_the_runtime_posted_it(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.invoke({"do": "fail"})

    assert (answer.status, answer.header("x-amz-function-error")) == (200, "Unhandled")
    assert answer.json() == {"errorType": "ValueError", "errorMessage": "no good", "stackTrace": ["steps.py:7"]}


async def test_the_tail_of_the_log_comes_back_when_it_is_asked_for(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        await emulator.invoke({"do": "say", "text": "before"})
        answer = await emulator.invoke({"do": "say", "text": "hello"}, headers={"x-amz-log-type": "Tail"})

    log = b64decode(answer.header("x-amz-log-result")).decode()
    assert log.startswith("START RequestId: ")
    assert "a line hello\nan error line\nEND RequestId: " in log
    assert "before" not in log
    assert "Max Memory Used: " in log.splitlines()[-1]


async def test_an_event_of_no_bytes_is_an_empty_object(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await Caller(emulator.app).request("POST", "/2015-03-31/functions/graph/invocations")

    assert answer.json() == {}


async def test_the_client_context_reaches_the_worker(tmp_path: Path) -> None:
    context = b64encode(b'{"custom": {"a": "1"}}').decode()
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.invoke({"do": "facts"}, headers={"x-amz-client-context": context})
        bad = await emulator.invoke({"do": "facts"}, headers={"x-amz-client-context": "%%%"})

    found: Any = answer.json()
    assert json.loads(found["headers"]["Lambda-Runtime-Client-Context"]) == {"custom": {"a": "1"}}
    assert (bad.status, bad.header("x-amzn-errortype")) == (400, "InvalidRequestContentException")


async def test_a_dry_run_runs_nothing(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.invoke({}, headers={"x-amz-invocation-type": "DryRun"})

    assert answer.status == 204
    assert emulator.journal.invoked == []


async def test_an_asynchronous_event_is_accepted_and_tried_three_times(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path), Options(retry_delays_s=(0.01, 0.02))) as emulator:
        answer = await emulator.invoke({"do": "fail"}, headers={"x-amz-invocation-type": "Event"})
        await emulator.journal.wait_for(lambda: bool(emulator.journal.notices))

    assert (answer.status, answer.body) == (202, b"")
    assert len(emulator.journal.invoked) == 3
    assert len({one.request_id for one in emulator.journal.invoked}) == 1
    assert "given up after 3 attempts" in emulator.journal.notices[0]


async def test_an_asynchronous_event_that_succeeds_is_run_once(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path), Options(retry_delays_s=(0.0, 0.0))) as emulator:
        await emulator.invoke({"do": "say"}, headers={"x-amz-invocation-type": "Event"})
        await emulator.journal.wait_for(lambda: bool(emulator.journal.invoked))
        await emulator.invoke({"do": "reply", "value": 1})

    assert [one.status for one in emulator.journal.invoked] == [202, 200]


@pytest.mark.parametrize(
    "name",
    [
        "graph",
        "graph:$LATEST",
        "graph:live",
        "arn:aws:lambda:us-east-1:123456789012:function:graph",
        "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Agraph%3Alive",
        "123456789012:function:graph",
        "function:graph",
    ],
)
async def test_every_form_of_a_functions_name_is_understood(tmp_path: Path, name: str) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await emulator.invoke({"do": "reply", "value": 1}, name)

    assert answer.json() == 1


@pytest.mark.parametrize("name", ["nobody", "graph:7", "graph?Qualifier=7"])
async def test_an_unknown_function_or_version_is_not_found(tmp_path: Path, name: str) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        bare, _, query = name.partition("?")
        answer = await Caller(emulator.app).request("POST", f"/2015-03-31/functions/{bare}/invocations", b"{}", query=query)

    error: Any = answer.json()
    assert (answer.status, answer.header("x-amzn-errortype")) == (404, "ResourceNotFoundException")
    assert error["Message"].startswith("Function not found: arn:aws:lambda:us-east-1:123456789012:function:")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "InvalidRequestContentException"),
        (b"[" * 100_000, {}, 400, "InvalidRequestContentException"),
        (b"{}", {"x-amz-invocation-type": "Sometimes"}, 400, "InvalidParameterValueException"),
        (b'"' + b"x" * limits.PAYLOAD + b'"', {}, 413, "RequestTooLargeException"),
        (b'"' + b"x" * limits.ASYNC_PAYLOAD + b'"', {"x-amz-invocation-type": "Event"}, 413, "RequestTooLargeException"),
    ],
)
async def test_bad_requests_have_the_errors_of_the_service(
    tmp_path: Path, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await Caller(emulator.app).request("POST", "/2015-03-31/functions/graph/invocations", body, headers)

    assert (answer.status, answer.header("x-amzn-errortype")) == (status, code)


async def test_a_streamed_answer_comes_in_frames_as_it_is_made(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        gate = tmp_path / "gate"
        gate.mkdir()
        answer = await in_step(Caller(emulator.app), STREAM_PATH, {"do": "stream", "count": 3, "head": None}, gate)

    *chunks, last = frames(answer)
    assert answer.complete
    assert len(answer.parts) == 4
    assert chunks == [("PayloadChunk", f"piece {number}\n".encode()) for number in range(3)]
    assert last == ("InvokeComplete", b"{}")


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        ({"do": "fail"}, "ValueError"),
        ({"do": "stream", "count": 1, "head": None, "fault": {"errorType": "KeyError", "errorMessage": "x"}}, "KeyError"),
        ({"do": "stream", "count": 1, "head": None, "exit": True}, "Runtime.ExitError"),
    ],
)
async def test_a_fault_before_or_in_a_stream_is_told_in_its_last_frame(tmp_path: Path, work: object, kind: str) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answer = await invoke_streaming(emulator, work)

    name, payload = frames(answer)[-1]
    told = json.loads(payload)
    assert (answer.status, name, told["ErrorCode"]) == (200, "InvokeComplete", "Unhandled")
    assert json.loads(told["ErrorDetails"])["errorType"] == kind


async def test_a_caller_that_leaves_closes_the_generator(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    async with emulated(fake_build(tmp_path)) as emulator:
        caller = Caller(emulator.app)
        work = json.dumps({"do": "stream", "count": 1000, "pause": 0.02, "trace": str(trace)}).encode()
        request = asyncio.create_task(caller.request("POST", STREAM_PATH, work))
        await caller.parts.get()
        caller.left.set()
        await asyncio.wait_for(request, 60)
        await emulator.invoke({"do": "reply", "value": 1})

    assert trace.read_text() == "closed\n"


async def test_functions_are_described(tmp_path: Path) -> None:
    build = fake_build(tmp_path, entry("graph", memory_mb=256), entry("other", kind="step"))
    async with emulated(build) as emulator:
        listed: Any = (await emulator.get("/2015-03-31/functions/")).json()
        got: Any = (await emulator.get("/2015-03-31/functions/other")).json()
        configuration: Any = (await emulator.get("/2015-03-31/functions/graph/configuration")).json()
        url: Any = (await emulator.get("/2021-10-31/functions/graph/url")).json()
        urls: Any = (await emulator.get("/2021-10-31/functions/other/urls")).json()
        code = await emulator.get("/_fnkit/bundles/other.zip")
        control: Any = (await emulator.get("/_fnkit/functions")).json()
        nothing = await emulator.get("/_fnkit/nothing")

    assert [one["FunctionName"] for one in listed["Functions"]] == ["graph", "other"]
    assert got["Code"]["Location"] == "http://127.0.0.1:8080/_fnkit/bundles/other.zip"
    assert (configuration["MemorySize"], configuration["State"]) == (256, "Active")
    assert (url["FunctionUrl"], url["InvokeMode"]) == ("http://127.0.0.1:8080/", "RESPONSE_STREAM")
    assert urls["FunctionUrlConfigs"][0]["FunctionUrl"] == "http://127.0.0.1:8080/_functions/other/"
    assert code.body == build.bundles[1].path.read_bytes()
    assert [one["name"] for one in control["functions"]] == ["graph", "other"]
    assert nothing.status == 404


async def test_what_the_api_has_not_is_said(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        answers = [
            await Caller(emulator.app).request("DELETE", "/2015-03-31/functions/graph"),
            await emulator.get("/2015-03-31/layers/"),
        ]

    assert [answer.header("x-amzn-errortype") for answer in answers] == ["UnknownOperationException"] * 2
