"""Bundles under Amazon's Runtime Interface Emulator: our own loop through the exec wrapper, and the managed client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.bundles import Built
from tests.contract.cases import CASES, Case
from tests.contract.hosts import environment, managed_command, outcome_of_document, outcome_of_stream, own_command, url_event
from tests.fakes.rie import Rie, running_rie

BY_NAME = {case.name: case for case in CASES}
WAYS = ("wrapper", "patch")


@contextmanager
def serve(rie: Path, bundle: Path, way: str, log: Path, mode: str) -> Iterator[Rie]:
    environ = environment(bundle, "", FNKIT_RESPONSE_MODE=mode, AWS_LAMBDA_FUNCTION_TIMEOUT="20")
    if way == "patch":
        environ["PYTHONPATH"] = str(bundle)
    command = own_command(bundle) if way == "wrapper" else managed_command()
    with running_rie(rie, command, environ, bundle, log) as server:
        yield server


def ask(case: Case) -> dict[str, object]:
    return url_event(case.request)


@pytest.mark.parametrize("way", WAYS)
def test_a_buffered_answer(way: str, rie: Path, four: dict[str, Built], tmp_path: Path) -> None:
    case = BY_NAME["linear"]

    with serve(rie, four[case.name].entry, way, tmp_path / "log", "buffered") as server:
        http = server.call(ask(case))
        direct = server.call(["x"])

    assert direct.body == case.outcome.body
    assert outcome_of_document(json.loads(http.body)).body == case.outcome.body


@pytest.mark.parametrize("way", WAYS)
def test_a_streamed_answer(way: str, rie: Path, four: dict[str, Built], tmp_path: Path) -> None:
    case = BY_NAME["stream"]

    with serve(rie, four[case.name].entry, way, tmp_path / "log", "streaming") as server:
        answers = [server.call(ask(case)) for _ in range(3)]

    for answer in answers:
        outcome = outcome_of_stream(answer.body)
        assert (answer.status, outcome.status, outcome.body) == (200, 200, case.outcome.body)


@pytest.mark.parametrize("way", WAYS)
def test_a_plain_answer_of_a_streaming_url(way: str, rie: Path, four: dict[str, Built], tmp_path: Path) -> None:
    case = BY_NAME["linear"]

    with serve(rie, four[case.name].entry, way, tmp_path / "log", "streaming") as server:
        answers = [server.call(ask(case)) for _ in range(3)]

    assert [outcome_of_stream(answer.body).body for answer in answers] == [case.outcome.body] * 3


@pytest.mark.parametrize("way", WAYS)
def test_an_error_before_the_first_chunk(way: str, rie: Path, four: dict[str, Built], tmp_path: Path) -> None:
    case = BY_NAME["stream that fails at once"]

    with serve(rie, four[case.name].entry, way, tmp_path / "log", "streaming") as server:
        http = server.call(ask(case))
        direct = server.call("hi")
        again = server.call(ask(case))

    assert outcome_of_stream(http.body).status == 400
    assert outcome_of_stream(again.body).body == case.outcome.body
    found = json.loads(direct.body)
    assert (found["errorType"], found["errorMessage"]) == ("ValueError", "chunk 0")


@pytest.mark.parametrize("way", WAYS)
def test_an_error_in_mid_stream(way: str, rie: Path, four: dict[str, Built], tmp_path: Path) -> None:
    case = BY_NAME["stream that fails in its middle"]
    log = tmp_path / "log"

    with serve(rie, four[case.name].entry, way, log, "streaming") as server:
        answers = [server.call(ask(case)) for _ in range(2)]

    assert [outcome_of_stream(answer.body).body for answer in answers] == [case.outcome.body] * 2
    assert "[ERROR] ValueError: chunk 2" in log.read_text()
