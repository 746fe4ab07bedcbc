import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError, PartialCredentialsError

from fnkit.deploy.aws import Aws
from fnkit.deploy.aws_errors import explain
from fnkit.deploy.session import Session
from fnkit.deploy.state import Code, Configuration
from fnkit.errors import CredentialsError, DeployError, FnkitError, UsageError

CONFIGURATION = Configuration("python3.11", "h.h", 128, 3, "x86_64", "arn:role", {"A1": "b"})


def _refusal(code: str, message: str = "", operation: str = "CreateFunction") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class ScriptedLambda:
    """A Lambda client whose calls answer, or raise, what *script* says for them, in turn; the last one stays."""

    def __init__(self, **script: list[object]) -> None:
        self.script = script
        self.calls: list[str] = []
        self.meta = self
        self.events = self

    def register(self, *_arguments: object, **_options: object) -> None:
        """Stand for botocore's hooks."""

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(*_positional: object, **_arguments: object) -> object:
            self.calls.append(operation)
            answers = self.script[operation]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def _aws(client: object, slept: list[float] | None = None) -> Aws:
    pauses: list[float] = [] if slept is None else slept
    return Aws(Session(lambda _service: client, "eu-central-1", "aws", None), sleep=pauses.append)


def _create(cloud: Aws, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"zip")
    cloud.create_function("f", Code(path, "", 3), CONFIGURATION, bucket="", tags={}, progress=lambda name, sent, total: None)


def test_a_role_that_lambda_does_not_know_yet_is_waited_for(tmp_path: Path) -> None:
    too_early = _refusal("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.")
    client, slept = ScriptedLambda(create_function=[too_early, too_early, {"State": "Active"}]), list[float]()

    _create(_aws(client, slept), tmp_path)

    assert client.calls == ["create_function"] * 3
    assert slept == [0.5, 1.0]


def test_a_change_waits_for_the_one_before_it() -> None:
    busy = _refusal(
        "ResourceConflictException", "The operation cannot be performed at this time. An update is in progress for resource"
    )
    client = ScriptedLambda(publish_version=[busy, {"Version": "7"}])

    assert _aws(client).publish("f") == "7"


def test_a_function_is_waited_for_until_it_is_active(tmp_path: Path) -> None:
    states: list[object] = [{"State": "Pending"}, {"State": "Active", "LastUpdateStatus": "InProgress"}, {"State": "Active"}]
    client = ScriptedLambda(create_function=[{"State": "Pending"}], get_function_configuration=states)

    _create(_aws(client), tmp_path)

    assert client.calls == ["create_function", *["get_function_configuration"] * 3]


def test_a_function_that_fails_to_start_says_why(tmp_path: Path) -> None:
    failed = {"State": "Failed", "StateReason": "no such layer"}
    client = ScriptedLambda(create_function=[{"State": "Pending"}], get_function_configuration=[failed])

    with pytest.raises(DeployError, match="no such layer"):
        _create(_aws(client), tmp_path)


def test_waiting_has_an_end(tmp_path: Path) -> None:
    busy = _refusal("ResourceConflictException", "An update is in progress")
    slept = list[float]()

    with pytest.raises(DeployError, match="ResourceConflictException"):
        _create(_aws(ScriptedLambda(create_function=[busy]), slept), tmp_path)

    assert 100 < sum(slept) < 150


def test_another_conflict_is_not_retried(tmp_path: Path) -> None:
    client = ScriptedLambda(create_function=[_refusal("ResourceConflictException", "Function already exist: f")])

    with pytest.raises(DeployError, match="already exist"):
        _create(_aws(client), tmp_path)

    assert client.calls == ["create_function"]


def test_other_code_than_was_sent_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"zip")
    code = Code(path, base64.b64encode(hashlib.sha256(b"zip").digest()).decode(), 3)
    client = ScriptedLambda(update_function_code=[{"CodeSha256": "other"}])

    with pytest.raises(DeployError, match="holds other code than was sent"):
        _aws(client).update_code("f", code, architecture="x86_64", bucket="", progress=lambda name, sent, total: None)


def test_an_upload_to_s3_that_fails_is_one_of_our_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"zip")
    client = ScriptedLambda(head_object=[_refusal("404")], upload_file=[S3UploadFailedError("Failed to upload")])

    with pytest.raises(DeployError, match="Failed to upload"):
        _aws(client).update_code(
            "f", Code(path, "", 3, "key"), architecture="x86_64", bucket="b", progress=lambda name, sent, total: None
        )


def test_a_permission_that_is_gone_already_is_no_error() -> None:
    client = ScriptedLambda(remove_permission=[_refusal("ResourceNotFoundException")])

    _aws(client).forbid("f", "live", "fnkit-public-url")

    assert client.calls == ["remove_permission"]


def test_a_function_without_an_alias_has_its_own_url() -> None:
    absent = _refusal("ResourceNotFoundException")
    own = {"FunctionUrl": "http://127.0.0.1:8080", "AuthType": "NONE"}

    assert _aws(ScriptedLambda(get_function_url_config=[absent, own])).find_url("chat") == "http://127.0.0.1:8080/"
    assert _aws(ScriptedLambda(get_function_url_config=[absent])).find_url("chat") is None


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            _refusal("ExpiredTokenException", "The security token included in the request is expired"),
            CredentialsError,
            ("expired", "log in again"),
        ),
        (_refusal("InvalidClientTokenId", "invalid"), CredentialsError, ("does not accept", "--target local")),
        (_refusal("SignatureDoesNotMatch", "no match"), CredentialsError, ("does not accept", "access keys")),
        (_refusal("AccessDeniedException", "User is not authorized"), DeployError, ("not allowed", "CreateFunction")),
        (_refusal("ThrottlingException", "slow down"), DeployError, ("ThrottlingException", "slow down")),
        (NoCredentialsError(), CredentialsError, ("no AWS credentials", "fnkit emulate")),
        (PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), CredentialsError, ("AWS_SECRET_ACCESS_KEY",)),
        (S3UploadFailedError("Failed to upload a.zip to b/c: denied"), DeployError, ("Failed to upload", "bucket")),
        (NoRegionError(), UsageError, ("no AWS region", "--region")),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1/"), DeployError, ("cannot be reached", "127.0.0.1:1")),
    ],
)
def test_what_boto3_raises_is_said_in_our_words(error: Exception, kind: type[FnkitError], words: tuple[str, ...]) -> None:
    explained = explain(error)

    assert type(explained) is kind
    for word in words:
        assert word in explained.explain()
