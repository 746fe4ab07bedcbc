"""Environments: how many there are, what happens when they fail, what they are given."""

# ruff: noqa: ASYNC110, ASYNC240 - other processes have no events to wait on, and /proc does not block

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fnkit_emulator.options import Options
from tests.fakes.emulated import Caller, Emulated, emulated, entry, fake_build


def error_of(answer: Any) -> dict[str, str]:
    """Return the error object of an answer of Invoke."""
    assert answer.header("x-amz-function-error") == "Unhandled"
    value = answer.json()
    assert isinstance(value, dict)
    return value


async def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def facts(emulator: Emulated, function: str = "graph") -> dict[str, Any]:
    value = (await emulator.invoke({"do": "facts"}, function)).json()
    assert isinstance(value, dict)
    return value


async def test_one_environment_serves_events_that_come_one_after_the_other(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        pids = {(await facts(emulator))["pid"] for _ in range(5)}

    assert len(pids) == 1
    assert [one.cold for one in emulator.journal.invoked] == [True, False, False, False, False]


async def test_events_at_one_time_get_an_environment_each(tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    async with emulated(fake_build(tmp_path)) as emulator:
        work = [{"do": "meet", "folder": str(meeting), "count": 10, "value": number} for number in range(10)]
        answers = await asyncio.gather(*(emulator.invoke(one) for one in work))

    values: list[Any] = [answer.json() for answer in answers]
    assert [value["value"] for value in values] == list(range(10))
    assert len({value["pid"] for value in values}) == 10


async def test_a_shared_environment_handles_many_events_at_one_time(tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    async with emulated(fake_build(tmp_path, entry(concurrency=20))) as emulator:
        work = [{"do": "meet", "folder": str(meeting), "count": 20, "value": number} for number in range(20)]
        answers = await asyncio.gather(*(emulator.invoke(one) for one in work))

    values: list[Any] = [answer.json() for answer in answers]
    assert [value["value"] for value in values] == list(range(20))
    assert len({value["pid"] for value in values}) == 1


async def test_an_event_waits_for_the_other_workers_of_a_new_environment_to_begin(tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    meet = {"do": "meet", "folder": str(meeting), "count": 2}
    build = fake_build(tmp_path, entry(concurrency=2, environment={"THREAD_DELAY": "0.3"}))
    async with emulated(build, Options(return_s=60)) as emulator:
        first = asyncio.create_task(emulator.invoke(meet))
        await until(lambda: any(meeting.iterdir()))  # its worker is at work, the other one has not begun
        second = await emulator.invoke(meet)
        values: list[Any] = [answer.json() for answer in (await first, second)]

    assert values[0]["pid"] == values[1]["pid"]


async def test_above_its_limit_a_function_refuses_with_429(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path, entry(max_environments=2))) as emulator:
        running = [asyncio.create_task(emulator.post({"do": "nap", "seconds": 0.5})) for _ in range(2)]
        await asyncio.sleep(0)
        url, api = await emulator.post({"do": "echo"}), await emulator.invoke({"do": "echo"})
        answers = await asyncio.gather(*running)
        after = await emulator.post({"do": "reply", "value": 1})

    assert (url.status, api.status, api.header("x-amzn-errortype")) == (429, 429, "TooManyRequestsException")
    assert [answer.status for answer in answers] == [200, 200]
    assert after.status == 200


async def test_an_event_that_takes_too_long_fails_and_its_process_is_killed(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path, entry(timeout_s=1))) as emulator:
        pid = (await facts(emulator))["pid"]
        answer, by_url = await emulator.invoke({"do": "hang"}), await emulator.post({"do": "hang"})
        await until(lambda: not alive(pid))
        again = await emulator.post({"do": "reply", "value": 1})

    error = error_of(answer)
    assert error["errorType"] == "Sandbox.Timeout"
    assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert (by_url.status, by_url.body, again.status) == (502, b"Internal Server Error", 200)


async def test_a_timeout_in_mid_stream_cuts_the_answer_off(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path, entry(timeout_s=1))) as emulator:
        answer = await emulator.post({"do": "stream", "count": 100, "pause": 0.3})

    assert (answer.status, answer.complete) == (200, False)
    assert answer.body.startswith(b"piece 0\n")
    assert "Task timed out after 1.00 seconds" in emulator.journal.invoked[0].error


async def test_a_timeout_in_a_shared_environment_fails_only_its_event_and_the_environment_is_replaced(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path, entry(timeout_s=2, concurrency=4))) as emulator:
        pid = (await facts(emulator))["pid"]
        hanging, other = await asyncio.gather(emulator.invoke({"do": "hang"}), emulator.invoke({"do": "nap", "seconds": 0.4}))
        after = await facts(emulator)
        await until(lambda: not alive(pid))

    assert error_of(hanging)["errorType"] == "Sandbox.Timeout"
    value: Any = other.json()
    assert value["pid"] == pid
    assert after["pid"] != pid


