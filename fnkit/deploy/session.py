"""Open a session with AWS: boto3, credentials, region and endpoint, each checked before anything is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import UnknownRegionError

from fnkit.deploy.aws_errors import no_credentials, no_region, translated
from fnkit.errors import UsageError

Clients = Callable[[str], Any]  # boto3 makes its clients, and their methods, while it runs


_NUMBERED = re.compile(r"[a-z-]+-[1-9]")


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has credentials and a region. *client* makes the client of a service."""

    client: Clients
    region: str
    partition: str
    credentials: Any  # botocore's own, which renews itself


def open_session(*, region: str = "", endpoint_url: str = "", environ: Mapping[str, str] = os.environ) -> Session:
    """Return a session for *region* and *endpoint_url*, as far as they are given, else as AWS's own settings say.

    CredentialsError without credentials; UsageError without a region, or with an endpoint that is no URL.
    """
    if endpoint_url and not endpoint_url.startswith(("http://", "https://")):
        raise UsageError(f"{endpoint_url!r} is no URL", where="--endpoint-url", hint="give it with http:// or https://")
    region = region or environ.get("AWS_REGION", "")  # as AWS's command line and other SDKs; boto3 does not look there
    with translated(region):
        boto = boto3.session.Session(region_name=region or None)
        credentials = boto.get_credentials()
        if not boto.region_name:
            raise no_region(credentials=credentials is not None)
        if not endpoint_url and not environ.get("AWS_ENDPOINT_URL"):
            _refuse_misspelt_region(boto, boto.region_name)
        if credentials is None:
            raise no_credentials("none in the environment, in ~/.aws, or from an identity provider")
        partition = _partition(boto, boto.region_name)
    config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, user_agent_extra="fnkit")

    def client(service: str) -> Any:
        with translated(boto.region_name):
            return boto.client(service, endpoint_url=endpoint_url or None, config=config)

    return Session(client, boto.region_name, partition, credentials)


def find_credentials() -> Any | None:
    """Return the credentials that AWS's own settings give, None without any."""
    with translated():
        found = boto3.session.Session().get_credentials()
        return found.get_frozen_credentials() if found is not None else None


def _partition(boto: Any, region: str) -> str:
    try:
        return str(boto.get_partition_for_region(region))
    except UnknownRegionError:  # behind an endpoint of its own, regions are called as it likes
        return "aws"


def _refuse_misspelt_region(boto: Any, region: str) -> None:
    """UsageError for a region whose place boto3 has not heard of; another number at a known place may just be newer."""
    known = [name for partition in boto.get_available_partitions() for name in boto.get_available_regions("lambda", partition)]
    if _NUMBERED.fullmatch(region) and region.rpartition("-")[0] in {name.rpartition("-")[0] for name in known}:
        return
    error = no_region(region)
    if close := get_close_matches(region, known, 1):
        error.hint = f"did you mean {close[0]}? if it is new, update boto3"
    raise error
