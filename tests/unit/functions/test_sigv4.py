"""Signatures, against those of botocore."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from fnkit.functions.sigv4 import Credentials, Signer, quote

NOW = datetime.datetime(2026, 11, 21, 10, 30, 5, tzinfo=datetime.UTC)


@contextmanager
def clock_at(moment: datetime.datetime, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let botocore, which takes no clock as a parameter, see *moment*."""
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_a, **_k: moment.replace(tzinfo=None), raising=False)
    yield


def signed_by_botocore(method: str, url: str, headers: dict[str, str], body: bytes, token: str | None) -> str:
    request = AWSRequest(method, url, headers=headers, data=body)
    SigV4Auth(BotocoreCredentials("AKID", "secret", token), "lambda", "eu-west-1").add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "token"),
    [
        ("POST", "/2015-03-31/functions/g-dev-step/invocations", {}, b'{"a": 1}', ""),
        ("POST", "/2021-11-15/functions/f/response-streaming-invocations", {"Qualifier": "7"}, b"\x00\xff", ""),
        ("GET", "/2015-03-31/functions/f", {"Qualifier": "$LATEST", "b": "x y/z", "a": "é"}, b"", "a session/token=="),
        ("POST", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Ax/invocations", {}, b"", ""),
    ],
)
def test_signatures_are_those_of_botocore(
    method: str, path: str, query: dict[str, str], body: bytes, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = "lambda.eu-west-1.amazonaws.com"
    headers = {"X-Amz-Client-Context": "e30=", "Content-Type": "application/json"}
    url = f"https://{host}{path}" + ("?" + "&".join(f"{quote(k)}={quote(v)}" for k, v in query.items()) if query else "")

    with clock_at(NOW, monkeypatch):
        expected = signed_by_botocore(method, url, headers, body, token or None)
    signer = Signer(Credentials("AKID", "secret", token), "eu-west-1", "lambda")
    added = dict(signer.sign(method, host, path, query, list(headers.items()), body, NOW.timestamp()))

    assert added["Authorization"] == expected
    assert added["X-Amz-Date"] == "20261121T103005Z"
    assert added.get("X-Amz-Security-Token", "") == token


def test_the_key_follows_the_day() -> None:
    signer = Signer(Credentials("AKID", "secret"), "eu-west-1", "lambda")

    def at(now: float) -> str:
        return dict(signer.sign("GET", "h", "/", {}, [], b"", now))["Authorization"]

    first, next_day, again = at(NOW.timestamp()), at(NOW.timestamp() + 86400), at(NOW.timestamp())

    assert first == again
    assert first != next_day


def test_credentials_come_from_the_environment_whole_or_not_at_all() -> None:
    found = Credentials.from_environment({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"})

    assert found is not None
    assert (found.access_key, found.secret_key, found.token) == ("a", "s", "t")
    assert Credentials.from_environment({"AWS_ACCESS_KEY_ID": "a"}) is None
