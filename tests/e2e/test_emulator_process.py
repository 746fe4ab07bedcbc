"""The emulator as a process: its start, its end, and what can go wrong with it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e.emulator_builds import build_graph
from tests.fakes.emulator_process import REPOSITORY, EmulatorProcess, emulator, start, wait_until_gone, watched
from tests.fakes.patience import PATIENCE_S, quickest, wait_until


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph that does what its body says, in one function."""
    return build_graph(tmp_path_factory.mktemp("build"), "Work", timeout_s=60)


@pytest.fixture(scope="module")
def working(built: Path) -> Iterator[EmulatorProcess]:
    with emulator(built) as running:
        yield running


def post(url: str, body: object) -> requests.Response:
    return requests.post(url, json=body, timeout=60)


def http(url: str, request: bytes) -> bytes:
    """Send *request* as it is; return what is answered until the connection ends or pauses."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(request)
        return client.recv(65536)


# ---- requests


def test_the_ready_line_comes_first_and_names_every_function(tmp_path: Path) -> None:
    with emulator(build_graph(tmp_path, "Work", placement="step")) as running:
        answer = post(running.url, {})

    assert running.ready["functions"] == {"graph": running.url, "step": running.url + "_functions/step/"}
    assert running.events[0]["event"] == "ready"
    assert answer.status_code == 200


def test_an_invocation_is_told_with_its_logs_before_it(working: EmulatorProcess) -> None:
    first = post(working.url, {"do": "first"})
    told = working.invocation(request_id=first.headers["x-amzn-requestid"])
    log = working.wait_for(lambda event: event["event"] == "log" and event["line"] == "worked on first")

    assert (told["function"], told["status"]) == ("graph", 200)
    assert isinstance(told["cold"], bool)
    assert told["ms"] > 0
    assert 5 < told["memory_mb"] < 200
    assert working.events.index(log) < working.events.index(told)


def test_a_body_of_10_mb_is_refused(working: EmulatorProcess) -> None:
    answer = requests.post(working.url, data=b"x" * 10_000_000, timeout=60)
    after = post(working.url, {})

    assert (answer.status_code, answer.json()) == (413, {"Message": "Request Too Long"})
    assert after.status_code == 200


def test_a_body_that_is_not_what_its_type_says_is_a_bad_request(working: EmulatorProcess) -> None:
    answer = requests.post(working.url, data=b"{broken", headers={"content-type": "application/json"}, timeout=60)

    assert answer.status_code == 400
    assert "json" in answer.text.lower()


@pytest.mark.parametrize(
    "header", [b"X-Bad: a\x00b", b"X-Bad: a\x01b", b"X B\xffad: a", b"X-Bad\x7f: a", b"Content-Length: many", b": empty"]
)
def test_illegal_bytes_in_a_header_are_a_bad_request(working: EmulatorProcess, header: bytes) -> None:
    answer = http(working.url, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + header + b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert post(working.url, {}).status_code == 200


def test_a_request_for_a_foreign_host_is_refused(working: EmulatorProcess) -> None:
    answer = http(working.url, b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 403 ")


def test_an_event_that_takes_too_long_is_a_bad_gateway(tmp_path: Path) -> None:
    with emulator(build_graph(tmp_path, "Work", timeout_s=1)) as running:
        answer = post(running.url, {"do": "sleep", "seconds": 50})
        told = running.invocation(request_id=answer.headers["x-amzn-requestid"])

    assert (answer.status_code, answer.text) == (502, "Internal Server Error")
    assert told["error"].endswith("Task timed out after 1.00 seconds")
    assert 900 < told["ms"] < 40_000


def test_a_worker_that_ends_fails_its_own_event_only(working: EmulatorProcess, tmp_path: Path) -> None:
    with ThreadPoolExecutor(9) as pool:
        others = [pool.submit(post, working.url, {"do": "sleep", "seconds": 0.5, "name": number}) for number in range(8)]
        ended = pool.submit(post, working.url, {"do": "exit"}).result()
        answers = [other.result() for other in others]

    told = working.invocation(request_id=ended.headers["x-amzn-requestid"])
    assert (ended.status_code, told["error"]) == (502, "Runtime.ExitError: Runtime exited with error: exit status 4")
    assert [(answer.status_code, answer.json()["name"]) for answer in answers] == [(200, number) for number in range(8)]


def test_a_worker_that_is_killed_fails_its_own_event_only(working: EmulatorProcess) -> None:
    victim = post(working.url, {}).json()["pid"]
    with ThreadPoolExecutor(2) as pool:
        struck = pool.submit(post, working.url, {"do": "sleep", "seconds": 50, "name": "struck"})
        _wait_until_busy(working, victim)
        other = pool.submit(post, working.url, {"name": "other"})
        assert other.result().json()["name"] == "other"
        os.kill(victim, signal.SIGKILL)
        begin = time.monotonic()
        answer = struck.result()

    assert (answer.status_code, post(working.url, {}).status_code) == (502, 200)
    assert time.monotonic() - begin < 30  # it was not waited for until it would have woken


def _wait_until_busy(running: EmulatorProcess, pid: int) -> None:
    wait_until(lambda: pid in _busy(running), "an event for the environment")


def _busy(running: EmulatorProcess) -> list[int]:
    """Return the process ids of the environments that work."""
    facts = requests.get(running.url + "_fnkit/functions", timeout=60).json()
    return [int(one["pid"]) for one in facts["functions"][0]["environments"] if one["events"] and one["pid"]]


# ---- boto3


def test_boto3_invokes_and_raises_its_own_errors(working: EmulatorProcess) -> None:
    client = boto3.client(
        "lambda",
        endpoint_url=working.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="nobody")
    with pytest.raises(ClientError, match="RequestTooLargeException"):
        client.invoke(FunctionName="graph", Payload=b'"' + b"x" * 6_300_000 + b'"')
    failed = client.invoke(FunctionName="graph", Payload=b'{"do": "exit"}')
    dry = client.invoke(FunctionName="graph", InvocationType="DryRun")
    event = client.invoke(FunctionName="graph", InvocationType="Event", Payload=b"{}")
    function = client.get_function(FunctionName="graph")
    config = client.get_function_url_config(FunctionName="graph")
    code = requests.get(function["Code"]["Location"], timeout=60).content

    assert (failed["StatusCode"], failed["FunctionError"], failed["ExecutedVersion"]) == (200, "Unhandled", "$LATEST")
    assert json.loads(failed["Payload"].read())["errorType"]
    assert (dry["StatusCode"], event["StatusCode"]) == (204, 202)
    assert [one["FunctionName"] for one in client.list_functions()["Functions"]] == ["graph"]
    assert (config["FunctionUrl"], config["InvokeMode"]) == (working.url, "RESPONSE_STREAM")
    assert len(code) == function["Configuration"]["CodeSize"]


# ---- the start


def test_a_port_in_use_is_a_plain_error_with_the_remedy(built: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("emulate", str(built), "--port", str(port))

    assert done.returncode == 1
    assert f"port {port} is in use" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "loopback"),
        (["--port", "70000"], "70000"),
        (["--env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE"),
        (["--runtime", "docker"], "docker"),
    ],
)
def test_wrong_options_are_wrong_use(built: Path, options: list[str], words: str) -> None:
    done = run("emulate", str(built), *options)

    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fnkit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=REPOSITORY)


def test_people_get_lines_of_text(built: Path) -> None:
    command = [sys.executable, "-u", "-m", "fnkit", "emulate", str(built), "--port", "0", "--env", "A=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[-1]
            post(url, {"do": "something"})
            lines = [process.stdout.readline() for _ in range(3)]
        finally:
            process.send_signal(signal.SIGINT)
        rest = process.stdout.read()

    assert process.returncode == 0
    assert lines[1] == "[graph] worked on something\n"
    words = lines[2].split()
    assert words[1:3] == ["graph", "200"]
    assert "cold" in words
    assert rest == ""


@pytest.mark.parametrize("options", [["--no-fork"], ["--runtime", "managed"]])
def test_other_ways_to_run_an_environment_answer_alike(built: Path, options: list[str]) -> None:
    with emulator(built, *options) as running:
        first, second = post(running.url, {"name": "a"}), post(running.url, {"name": "b"})
        failed = post(running.url, {"do": "exit"})

    assert (first.json()["name"], second.json()["name"], failed.status_code) == ("a", "b", 502)
    assert first.json()["pid"] == second.json()["pid"]


def test_the_managed_runtime_streams_too(tmp_path: Path) -> None:
    with emulator(build_graph(tmp_path, "Stream"), "--runtime", "managed") as running:

        def lost_s() -> float:
            with requests.post(running.url, json={"chunks": 3, "pause": 0.4}, stream=True, timeout=60) as response:
                times = [time.monotonic() for _ in response.iter_content(None)]
            assert response.headers["Transfer-Encoding"] == "chunked"
            assert len(times) == 3
            return 0.8 - (times[2] - times[0])

        assert quickest(lost_s, 0.2) < 0.2


def test_it_listens_on_the_other_loopback_address_too(built: Path) -> None:
    with emulator(built, "--host", "::1") as running:
        assert running.url.startswith("http://[::1]:")
        assert post(running.url, {"name": "six"}).json()["name"] == "six"


# ---- the end


def test_a_terminal_that_goes_away_ends_the_emulator(built: Path) -> None:
    process = start(built)
    with watched(process) as running:
        pids = running.pids
        process.send_signal(signal.SIGHUP)

        assert process.wait(PATIENCE_S) == 0
        wait_until_gone(pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_requests_in_flight_finish_before_the_end(built: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = start(built)
    with watched(process) as running, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, running.url, {"do": "sleep", "seconds": 1.5, "name": "kept"})
        pid = _wait_for_an_event(running)
        pids = running.pids
        process.send_signal(number)

        assert answer.result().json()["name"] == "kept"
        assert process.wait(PATIENCE_S) == 0
        assert pid in pids
        wait_until_gone(pids)


def test_functions_still_reach_each_other_while_the_last_requests_finish(tmp_path: Path) -> None:
    process = start(build_graph(tmp_path, "Stream", placement="step"))
    with watched(process) as running:
        body = {"chunks": 4, "pause": 0.3}
        with requests.post(running.url, json=body, stream=True, timeout=60) as response:
            chunks = response.iter_content(None)
            got = [next(chunks)]
            process.send_signal(signal.SIGINT)
            got += list(chunks)

        assert b"".join(got) == b"chunk 0\nchunk 1\nchunk 2\nchunk 3\n"
        assert process.wait(PATIENCE_S) == 0


def test_a_second_ctrl_c_does_not_wait(built: Path) -> None:
    process = start(built)
    with watched(process) as running, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, running.url, {"do": "sleep", "seconds": 50})
        _wait_for_an_event(running)
        pids = running.pids
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)  # the two have to be told apart
        process.send_signal(signal.SIGINT)

        assert process.wait(PATIENCE_S) == 0
        assert time.monotonic() - begin < 30
        wait_until_gone(pids)
        with pytest.raises(requests.exceptions.ConnectionError):
            answer.result()


def test_draining_has_an_end(built: Path) -> None:
    process = start(built, "--drain", "0.3")
    with watched(process) as running, ThreadPoolExecutor(1) as pool:
        pool.submit(post, running.url, {"do": "sleep", "seconds": 50})
        _wait_for_an_event(running)
        pids = running.pids
        process.send_signal(signal.SIGTERM)

        assert process.wait(PATIENCE_S) == 0
        wait_until_gone(pids)


def test_nothing_outlives_an_emulator_that_is_killed(built: Path) -> None:
    process = start(built)
    with watched(process) as running, ThreadPoolExecutor(1) as pool:
        pool.submit(post, running.url, {"do": "sleep", "seconds": 50})
        pid = _wait_for_an_event(running)
        pids = running.pids
        process.kill()
        process.wait()

        wait_until_gone(pids)
        assert pid in pids
        assert len(pids) >= 4  # arbiter, server, zygote, environment


def test_the_emulator_ends_with_its_standard_input(built: Path) -> None:
    process = start(built, "--exit-with-stdin")
    with watched(process) as running:
        pids = running.pids
        assert process.stdin is not None
        process.stdin.close()

        assert process.wait(PATIENCE_S) == 0
        wait_until_gone(pids)


def test_requests_are_answered_when_nobody_reads_the_output_any_more(built: Path) -> None:
    process = start(built)
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        process.stdout.close()
        answers = [post(url, {"do": "quietly"}).status_code for _ in range(3)]
        process.send_signal(signal.SIGTERM)

        assert answers == [200, 200, 200]
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_server_process_that_dies_ends_the_emulator_with_an_error(built: Path) -> None:
    process = start(built)
    with watched(process) as running:
        pids = running.pids
        os.kill(pids[1], signal.SIGKILL)

        assert process.wait(PATIENCE_S) == 1
        assert running.wait_for(lambda event: event["event"] == "error")["type"] == "EmulatorError"
        wait_until_gone(pids)


def _wait_for_an_event(running: EmulatorProcess) -> int:
    """Wait until an environment works; return its process id."""
    wait_until(lambda: bool(_busy(running)), "an environment to get an event")
    return _busy(running)[0]
