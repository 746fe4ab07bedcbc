"""Ask a service of AWS: one signed request, one JSON answer, by the standard library alone.

Importing boto3 takes longer than a whole cold start of a function, and what a function with queues asks of AWS is a JSON document each
way. Credentials are those of the environment; where it has none and boto3 is installed, boto3 looks for them (profiles, single sign-on).
What may be asked again (throttles, errors of AWS itself, broken connections) is asked again after a pause.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from json import dumps, loads

from fnkit.errors import FnkitError
from fnkit.functions.sigv4 import Credentials, Signer, quote
from fnkit.net.blocking import connector, run
from fnkit.net.client import Client
from fnkit.net.errors import NetError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ATTEMPTS = 4
TIMEOUT_S = 15.0  # of one attempt
_LARGEST = 16 * 1024 * 1024
_TARGETS = {
    "sqs": ("AmazonSQS", "1.0"),
    "kinesis": ("Kinesis_20131202", "1.1"),
    "secretsmanager": ("secretsmanager", "1.1"),
}  # service -> the prefix of its operations, and the version of its JSON protocol
_ENDPOINTS = {"secretsmanager": "SECRETS_MANAGER"}
_AGAIN = frozenset(
    "ThrottlingException Throttling RequestThrottled RequestThrottledException TooManyRequestsException RequestLimitExceeded"
    " SlowDown ServiceUnavailable InternalFailure LimitExceededException KMSThrottlingException".split()
)
_UNKNOWN = frozenset(
    "InvalidClientTokenId UnrecognizedClientException InvalidAccessKeyId SignatureDoesNotMatch InvalidSignatureException"
    " IncompleteSignature AuthFailure MissingAuthenticationToken MissingAuthenticationTokenException InvalidToken".split()
)
_EXPIRED = frozenset("ExpiredToken ExpiredTokenException RequestExpired TokenRefreshRequired".split())
_DENIED = frozenset("AccessDenied AccessDeniedException KMSAccessDeniedException".split())
_MISSING = frozenset(
    "AWS.SimpleQueueService.NonExistentQueue QueueDoesNotExist ResourceNotFoundException NotFoundException".split()
)
Find = Callable[[], "Credentials | None"]


class AwsError(FnkitError):
    """What AWS refused, or why it could not be asked. *code* is its name of the error, `""` where nothing was answered."""

    def __init__(self, message: str, *, code: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.code = code


class AwsClient:
    """Asks one service in one region. Safe to use from many threads. *find* is asked at each request."""

    def __init__(
        self, service: str, region: str, endpoint: str, find: Find, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._service, self._region, self._find, self._pause = service, region, find, pause
        self.endpoint = endpoint.rstrip("/")
        self._idle: list[Client] = []  # a client belongs to the thread that took it out of here

    def call(self, operation: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        """Return what *operation* of a JSON service answers. `AwsError` when it refuses, or cannot be asked."""
        prefix, version = _TARGETS[self._service]
        headers = [("Content-Type", f"application/x-amz-json-{version}"), ("X-Amz-Target", f"{prefix}.{operation}")]
        return self._persist("POST", "/", headers, dumps(arguments).encode())

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON document at *path* of a REST service."""
        return self._persist("GET", path, [], b"")

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            run(self._idle.pop().close())

    def _persist(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> dict[str, Any]:
        for attempt in range(1, ATTEMPTS):
            try:
                return self._ask(method, path, headers, body)
            except _Again:
                self._pause(jitter() * min(2.0, 0.1 * 2**attempt))
        try:
            return self._ask(method, path, headers, body)
        except _Again as error:
            raise error.error from error.error.__cause__

    def _ask(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> dict[str, Any]:
        signed = headers + self._signer().sign(method, self._host(), path, {}, headers, body, time.time())
        client = self._taken()
        try:
            reply = run(client.request(method, f"{self.endpoint}{path}", headers=signed, body=body, timeout_s=TIMEOUT_S))
            answer = run(reply.read(_LARGEST))
        except NetError as error:
            said = AwsError(
                f"{self.endpoint} cannot be reached: {error.message}", hint="see that the network and the endpoint are right"
            )
            said.__cause__ = error
            raise _Again(said) from error
        finally:
            self._idle.append(client)
        if reply.status == 200:
            return _document(answer)
        raise _refusal(reply.status, reply.header("x-amzn-query-error") or reply.header("x-amzn-errortype"), _document(answer))

    def _taken(self) -> Client:
        try:
            return self._idle.pop()
        except IndexError:
            return Client(connector())

    def _signer(self) -> Signer:
        credentials = self._find()
        if credentials is None:
            raise AwsError(
                "nobody said with which credentials AWS is asked",
                hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE with boto3 installed",
            )
        return Signer(credentials, self._region, self._service)

    def _host(self) -> str:
        return self.endpoint.partition("://")[2].partition("/")[0]


class _Again(Exception):
    """An attempt that may be made again; *error* is what to raise at last."""

    def __init__(self, error: AwsError) -> None:
        super().__init__(str(error))
        self.error = error


def aws_client(service: str, environ: Mapping[str, str], *, region: str = "") -> AwsClient:
    """Return the client of *service* that *environ* describes: credentials, region (unless *region* is given) and endpoint."""
    region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    own = environ.get(f"AWS_ENDPOINT_URL_{_ENDPOINTS.get(service, service.upper())}") or environ.get("AWS_ENDPOINT_URL")
    if not region and not own:
        raise AwsError("nobody said in which region AWS is asked", hint="set AWS_REGION")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    endpoint = own or f"https://{service}.{region}.{suffix}"
    return AwsClient(service, region or "us-east-1", endpoint, _finder(environ))


def _finder(environ: Mapping[str, str]) -> Find:
    if (found := Credentials.from_environment(environ)) is not None:
        return lambda: found
    try:
        session = import_module("boto3").Session(profile_name=environ.get("AWS_PROFILE") or None)
        chain = session.get_credentials()
    except ModuleNotFoundError:
        return lambda: None
    except Exception as error:  # botocore's, which is not there everywhere: a profile that does not exist, a file that is broken
        raise AwsError(f"the credentials for AWS cannot be found: {error}", hint="see AWS_PROFILE and ~/.aws/config") from error
    return lambda: _frozen(chain)


def _frozen(chain: Any) -> Credentials | None:
    if chain is None:
        return None
    now = chain.get_frozen_credentials()  # renews those that end soon
    return Credentials(now.access_key, now.secret_key, now.token or "")


def _document(answer: bytes) -> dict[str, Any]:
    try:
        found = loads(answer) if answer else {}
    except ValueError:
        return {"message": answer[:300].decode("utf-8", "replace")}
    return found if isinstance(found, dict) else {}


def _refusal(status: int, named: str, found: Mapping[str, Any]) -> Exception:
    code = named.partition(";")[0].partition(":")[0] or str(found.get("__type") or found.get("code") or "").rpartition("#")[2]
    text = str(found.get("message") or found.get("Message") or "")
    error = AwsError(": ".join(filter(None, (code or f"status {status}", text))), code=code, hint=advice_on(code))
    return _Again(error) if status >= 500 or status == 429 or code in _AGAIN else error


def advice_on(code: str) -> str:
    """Return what to do about an error that AWS calls *code*, `""` where nothing is known."""
    if code in _UNKNOWN:
        return "AWS does not know these credentials: see AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
    if code in _EXPIRED:
        return "the credentials have expired: get new ones, and start again with them"
    if code in _DENIED:
        return "the credentials are good, but their role may not do this"
    return "create it, and see that region and account are right" if code in _MISSING else ""


def jitter() -> float:
    """Return a random number from a half to one. The module random costs more to import than all of this."""
    return 0.5 + os.urandom(1)[0] / 512


def arn_region(arn: str) -> str:
    """Return the region that *arn* names."""
    return arn.split(":", 4)[3] if arn.count(":") >= 4 else ""


def rest_path(*parts: str) -> str:
    """Return *parts* as a path, each percent-encoded."""
    return "/" + "/".join(quote(part) for part in parts)
