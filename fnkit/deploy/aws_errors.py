"""Say in our words what boto3 raises: who is not known, what is not allowed, what cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error, S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from fnkit.errors import CredentialsError, DeployError, FnkitError, UsageError

WITHOUT_ACCOUNT = "to run the graph without a cloud account use --target local, or: fnkit emulate TARGET"
_UNKNOWN_CALLER = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "AuthFailure",
    "MissingAuthenticationToken",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, SSOError, TokenRetrievalError)
_UNREACHABLE = (EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError, HTTPClientError)


def code_of(error: ClientError) -> str:
    """Return AWS's word for *error*."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explain(error: Exception, *, region: str = "") -> FnkitError:
    """Return *error* of boto3 as one of ours."""
    if isinstance(error, ClientError):
        return _of_answer(error)
    if isinstance(error, _NO_CREDENTIALS):
        return no_credentials(str(error))
    if isinstance(error, ProfileNotFound):
        return CredentialsError(str(error), where="AWS_PROFILE", hint="name a profile of ~/.aws/config")
    if isinstance(error, NoRegionError | InvalidRegionError):
        return no_region(region)
    if isinstance(error, S3UploadFailedError):
        return DeployError(str(error), where="S3", hint="check the permission to write to the bucket, and the network")
    if isinstance(error, ResponseParserError):
        return DeployError(
            "what answers is not AWS: its answer cannot be read",
            hint="check --endpoint-url; an emulator of fnkit runs a graph by `fnkit emulate TARGET` and takes no deployments",
        )
    if isinstance(error, _UNREACHABLE):
        where = f"region {region}" if region else ""
        return DeployError(f"AWS cannot be reached: {error}", where=where, hint="check the network, --region and --endpoint-url")
    return DeployError(f"boto3 failed: {error}")


def no_credentials(why: str) -> CredentialsError:
    """Return the error of someone who did not say who they are."""
    return CredentialsError(
        f"no AWS credentials: {why}",
        hint=f"run `aws configure`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; {WITHOUT_ACCOUNT}",
    )


def no_region(region: str = "", *, credentials: bool = True) -> UsageError:
    """Return the error of a region that is missing or is none; *credentials*: whether at least they are there."""
    message = f"{region!r} is no AWS region" if region else "no AWS region is set"
    hint = "give --region, or set AWS_REGION or [tool.fnkit] region, such as eu-central-1"
    if not credentials:
        message, hint = f"{message}, and there are no credentials", f"{hint}; run `aws configure`; {WITHOUT_ACCOUNT}"
    return UsageError(message, where="--region", hint=hint)


@contextmanager
def translated(region: str = "") -> Iterator[None]:
    """Raise what boto3 raises inside as one of our errors."""
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error, ResponseParserError) as error:
        raise explain(error, region=region) from error


def _of_answer(error: ClientError) -> FnkitError:
    code = code_of(error)
    said = str(error.response.get("Error", {}).get("Message", "")) or str(error)
    call = error.operation_name
    if code.startswith("ExpiredToken"):
        return CredentialsError(f"the AWS credentials have expired: {said}", where=call, hint=f"log in again; {WITHOUT_ACCOUNT}")
    if code in _UNKNOWN_CALLER:
        hint = f"check AWS_PROFILE and the access keys; {WITHOUT_ACCOUNT}"
        return CredentialsError(f"AWS does not accept the credentials: {said}", where=call, hint=hint)
    if code in _DENIED:
        return DeployError(f"not allowed: {said}", where=call, hint=f"ask for the permission to call {call}")
    return DeployError(f"{code or 'error'}: {said}", where=call)