@pytest.mark.parametrize(
    ("work", "how"),
    [
        ({"do": "crash"}, "exit status 3"),
        ({"do": "crash", "status": 0}, "exit status 0"),
        ({"do": "crash", "signal": True}, "signal: killed"),
    ],
)
async def test_a_crash_fails_its_own_event_only(tmp_path: Path, work: object, how: str) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        nap = asyncio.create_task(emulator.invoke({"do": "nap", "seconds": 0.2, "value": "kept"}))
        crashed = await emulator.invoke(work)
        other: Any = (await nap).json()
        again = await emulator.invoke({"do": "reply", "value": 1})

    assert error_of(crashed) | {"requestId": ""} == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"Runtime exited with error: {how}",
        "requestId": "",
    }
    assert other["value"] == "kept"
    assert again.json() == 1


async def test_a_process_that_takes_more_memory_than_it_may_is_killed(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path, entry(memory_mb=128)), Options(memory_watch_s=0.02)) as emulator:
        error = error_of(await emulator.invoke({"do": "grow"}))

    assert error["errorType"] == "Runtime.ExitError"
    assert "out of memory" in error["errorMessage"]
    assert emulator.journal.invoked[0].memory_mb >= 128


async def test_a_failed_start_is_told_with_the_users_file_and_line(tmp_path: Path) -> None:
    build = fake_build(tmp_path, entry(environment={"FAIL_START": "1"}))
    async with emulated(build) as emulator:
        url, api = await emulator.post({}), await emulator.invoke({})

    assert url.status == 502
    assert error_of(api)["errorType"] == "Runtime.ImportModuleError"
    notice = emulator.journal.notices[0]
    assert "Runtime.ImportModuleError: no module named nope" in notice
    assert 'File "steps.py", line 3' in notice
    assert [(one.cold, one.init_ms > 0) for one in emulator.journal.invoked] == [(True, True), (True, True)]


async def test_a_start_that_takes_too_long_is_broken_off(tmp_path: Path) -> None:
    build = fake_build(tmp_path, entry(timeout_s=1, environment={"START_DELAY": "60"}))
    async with emulated(build, Options(init_limit_s=0.5)) as emulator:
        error = error_of(await emulator.invoke({}))

    assert error["errorType"] == "Sandbox.Timeout"
    assert "Task timed out after 1.00 seconds" in emulator.journal.notices[0]


async def test_a_module_that_ends_the_process_while_it_is_loaded_fails_the_event(tmp_path: Path) -> None:
    build = fake_build(tmp_path, extra={"fnkit/runtime/loop.py": "import sys\nsys.exit(7)\n"})
    async with emulated(build) as emulator:
        error = error_of(await emulator.invoke({}))

    assert error["errorMessage"] == "Runtime exited with error: exit status 7"


async def test_idle_environments_end(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path), Options(idle_s=0.2)) as emulator:
        pid = (await facts(emulator))["pid"]
        await until(lambda: not alive(pid))
        again = await facts(emulator)

    assert again["pid"] != pid


