"""Functions get made-up AWS credentials unless a queue of their graph is on AWS; the user's never go to the emulator itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fnkit.errors import UsageError
from fnkit.functions.links import calling
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit.manifest import Function
from fnkit_emulator.credentials import find_aws_credentials, outside, with_credentials
from fnkit_emulator.deployed import Deployed, variables
from fnkit_emulator.options import Options

SHELL = {
    "AWS_ACCESS_KEY_ID": "AKIDUSER",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "AWS_SESSION_TOKEN": "hunter3",
    "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:5000",
    "AWS_ENDPOINT_URL_LAMBDA": "http://elsewhere",
    "SHELL_ONLY": "1",
}


def spec_of(path: str, **args: object) -> QueueSpec:
    spec, problems = read_spec("out", {"path": path, **args})
    assert spec is not None, problems
    return spec


def environ_of(options: Options) -> Mapping[str, str]:
    deployed = Deployed(
        function=Function("graph", "entry", environment={"AWS_ACCESS_KEY_ID": "AKIDMANIFEST"}),
        root=Path("/task"),
        zip_path=Path("/graph.zip"),
        sha256="",
        size=0,
        python="python",
        version="3.11",
        streaming=False,
        limit=1,
        region="eu-west-1",
    )
    return variables(deployed, options, endpoint="http://127.0.0.1:1", access_key="AKIDEMULATED")


@pytest.mark.parametrize("path", ["", "kafka://b:9092/topic"])
def test_a_graph_without_queues_on_aws_gets_made_up_credentials(path: str) -> None:
    options, remarks = with_credentials(Options(), [spec_of(path)], shell=SHELL)
    environ = environ_of(options)

    assert environ["AWS_ACCESS_KEY_ID"] == "AKIDEMULATED"
    assert not {"hunter2", "hunter3"} & set(environ.values())
    assert "AWS_ENDPOINT_URL_SQS" not in environ
    assert remarks == ()


@pytest.mark.parametrize("path", ["sqs://jobs", "kinesis://events"])
def test_a_graph_with_a_queue_on_aws_gets_the_users_credentials_and_endpoints(path: str) -> None:
    options, remarks = with_credentials(Options(), [spec_of(path)], shell=SHELL)
    environ = environ_of(options)

    assert [environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")] == [
        "AKIDUSER",
        "hunter2",
        "hunter3",
    ]
    assert environ["AWS_ENDPOINT_URL_SQS"] == "http://127.0.0.1:5000"
    assert environ["AWS_ENDPOINT_URL_LAMBDA"] == "http://127.0.0.1:1"
    assert "SHELL_ONLY" not in environ
    assert remarks == ()


def test_the_option_decides_where_it_is_given() -> None:
    without, _ = with_credentials(Options(aws_credentials=False), [spec_of("sqs://jobs")], shell=SHELL)
    with_them, _ = with_credentials(Options(aws_credentials=True), [], shell=SHELL)

    assert environ_of(without)["AWS_ACCESS_KEY_ID"] == "AKIDEMULATED"
    assert environ_of(with_them)["AWS_ACCESS_KEY_ID"] == "AKIDUSER"


def test_keys_that_are_given_by_hand_win_and_are_not_mixed_with_the_shells() -> None:
    given = {"AWS_ACCESS_KEY_ID": "AKIDGIVEN", "AWS_SECRET_ACCESS_KEY": "given"}

    options, _ = with_credentials(Options(environment=given), [spec_of("sqs://jobs")], shell=SHELL)
    environ = environ_of(options)

    assert (environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"]) == ("AKIDGIVEN", "given")
    assert "AWS_SESSION_TOKEN" not in environ
    assert "AWS_SESSION_TOKEN" not in outside(given, SHELL)
    assert outside({}, SHELL)["AWS_SESSION_TOKEN"] == "hunter3"


def test_the_emulator_is_called_with_its_own_key_and_no_other() -> None:
    options, _ = with_credentials(Options(), [spec_of("sqs://jobs")], shell=SHELL)

    seen = calling(environ_of(options))

    assert seen["AWS_ACCESS_KEY_ID"] == "AKIDEMULATED"
    assert seen["AWS_SESSION_TOKEN"] == ""
    assert "hunter2" not in seen.values()


def test_a_queue_on_aws_without_any_credentials_is_remarked_on() -> None:
    _, remarks = with_credentials(Options(), [spec_of("sqs://jobs")], shell={}, resolve=lambda _around: {})

    assert remarks == (
        "queue 'out' of this graph is on AWS, without credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )


def test_a_profile_that_is_unknown_refuses_the_start() -> None:
    with pytest.raises(UsageError, match="the AWS credentials cannot be found") as refused:
        find_aws_credentials({"AWS_PROFILE": "fnkit-no-such-profile"})

    assert refused.value.where == "profile fnkit-no-such-profile"


def test_the_credentials_of_kafka_are_passed_on_by_the_name_that_the_graph_gives() -> None:
    login = json.dumps({"username": "ann", "password": "hunter2"})
    spec = spec_of("kafka://b:9092/topic", credentials="LOGIN")

    options, _ = with_credentials(Options(), [spec], shell={"LOGIN": login})

    assert environ_of(options)["LOGIN"] == login
    assert "hunter2" not in repr(options)
    assert "hunter2" not in repr(replace(options, identity=SHELL))


@pytest.mark.parametrize("value", ["", "hunter2"])
def test_credentials_of_kafka_that_are_missing_or_wrong_refuse_the_start(value: str) -> None:
    spec = spec_of("kafka://b:9092/topic", credentials="LOGIN")

    with pytest.raises(UsageError, match="variable LOGIN") as refused:
        with_credentials(Options(), [spec], shell={"LOGIN": value})

    assert "queue 'out'" in refused.value.message
    assert "hunter2" not in refused.value.explain()


def test_what_reaches_a_v3io_stream_is_passed_on() -> None:
    shell = {"V3IO_API": "https://v3io", "V3IO_ACCESS_KEY": "key", "OTHER": "1"}

    environ = environ_of(with_credentials(Options(), [spec_of("v3io:///projects/out")], shell=shell)[0])
    without = environ_of(with_credentials(Options(), [spec_of("")], shell=shell)[0])

    assert (environ["V3IO_API"], environ["V3IO_ACCESS_KEY"]) == ("https://v3io", "key")
    assert "V3IO_ACCESS_KEY" not in without


@pytest.mark.parametrize(
    ("path", "missing"),
    [("v3io:///projects/out", {"V3IO_API", "V3IO_ACCESS_KEY"}), ("v3io://service/projects/out", {"V3IO_ACCESS_KEY"})],
)
def test_a_v3io_stream_that_cannot_be_reached_refuses_the_start_and_names_what_is_not_set(path: str, missing: set[str]) -> None:
    with pytest.raises(UsageError) as refused:
        with_credentials(Options(), [spec_of(path)], shell={})

    assert {name for name in ("V3IO_API", "V3IO_ACCESS_KEY") if f"the variable {name}," in refused.value.message} == missing
