"""fnkit router as a process: flags, readiness, draining, exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fnkit.net import blocking
from fnkit.net.client import Client
from tests.fakes.net import Connection, TcpServer, keeping_alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUTER = (sys.executable, "-m", "fnkit", "router")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def spec(url: str) -> str:
    return json.dumps({"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": url}]}}})


@contextmanager
def running(*arguments: str, env: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a router on a free port and yield it with its URL."""
    process = subprocess.Popen(
        [*ROUTER, *arguments, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready"
        yield process, ready["url"]
    finally:
        process.kill()
        process.communicate()


def ask(url: str, body: bytes = b"{}", **options: Any) -> tuple[int, bytes]:
    async def scenario() -> tuple[int, bytes]:
        async with Client(blocking.connector()) as client:
            reply = await client.request("POST", url, body=body, **options)
            return reply.status, await reply.read()

    return blocking.run(scenario())


@pytest.mark.parametrize("flag", ["--graph-json", "-graph-json"])
def test_the_router_takes_the_flag_of_kserves_router(flag: str) -> None:
    with TcpServer(keeping_alive(OK)) as service, running(flag, spec(service.url)) as (_, url):
        assert ask(url) == (200, b"{}")
        assert ask(url + "readyz") == (200, b"")


def test_headers_are_propagated_by_the_environment() -> None:
    calls: list[bytes] = []
    with (
        TcpServer(keeping_alive(OK, calls)) as service,
        running("--graph-json", spec(service.url), env={"PROPAGATE_HEADERS": "^X-"}) as (_, url),
    ):
        ask(url, headers=[("x-id", "1"), ("Secret", "2")])
    assert b"X-Id: 1" in calls[0]
    assert b"Secret" not in calls[0]


def test_a_file_and_names_of_services_will_do(tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text(
        "apiVersion: serving.kserve.io/v1alpha1\nkind: InferenceGraph\nmetadata: {name: g}\n"
        "spec: {nodes: {root: {routerType: Sequence, steps: [{serviceName: model}]}}}\n"
    )
    with TcpServer(keeping_alive(OK)) as service, running(str(path), "--service", f"model={service.url}") as (_, url):
        assert ask(url) == (200, b"{}")


def test_sigterm_fails_readiness_at_once_serves_on_and_ends_with_0() -> None:
    waiting: list[int] = []

    def handle(connection: Connection) -> None:
        while connection.head():
            connection.body(2)
            if not waiting:
                waiting.append(1)
                process.send_signal(signal.SIGTERM)
                while ask(url + "readyz")[0] != 503:
                    pass
            connection.send(OK)

    with TcpServer(handle) as service, running("--graph-json", spec(service.url), "--drain-seconds", "60") as (process, url):
        assert ask(url)[0] == 200  # it was under way when the signal came
        assert ask(url + "readyz") == (503, b"shutting down\n")
        assert ask(url)[0] == 200  # still served
        process.send_signal(signal.SIGTERM)  # the second one cuts the wait short
        assert process.wait(60) == 0


def test_a_router_that_is_ready_heeds_signals() -> None:
    with running("--graph-json", spec("http://127.0.0.1:9/"), "--drain-seconds", "0") as (process, _):
        process.send_signal(signal.SIGTERM)

        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 1),
        (("--graph-json", ""), 1),
        (("--graph-json", "{"), 1),
        (("--graph-json", '{"nodes": {"root": {"steps": [{"weight": "100"}]}}}'), 1),
        (("--nope",), 2),
        (("--service", "x"), 2),
        (("x.yaml", "--graph-json", "{}"), 2),
        (("missing.yaml",), 2),
    ],
)
def test_wrong_use_ends_with_the_status_that_kserves_router_has(arguments: tuple[str, ...], status: int) -> None:
    done = subprocess.run([*ROUTER, *arguments], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert done.stderr


def condition(path: str, body: bytes, *flags: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "fnkit", "condition", path, *flags], input=body, capture_output=True, check=False
    )


def test_a_condition_is_tried_and_explained() -> None:
    done = condition("instances.#(data>0.9)", b'{"instances": [{"data": 0.7}, {"data": 1}]}')

    assert done.returncode == 0
    text = done.stdout.decode()
    assert "element 0: left side found 0.7, does not match" in text
    assert "element 1: left side found 1, matches" in text
    assert text.endswith("the condition holds\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"instances": []}', "the condition does not hold\n"),
        (b"{", "the condition does not hold: the body is not valid JSON\n"),
    ],
)
def test_a_condition_that_does_not_hold_ends_with_1(body: bytes, said: str) -> None:
    done = condition("instances.#(data>0.9)", body)

    assert done.returncode == 1
    assert done.stdout.decode().endswith(said)


def test_a_condition_that_says_something_else_is_warned_of() -> None:
    done = condition("[@this].#(a>1 && a<2)", b'{"a": 5}')

    assert done.returncode == 0
    assert b"&&" in done.stderr


def test_a_condition_speaks_to_machines() -> None:
    done = condition("a", b'{"a": [1]}', "--json")

    said = json.loads(done.stdout)
    assert (said["holds"], said["raw"], said["parts"][0]["kind"]) == (True, "[1]", "key")


def test_step_classes_are_refused_with_a_way_out() -> None:
    graph = '{"nodes": {}, "fnkit": {"services": {"a": "models:Iris"}}}'

    done = subprocess.run([*ROUTER, "--graph-json", graph], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert "fnkit emulate" in done.stderr


def test_steps_are_logged_when_asked_for() -> None:
    with (
        TcpServer(keeping_alive(OK)) as service,
        running("--graph-json", spec(service.url), "-v", "--drain-seconds", "0") as (process, url),
    ):
        ask(url)
        process.terminate()
        assert process.stderr is not None
        lines = [json.loads(line) for line in process.stderr.readlines() if line.startswith("{")]

    step = next(line for line in lines if line["msg"] == "elapsed time")
    assert (step["logger"], step["node"], step["statusCode"], step["step"]) == ("InferenceGraphRouter", "root", 200, service.url)


def named(service: str) -> str:
    return json.dumps({"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceName": service}]}}})


def test_a_service_that_nobody_placed_is_warned_of_and_fails_as_in_kserve() -> None:
    with running("--graph-json", named("model"), "--drain-seconds", "0") as (process, url):
        status, body = ask(url)
        process.terminate()
        assert process.stderr is not None
        said = process.stderr.read()

    assert (status, json.loads(body)["cause"]) == (500, 'Post "": unsupported protocol scheme ""')
    assert "--service model=URL" in said


def test_in_a_cluster_a_service_name_is_an_inference_service() -> None:
    with running("--graph-json", named("model"), "--in-cluster") as (_, url):
        status, body = ask(url)

    assert status == 500
    assert "http://model.default.svc.cluster.local/v1/models/model:predict" in json.loads(body)["cause"]