async def test_an_environment_that_does_not_stop_for_a_client_that_has_left_is_replaced(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path), Options(stall_s=0.2)) as emulator:
        pid = (await facts(emulator))["pid"]
        caller = Caller(emulator.app)
        work = json.dumps({"do": "stream", "count": 2, "pause": 100}).encode()
        request = asyncio.create_task(caller.request("POST", "/", work))
        await caller.parts.get()
        caller.left.set()
        await asyncio.wait_for(request, 60)  # the worker would take 100 s
        await until(lambda: not alive(pid))
        again = await facts(emulator)

    assert again["pid"] != pid
    assert "is replaced" in emulator.journal.lines[-1]


async def test_what_the_users_code_started_ends_with_the_environment(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        value: Any = (await emulator.invoke({"do": "spawn"})).json()
        started = alive(value["child"])
        await emulator.invoke({"do": "crash"})
        await until(lambda: not alive(value["child"]))

    assert started


async def test_prints_and_errors_are_told_line_by_line_with_the_functions_name(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        await emulator.invoke({"do": "say", "text": "ä"})

    assert emulator.journal.lines == ["a line ä", "an error line"]


async def test_the_users_files_have_their_paths_in_the_project_in_tracebacks(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        root = (await facts(emulator))["environ"]["LAMBDA_TASK_ROOT"]
        await emulator.invoke({"do": "say", "text": f'File "{root}/steps.py", line 5, in do'})
        await emulator.invoke({"do": "say", "text": f"{root}/steps.py"})

    assert emulator.journal.lines[::2] == ['a line File "steps.py", line 5, in do', f"a line {root}/steps.py"]


async def test_a_line_without_end_and_a_flood_are_told_in_pieces(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        await emulator.invoke({"do": "chatter", "size": 3_000_000})
        await emulator.invoke({"do": "crash"})

    assert sum(len(line) for line in emulator.journal.lines if line != "end") == 3_000_000
    assert emulator.journal.lines[-1] == "end"
    assert len(emulator.journal.lines) > 5


async def test_a_second_answer_is_refused(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        first = await emulator.invoke({"do": "twice"})
        await emulator.invoke({"do": "crash"})

    assert first.json() == 1
    assert emulator.journal.lines[0].startswith("again: 403 ")


async def test_environments_have_lambdas_variables_and_the_functions_own(tmp_path: Path) -> None:
    function = entry(environment={"OWN": "1", "AWS_REGION": "cannot be set"}, memory_mb=256)
    async with emulated(fake_build(tmp_path, function), Options(region="eu-west-1", environment={"GIVEN": "2"})) as emulator:
        environ = (await facts(emulator))["environ"]

    expected = {
        "AWS_LAMBDA_FUNCTION_NAME": "graph",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:8080",
        "_HANDLER": "fnkit.runtime.handler.handler",
        "FNKIT_RESPONSE_MODE": "streaming",
        "FNKIT_FUNCTION_PREFIX": "",
        "FNKIT_CONCURRENCY": "1",
        "OWN": "1",
        "GIVEN": "2",
    }
    assert {name: environ.get(name) for name in expected} == expected
    assert environ["LAMBDA_TASK_ROOT"] != environ["TMPDIR"]
    assert environ["AWS_ACCESS_KEY_ID"].startswith("AKIA")


async def test_variables_of_this_shell_stay_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_SHELL", "x")
    async with emulated(fake_build(tmp_path)) as emulator:
        environ = (await facts(emulator))["environ"]

    assert "A_SECRET_OF_THE_SHELL" not in environ


@pytest.mark.parametrize("fork", [True, False])
async def test_forked_and_fresh_environments_answer_alike(tmp_path: Path, fork: bool) -> None:
    async with emulated(fake_build(tmp_path), Options(fork=fork)) as emulator:
        first, crashed = await facts(emulator), await emulator.invoke({"do": "crash", "signal": True})
        streamed = await emulator.post({"do": "stream", "count": 2})

    assert first["environ"]["AWS_LAMBDA_FUNCTION_NAME"] == "graph"
    assert error_of(crashed)["errorMessage"] == "Runtime exited with error: signal: killed"
    assert streamed.body == b"piece 0\npiece 1\n"


async def test_the_users_own_module_is_loaded_in_each_environment_and_not_before(tmp_path: Path) -> None:
    loop = (Path(__file__).parents[2] / "fakes" / "emulated_worker.py").read_text()
    extra = {
        "fnkit/runtime/loop.py": loop.replace("    host = environ[", '    __import__("steps")\n    host = environ[', 1),
        "steps.py": "import os, colorsys\nprint('loaded in', os.getpid())\n",
    }
    async with emulated(fake_build(tmp_path, extra=extra)) as emulator:
        first = await facts(emulator)
        await emulator.invoke({"do": "crash"})
        second = await facts(emulator)

    assert emulator.journal.lines == [f"loaded in {first['pid']}", f"loaded in {second['pid']}"]


async def test_a_zygote_that_has_threads_does_not_fork(tmp_path: Path) -> None:
    extra = {
        "threaded-1.0.dist-info/RECORD": "threaded/__init__.py,,\n",
        "threaded/__init__.py": "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n",
        "steps.py": "import threaded\n",
    }
    async with emulated(fake_build(tmp_path, extra=extra)) as emulator:
        found = await facts(emulator)

    assert "threaded" not in found["modules"], "a fork would have it, a fresh interpreter has not"


async def test_a_zygote_that_is_killed_is_started_again(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        first = await facts(emulator)
        zygote = int(Path(f"/proc/{first['pid']}/stat").read_text().split()[3])
        os.kill(zygote, 9)
        await until(lambda: not alive(first["pid"]))
        answer = await emulator.invoke({"do": "reply", "value": 1})
        again = answer if answer.header("x-amz-function-error") == "" else await emulator.invoke({"do": "reply", "value": 1})

    assert again.json() == 1


async def test_a_process_that_was_forked_ahead_is_used_and_one_that_was_killed_is_not(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        first = (await facts(emulator))["pid"]
        zygote = int(Path(f"/proc/{first}/stat").read_text().split()[3])
        await until(lambda: len(children(zygote)) == 2)
        (spare,) = set(children(zygote)) - {first}
        meeting = tmp_path / "meeting"
        meeting.mkdir()
        meet = {"do": "meet", "folder": str(meeting), "count": 2}
        met: list[Any] = [answer.json() for answer in await asyncio.gather(emulator.invoke(meet), emulator.invoke(meet))]
        (second,) = {value["pid"] for value in met} - {first}
        await until(lambda: len(children(zygote)) == 3)
        (next_spare,) = set(children(zygote)) - {first, second}
        os.kill(next_spare, 9)
        await emulator.invoke({"do": "crash"})
        await emulator.invoke({"do": "crash"})
        third = await facts(emulator)

    assert second == spare
    assert third["pid"] not in {first, second, next_spare}


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_nothing_is_left_when_the_emulator_has_ended(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path)) as emulator:
        found = await facts(emulator)
        zygote = int(Path(f"/proc/{found['pid']}/stat").read_text().split()[3])

    assert not alive(found["pid"])
    assert not alive(zygote)
    assert not Path(found["environ"]["LAMBDA_TASK_ROOT"]).exists()
    assert not Path(found["environ"]["TMPDIR"]).exists()


async def test_unpacked_bundles_cannot_be_written(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path, extra={"data/model.bin": "x"})) as emulator:
        root = Path((await facts(emulator))["environ"]["LAMBDA_TASK_ROOT"])
        modes = {path.name: path.stat().st_mode & 0o777 for path in (root, root / "data", root / "data" / "model.bin")}

    assert modes == {root.name: 0o555, "data": 0o555, "model.bin": 0o444}


async def test_a_bundle_of_two_functions_gives_each_its_own_folder_and_processes(tmp_path: Path) -> None:
    async with emulated(fake_build(tmp_path, entry("graph"), entry("other", kind="step"))) as emulator:
        first, second = await facts(emulator), await facts(emulator, "other")

    assert first["environ"]["LAMBDA_TASK_ROOT"] != second["environ"]["LAMBDA_TASK_ROOT"]
    assert second["environ"]["FNKIT_RESPONSE_MODE"] == "buffered"
