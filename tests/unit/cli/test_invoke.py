import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fnkit.cli.invoke import command, media_type
from tests.fakes.http_answers import answering

OK = b"HTTP/1.1 200 OK\r\n"


def _invoke(*arguments: str, stdin: bytes = b"", environ: Mapping[str, str | None] | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=stdin, env={"FNKIT_EMULATOR_URL": "", **(environ or {})})


def test_the_answer_is_printed_as_it_is() -> None:
    with answering([OK + b"Content-Length: 3\r\n\r\n\xff\x00a"]) as server:
        result = _invoke(server.url, "-d", '{"a": 1}')

    assert (result.exit_code, result.stdout_bytes) == (0, b"\xff\x00a")
    assert server.received.startswith(b"POST / ")
    assert b"Content-Type: application/json\r\n" in server.received
    assert server.received.endswith(b'{"a": 1}')


def test_without_a_body_the_function_is_asked_by_get() -> None:
    with answering([OK + b"Content-Length: 0\r\n\r\n"]) as server:
        _invoke(server.url, "--path", "/v2/models")

    assert server.received.startswith(b"GET /v2/models HTTP/1.1")


def test_chunks_are_printed_as_they_arrive() -> None:
    pieces = [OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\na\n\r\n", b"2\r\nb\n\r\n", b"0\r\n\r\n"]
    with answering(pieces, gated=True) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "fnkit", "invoke", server.url, "-d", "x", "--stream"], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        server.gates[1].set()
        first = process.stdout.readline()  # the second chunk has not been sent yet
        server.gates[2].set()
        server.gates[3].set()
        rest, _ = process.communicate(timeout=60)

    assert (first, rest, process.returncode) == (b"a\n", b"b\n", 0)


def test_machines_get_a_line_for_each_chunk_and_one_for_the_answer() -> None:
    with answering([OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"]) as server:
        result = _invoke(server.url, "--stream", "--json")

    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["chunk", "response"]
    assert (events[0]["data"], events[1]["status"], events[1]["chunks"]) == ("a", 200, 1)


def test_a_status_that_is_an_error_gives_exit_code_one_and_says_what_the_function_said() -> None:
    with answering([b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\nno inputs"]) as server:
        result = _invoke(server.url, "-d", "x")

    assert result.exit_code == 1
    assert "400 Bad Request: no inputs" in result.stderr
    assert result.stdout == ""


def test_a_stream_that_breaks_off_gives_exit_code_one_after_what_arrived() -> None:
    with answering([OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n"]) as server:
        result = _invoke(server.url, "--stream")

    assert (result.exit_code, result.stdout) == (1, "one")
    assert "broke off" in result.stderr


def test_a_body_comes_from_a_file_or_standard_input(tmp_path: Path) -> None:
    (tmp_path / "body.bin").write_bytes(b"\xff\x01")
    for arguments, stdin in ((("-d", f"@{tmp_path / 'body.bin'}"), b""), (("-d", "-"), b"\xff\x01")):
        with answering([OK + b"Content-Length: 0\r\n\r\n"]) as server:
            assert _invoke(server.url, *arguments, stdin=stdin).exit_code == 0
        assert server.received.endswith(b"\r\n\r\n\xff\x01")
        assert b"application/octet-stream" in server.received


def test_content_type_and_headers_are_those_given() -> None:
    with answering([OK + b"Content-Length: 0\r\n\r\n"]) as server:
        _invoke(server.url, "-d", "{}", "--content-type", "text/csv", "-H", "Accept: text/event-stream", "-X", "put")

    assert server.received.startswith(b"PUT ")
    assert b"Content-Type: text/csv\r\n" in server.received
    assert b"Accept: text/event-stream\r\n" in server.received


@pytest.mark.parametrize("option", ["--url", "FNKIT_EMULATOR_URL"])
def test_a_name_means_a_function_of_the_emulator(option: str) -> None:
    with answering([OK + b"Content-Length: 2\r\n\r\nhi"]) as server:
        by_option = option == "--url"
        arguments, environ = (("--url", server.url), {}) if by_option else ((), {option: server.url})
        result = _invoke("my graph", *arguments, environ=environ)

    assert result.stdout == "hi"
    assert server.received.startswith(b"GET /_functions/my%20graph/ ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("http://127.0.0.1:1/",), 1, "no answer"),
        (("http://x/", "-H", "nocolon"), 2, "is no header"),
        (("http://x/", "-d", "@/no/such/file"), 2, "cannot be read"),
        (("http://h:port/",), 2, "port"),
    ],
)
def test_wrong_use_says_what_and_where(arguments: tuple[str, ...], code: int, message: str) -> None:
    result = _invoke(*arguments)

    assert result.exit_code == code
    assert message in result.stderr


def test_an_unknown_name_without_credentials_names_the_remedy() -> None:
    environ = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}

    result = _invoke("chat", "--region", "eu-central-1", environ={**environ, "AWS_ACCESS_KEY_ID": None, "AWS_PROFILE": None})

    assert result.exit_code == 1
    assert "no AWS credentials" in result.stderr


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": 1}', "application/json"),
        (b"3", "application/json"),
        (b"hello", "text/plain; charset=utf-8"),
        (b"\xff", "application/octet-stream"),
    ],
)
def test_a_body_says_what_it_is(body: bytes, expected: str) -> None:
    assert media_type(body) == expected
