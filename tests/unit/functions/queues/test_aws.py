"""AWS is asked with a signed request, asked again where that helps, and what it refuses is said with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing

import pytest

from fnkit.functions.queues.aws import ATTEMPTS, AwsClient, AwsError, aws_client
from fnkit.functions.queues.errors import MessageTooLargeError, QueueError
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.senders import Sender, open_sender
from fnkit.functions.queues.spec import QueueSpec, read_spec
from fnkit.functions.sigv4 import Credentials
from tests.fakes.aws_refusals import Answer, json_refusal, refusing_aws, sqs_refusal

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"
GOOD: Answer = (200, {}, {"Successful": []})


def environ(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "hush-hush",
        "AWS_SESSION_TOKEN": "session",
        "AWS_REGION": "us-east-1",
    }


def spec_of(path: str) -> QueueSpec:
    spec, problems = read_spec("out", {"path": path})
    assert spec is not None, problems
    return spec


def opened(path: str, endpoint: str) -> closing[Sender]:
    return closing(open_sender(spec_of(path), environ(endpoint)))


def client(endpoint: str, pauses: list[float]) -> AwsClient:
    return AwsClient("sqs", "eu-west-1", endpoint, lambda: Credentials("AKIDEXAMPLE", "x"), pause=pauses.append)


def test_a_request_is_signed_for_the_region_of_the_queue_and_names_its_operation() -> None:
    with refusing_aws(GOOD) as aws:
        with opened(URL, aws.url) as sender:
            sender.send([Message(b"hello", key="k")])

    ((method, path, headers, body),) = aws.asked
    assert (method, path, headers["x-amz-target"]) == ("POST", "/", "AmazonSQS.SendMessageBatch")
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert "Credential=AKIDEXAMPLE/" in headers["authorization"]
    assert "/eu-west-1/sqs/aws4_request" in headers["authorization"]
    assert headers["x-amz-security-token"] == "session"
    assert json.loads(body)["Entries"][0]["MessageBody"] == "hello"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("InvalidClientTokenId", "AWS does not know these credentials"),
        ("SignatureDoesNotMatch", "AWS does not know these credentials"),
        ("ExpiredToken", "the credentials have expired"),
        ("AccessDenied", "their role may not do this"),
        ("AWS.SimpleQueueService.NonExistentQueue", "create it"),
    ],
)
def test_what_sqs_refuses_is_said_at_once_with_what_to_do_and_without_any_secret(code: str, hint: str) -> None:
    with refusing_aws(sqs_refusal(code, "no, thank you")) as aws:
        with opened(URL, aws.url) as sender, pytest.raises(QueueError, match="SQS did not accept a message") as refused:
            sender.send([Message(b"hello")])

    said = refused.value.explain()
    assert f"{code}: no, thank you" in said
    assert hint in said
    assert "hush" not in said
    assert refused.value.status == 503
    assert len(aws.asked) == 1


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("UnrecognizedClientException", "AWS does not know these credentials"),
        ("ExpiredTokenException", "the credentials have expired"),
        ("ResourceNotFoundException", "create it"),
    ],
)
def test_what_kinesis_refuses_is_said_at_once_with_what_to_do(code: str, hint: str) -> None:
    with refusing_aws(json_refusal(code, "no, thank you")) as aws:
        with (
            opened("kinesis://events", aws.url) as sender,
            pytest.raises(QueueError, match=f"did not accept a message: {code}: no") as refused,
        ):
            sender.send([Message(b"hello")])

    assert hint in refused.value.hint
    assert len(aws.asked) == 1


@pytest.mark.parametrize("again", [(500, {}, {}), sqs_refusal("RequestThrottled", "slow"), (429, {}, {})])
def test_a_throttle_or_an_error_of_aws_is_asked_again_after_a_pause(again: Answer) -> None:
    pauses: list[float] = []
    with refusing_aws(again, again, GOOD) as aws:
        with closing(client(aws.url, pauses)) as asking:
            answer = asking.call("SendMessageBatch", {})

    assert answer == {"Successful": []}
    assert len(aws.asked) == 3
    assert len(pauses) == 2
    assert pauses == sorted(pauses)


def test_an_endpoint_that_nobody_listens_on_is_named_after_some_attempts() -> None:
    pauses: list[float] = []

    with pytest.raises(AwsError, match=r"http://127\.0\.0\.1:1 cannot be reached"):
        client("http://127.0.0.1:1", pauses).call("SendMessageBatch", {})

    assert len(pauses) == ATTEMPTS - 1


def test_without_a_region_or_credentials_it_is_said_what_to_set() -> None:
    with pytest.raises(AwsError, match="nobody said in which region") as refused:
        aws_client("sqs", {})
    assert refused.value.hint == "set AWS_REGION"

    nobody = AwsClient("sqs", "eu-west-1", "http://127.0.0.1:1", lambda: None)
    with pytest.raises(AwsError, match="nobody said with which credentials"):
        nobody.call("SendMessageBatch", {})


@pytest.mark.parametrize(
    ("path", "size", "answer"),
    [
        (URL, 1024 * 1024 + 1, GOOD),
        (URL, 300_000, sqs_refusal("InvalidParameterValue", "Reason: Message must be shorter than 262144 bytes.")),
        ("kinesis://events", 10 * 1024 * 1024 + 1, GOOD),
        (
            "kinesis://events",
            1_100_000,
            json_refusal("ValidationException", "Member must have length less than or equal to 1048576"),
        ),
    ],
)
def test_a_message_that_does_not_fit_is_refused_as_too_large(path: str, size: int, answer: Answer) -> None:
    with refusing_aws(answer) as aws:
        with opened(path, aws.url) as sender, pytest.raises(MessageTooLargeError, match="does not fit into the") as refused:
            sender.send([Message(b"x" * size)])

    assert refused.value.status == 413
    assert len(aws.asked) == (answer is not GOOD)


def test_batches_of_sqs_stay_below_the_size_that_it_takes() -> None:
    with refusing_aws(GOOD) as aws:
        with opened(URL, aws.url) as sender:
            sender.send([Message(b"x" * 500_000), Message(b"y" * 500_000), Message(b"z" * 500_000)])

    assert [len(json.loads(body)["Entries"]) for _, _, _, body in aws.asked] == [2, 1]


def test_a_fifo_queue_gets_the_group_of_the_key_and_the_id_against_duplicates() -> None:
    with refusing_aws(GOOD) as aws:
        with opened(f"{URL}.fifo", aws.url) as sender:
            sender.send([Message(b"hello", key="k", id="e1")])

    (entry,) = json.loads(aws.asked[0][3])["Entries"]
    assert (entry["MessageGroupId"], entry["MessageDeduplicationId"]) == ("k", "e1")


def test_sending_to_sqs_needs_neither_boto3_nor_an_event_loop() -> None:
    program = "import sys; import fnkit.functions.queues.sqs; print(*sorted(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()

    assert not {"boto3", "botocore", "asyncio", "http.client", "logging", "urllib3", "sqlite3", "random"} & set(loaded)
