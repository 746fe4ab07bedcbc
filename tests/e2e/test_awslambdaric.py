"""Bundles in the real awslambdaric, against a Runtime API of ours that sees every byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.bundles import Built
from tests.contract.cases import CASES
from tests.contract.hosts import Worker, environment, managed_command, running, url_event, worker
from tests.fakes.runtime_api import FakeRuntimeApi

BY_NAME = {case.name: case for case in CASES}


def test_a_buffered_answer_is_posted_by_the_managed_client(four: dict[str, Built], tmp_path: Path) -> None:
    case = BY_NAME["linear"]

    with FakeRuntimeApi() as api:
        environ = environment(four[case.name].entry, api.address)
        with running(managed_command(), four[case.name].entry, environ, tmp_path / "log"):
            posted = api.call(["x"])

    assert posted.headers["user-agent"].startswith("aws-lambda-python/")
    assert (posted.body, posted.streaming) == (case.outcome.body, False)


def test_a_streamed_answer_is_posted_by_us_and_the_managed_client_goes_on(four: dict[str, Built], tmp_path: Path) -> None:
    case = BY_NAME["stream"]

    with FakeRuntimeApi() as api:
        environ = environment(four[case.name].entry, api.address, FNKIT_RESPONSE_MODE="streaming")
        with running(managed_command(), four[case.name].entry, environ, tmp_path / "log"):
            streamed = api.call(url_event(case.request), **{"Lambda-Runtime-Invocation-Id": "receipt-1"})
            direct = api.call("hi")

    assert streamed.headers["user-agent"].startswith("fnkit")
    assert streamed.headers["lambda-runtime-invocation-id"] == "receipt-1"
    assert (streamed.content, len(streamed.chunks)) == (case.outcome.body, 3)
    assert direct.headers["user-agent"].startswith("aws-lambda-python/")
    assert direct.json == case.outcome.body.decode()


def test_an_error_before_the_first_chunk_is_reported_under_its_own_name(four: dict[str, Built], tmp_path: Path) -> None:
    case = BY_NAME["stream that fails at once"]

    with FakeRuntimeApi() as api:
        environ = environment(four[case.name].entry, api.address, FNKIT_RESPONSE_MODE="streaming")
        with running(managed_command(), four[case.name].entry, environ, tmp_path / "log"):
            posted = api.call("hi")

    assert posted.kind == "error"
    assert isinstance(posted.json, dict)
    assert (posted.json["errorType"], posted.json["errorMessage"]) == ("ValueError", "chunk 0")


def test_an_error_in_mid_stream_is_told_by_trailers_and_the_next_event_is_served(four: dict[str, Built], tmp_path: Path) -> None:
    case = BY_NAME["stream that fails in its middle"]

    with FakeRuntimeApi() as api:
        environ = environment(four[case.name].entry, api.address, FNKIT_RESPONSE_MODE="streaming")
        with running(managed_command(), four[case.name].entry, environ, tmp_path / "log"):
            first, second = api.call(url_event(case.request)), api.call(url_event(case.request))

    for posted in (first, second):
        assert (posted.complete, posted.content) == (True, case.outcome.body)
        assert posted.error["errorMessage"] == "chunk 2"


def test_switched_off_a_streaming_url_gets_the_joined_answer(four: dict[str, Built], tmp_path: Path) -> None:
    case, log = BY_NAME["stream"], tmp_path / "log"

    with worker(four[case.name], log, managed=True, streaming=True, FNKIT_STREAM_RUNTIME="off") as host:
        posted = host._api.call(url_event(case.request))

    assert isinstance(host, Worker)
    assert (posted.streaming, posted.json) == (False, case.outcome.body.decode())
    assert "answers are buffered, not streamed: it is switched off by FNKIT_STREAM_RUNTIME" in log.read_text()


MOVED = """
import sys, types
import awslambdaric.bootstrap as bootstrap
{change}
import awslambdaric.__main__ as main
main.main(["awslambdaric", "fnkit.runtime.handler.handler"])
"""


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("bootstrap.LambdaRuntimeClient.marshaller = None", "awslambdaric's client has no marshaller as expected"),
        (
            "known = bootstrap.handle_event_request\n"
            "bootstrap.handle_event_request = lambda client, handler, *more: known(client, handler, *more)",
            "awslambdaric.bootstrap.handle_event_request takes other arguments than expected",
        ),
    ],
)
def test_where_the_managed_client_is_not_as_expected_answers_are_buffered(
    change: str, complaint: str, four: dict[str, Built], tmp_path: Path
) -> None:
    case, log, program = BY_NAME["stream"], tmp_path / "log", tmp_path / "moved.py"
    if "marshaller" in change:  # the real one is needed to serve at all
        change = (
            "import awslambdaric.lambda_runtime_client as c\nclass New(c.LambdaRuntimeClient):\n    pass\nNew.marshaller = None\n"
            + ("bootstrap.LambdaRuntimeClient = New")
        )
    program.write_text(MOVED.replace("{change}", change))
    bundle = four[case.name].entry
    with FakeRuntimeApi() as api:
        environ = environment(bundle, api.address, FNKIT_RESPONSE_MODE="streaming", PYTHONPATH=str(bundle))
        with running([sys.executable, str(program)], bundle, environ, log):
            posted = api.call(url_event(case.request))

    assert (posted.streaming, posted.json) == (False, case.outcome.body.decode())
    assert complaint in log.read_text()


def test_an_error_at_the_start_is_reported_by_the_managed_client(four: dict[str, Built], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    subprocess.run(["cp", "-r", str(four["stream"].entry), str(bundle)], check=True)
    (bundle / "steps.py").write_text("import nothing_of_that_name\n")
    for compiled in (bundle / "__pycache__").glob("steps.*"):
        compiled.unlink()

    with FakeRuntimeApi() as api:
        with running(managed_command(), bundle, environment(bundle, api.address), tmp_path / "log"):
            kind, document = api.init_errors.get(timeout=60)

    assert kind == "Runtime.ImportModuleError"
    assert "nothing_of_that_name" in str(document["errorMessage"])
